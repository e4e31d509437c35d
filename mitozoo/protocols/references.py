"""Where the method of each protocol is described, for whoever must cite it."""

from __future__ import annotations

import re

GANZ_2025 = "https://doi.org/10.1007/978-3-658-47422-5_15"
AMMELING_2026 = "https://doi.org/10.59275/j.melba.2026-a3eb"
BANERJEE_2026 = "https://arxiv.org/abs/2506.21444"

#: Name of a protocol -> its sources. A protocol that is not here is mitozoo's own recipe of a common method.
SOURCES: dict[str, tuple[str, ...]] = {
    "simpleshot": ("https://arxiv.org/abs/1911.04623",),
    "lora": ("https://arxiv.org/abs/2106.09685",),
    "ammeling2026": (AMMELING_2026,),
    "ammeling2026-lora": (AMMELING_2026, "https://arxiv.org/abs/2106.09685"),
    "ammeling2026-end-to-end": (AMMELING_2026,),
    "ganz2025-inferred": (GANZ_2025, AMMELING_2026),  # what the first does not say is taken from the second
    "ganz2025-inferred-end-to-end": (GANZ_2025, AMMELING_2026),
    "ami-br-benchmark": (BANERJEE_2026, "https://arxiv.org/abs/2106.09685"),
}


def sources_of(protocol: str) -> tuple[str, ...]:
    """Return where a protocol's method is described, by its name, changes and '-grouped' aside; maybe nothing."""
    return SOURCES.get(re.split(r"[@+]", protocol)[0].removesuffix("-grouped"), ())
