"""Made-up result documents that keep the schema and their run id, and folders of them; no network is needed."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from mitozoo.plugins.record import canonical_json
from mitozoo.results.run_folder import dump, run_id

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = ("auroc", "within_slide_auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "ece")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mean(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"mean": value, "ci_low": low, "ci_high": high, "sd_training": None, "n_seeds": 1, "n_folds": 2}


def basis(groups: int = 60) -> dict[str, Any]:
    return {
        "method": "percentile", "replicates": 1000, "seed": 0, "n_groups": groups, "effective_groups": float(groups),
        "largest_share": 0.1, "groups_with_positive": groups, "undefined_replicates": {}, "note": "",
    }  # fmt: skip


def summary(auroc: tuple[float, float, float], *, fraction: float = 1.0, groups: int = 60) -> dict[str, Any]:
    metrics = {name: mean(0.5, 0.4, 0.6) for name in SHOWN} | {"auroc": mean(*auroc)}
    return {"fraction": fraction, "interval": basis(groups), "metrics": metrics}


def row(fold: int, *, seed: int = 0, fraction: float = 1.0, perturbed: str = "") -> dict[str, Any]:
    return {
        "row_id": f"fold{fold}-seed{seed}-fraction{fraction:g}{perturbed}", "fold": fold, "seed": seed,
        "fraction": fraction, "perturbed": perturbed, "status": "done", "n_train": 90, "n_test": 30,
        "n_groups_train": 30, "n_groups_test": 30, "rankable": True, "threshold": 0.5, "selected": {},
        "converged": True, "flags": [], "interval": {},
        "metrics": {"auroc": {"value": 0.7, "ci_low": None, "ci_high": None}},
    }  # fmt: skip


def document(
    model: str = "some-encoder",
    auroc: tuple[float, float, float] = (0.8, 0.78, 0.82),
    /,
    *,
    cells: str = "some-cells",
    **parts: Any,
) -> dict[str, Any]:
    """Return a document of a dataset called `cells`; `parts` are merged into its own, or replace them."""
    control = {"oracle": False, "auroc": mean(0.55, 0.5, 0.6), "average_precision": mean(0.3)}
    made: dict[str, Any] = {
        "schema": "mitozoo-result/1",
        "identity": {"weights": None, "windows": sha256("windows"), "pipeline": 1},
        "model": {
            "name": model, "plugin": "mitozoo-plugin-made", "version": "1.0.0", "fingerprint": sha256(model),
            "embed_dim": 8, "weights_sha256": sha256(f"weights of {model}"), "pooling": "cls", "license": "Apache-2.0",
            "gated": False, "parameters": 2_000_000, "reference": "https://example.org/model",
        },
        "dataset": {
            "name": cells, "plugin": "mitozoo-plugin-made", "version": "1.0.0", "fingerprint": sha256(cells),
            "cells": 120, "groups": 60, "group_level": "slide", "positive_class": "mitotic figure",
            "classes": {
                "positive": {"name": "mitotic figure", "cells": 40}, "negative": {"name": "look-alike", "cells": 80},
            },
            "cells_sha256": sha256(f"cells of {cells}"), "negatives": "hard", "negatives_origin": "made up",
            "synthetic": False, "domains": ["scanner"], "license": "MIT", "reference": "https://example.org/data",
            "tested_on": [], "shared_cells_left_out": 0,
        },
        "protocol": {"name": "linear-probe", "version": 1, "parameters": {
            "kind": "linear-probe", "split": "auto", "outer_folds": 2, "split_seed": 0, "fraction_of": "groups",
            "inner_folds": 5,
        }},
        "precision": "fp32",
        "conditions": {
            "split": None, "domain": "", "trained_on": "", "crop_um": None, "label_noise": 0.0, "stain": "none",
        },
        "folds": [{"fold": n, "name": f"fold {n}", "reference_for": None, "trained_on": ""} for n in range(2)],
        "geometry": {
            "window_um": 56.0, "edge": "reflect", "source_mpp": None, "input_mpp": None, "model_mpp": 0.5,
            "seen_um": {"min": 56.0, "median": 56.0, "max": 56.0}, "note": "56 um around each cell",
        },
        "scores": [row(0), row(1)],
        "summary": [summary(auroc)],
        "controls": {
            "slide_prior": control,
            "test_slide_rate": {"oracle": True, "auroc": mean(0.99), "average_precision": mean(0.9)},
        },
        "by_domain": [], "by_negatives": [], "perturbed": [], "domain_gap": [], "audit": {"folds": []},
        "contamination": "declared none", "marks": [], "files": {},
    }  # fmt: skip
    made = copy.deepcopy(made)
    for name, part in parts.items():
        made[name] = made[name] | part if isinstance(part, dict) else part
    return identified(made)


def identified(made: dict[str, Any]) -> dict[str, Any]:
    """Make hash and run id follow from the rest, as in a document that nobody edited."""
    protocol, dataset = made["protocol"], made["dataset"]
    protocol["hash"] = sha256(canonical_json({"version": protocol["version"]} | protocol["parameters"]))
    made["identity"] |= {
        "model": made["model"]["fingerprint"], "weights": made["model"]["weights_sha256"],
        "dataset": dataset["fingerprint"], "cells": dataset["cells_sha256"], "negatives": dataset["negatives"],
        "protocol": protocol["hash"], "conditions": made["conditions"], "precision": made["precision"],
    }  # fmt: skip
    made["run_id"] = run_id(made["identity"])
    return made


def write(folder: Path, made: dict[str, Any], *, created: str = "") -> str:
    """Write a document as a run's folder, and return its sha256."""
    folder.mkdir(parents=True)
    text = dump(made)
    (folder / "result.json").write_text(text, encoding="utf-8")
    if created:
        (folder / "compute.json").write_text(json.dumps({"calls": [{"created": created}]}), encoding="utf-8")
    return sha256(text)


def verdict(folder: Path, about: str, level: str, /, **values: Any) -> None:
    """Write a verdict of `mitozoo submission check`."""
    stated = {
        "schema_version": 1, "result_sha256": about, "level": level, "flags": [], "mitozoo": "0.1.0",
        "checked_at": "2026-11-20T10:00:00+00:00",
    }  # fmt: skip
    folder.mkdir(exist_ok=True, parents=True)
    number = len(list(folder.iterdir()))
    (folder / f"{number}.json").write_text(json.dumps(stated | values), encoding="utf-8")
