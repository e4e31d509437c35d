"""Protocols that repeat published studies, faults included, each with its twin that divides no case.

What a leaking split was worth is the difference between the twins, all else being equal.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mitozoo.protocols.ammeling2026 import AS_RELEASED, Ammeling2026Probe
from mitozoo.protocols.ammeling2026_tuning import Ammeling2026Tuning
from mitozoo.protocols.lora import Lora

if TYPE_CHECKING:
    from mitozoo.protocols.spec import Protocol

#: Nothing that could be read of Ganz et al. (2025) says any of these; the second paper by the same authors on the same
#: datasets does, or its released code.
INFERRED = (
    "split", "outer_folds", "split_seed", "fraction_of", "geometry", "edge", "norm", "standardised", "thrown_away",
    "max_iterations",
)  # fmt: skip
INFERRED_TUNING = (
    "split", "outer_folds", "split_seed", "fraction_of", "geometry", "edge", "learning_rates", "epochs", "patience",
    "batch_size", "weight_decay", "warmup", "pseudo_epoch", "tested", "early_stopping", "clipped", "one_cycle",
    "jitter", "validated",
)  # fmt: skip


def _grouped(protocol: Protocol) -> Protocol:
    """Return the twin: as many draws of as large a share, of whole groups."""
    return dataclasses.replace(
        protocol, name=f"{protocol.name}-grouped", title=f"{protocol.title}; no case divided", split="grouped-draws"
    )


_LEAKING: tuple[Protocol, ...] = (
    Ammeling2026Probe(name="ammeling2026", version=1, title="Ammeling et al. 2026 as released, probe", **AS_RELEASED),
    Ammeling2026Tuning(
        name="ammeling2026-lora", version=1, title="Ammeling et al. 2026 as released, LoRA", adapters=True,
        **AS_RELEASED,
    ),
    Ammeling2026Tuning(
        name="ammeling2026-end-to-end", version=1, title="Ammeling et al. 2026 as released, whole network",
        **AS_RELEASED,
    ),
    Ammeling2026Probe(
        name="ganz2025-inferred", version=1, title="Ganz et al. 2025, probe, as far as it can be inferred",
        inferred=INFERRED, **AS_RELEASED,
    ),
    Ammeling2026Tuning(
        name="ganz2025-inferred-end-to-end", version=1, title="Ganz et al. 2025, whole network, as far as inferred",
        inferred=INFERRED_TUNING, **AS_RELEASED,
    ),
)  # fmt: skip

#: The benchmark of atypical figures by Banerjee et al. (2026): five folds by slide with its seed, LoRA of its rank. Its
#: optimiser, schedule and augmentation are mitozoo's own; its class 0 is positive here, so its area under the
#: precision-recall curve is `average_precision_of_negatives`.
AMI_BR_BENCHMARK = Lora(
    name="ami-br-benchmark", version=1, title="Atypical figures as Banerjee et al. 2026 divide them, LoRA r=8",
    split="grouped", outer_folds=5, split_seed=42, learning_rates=(5e-5,), epochs=100, patience=10, batch_size=8,
    weight_decay=1e-5, rank=8, alpha=16.0, dropout=0.3,
)  # fmt: skip

REPLICATIONS: tuple[Protocol, ...] = (*_LEAKING, *map(_grouped, _LEAKING), AMI_BR_BENCHMARK)
