"""A run as the evaluation block of a Hugging Face model card, with a table for people and everything to cite."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from mitozoo.exports.citations import bibtex, everything_used
from mitozoo.results.beside import interval
from mitozoo.results.run_folder import COMPUTE

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.results.result import Result

#: Metric -> the hub's identifier of it, and its name for people.
METRICS = {
    "auroc": ("roc_auc", "AUROC"),
    "within_slide_auroc": ("within_slide_roc_auc", "AUROC within slides"),
    "average_precision": ("average_precision", "average precision"),
    "balanced_accuracy": ("balanced_accuracy", "balanced accuracy"),
    "sensitivity": ("sensitivity", "sensitivity"),
    "specificity": ("specificity", "specificity"),
    "ece": ("ece", "expected calibration error"),
}


def model_card(result: Result) -> str:
    """Return Markdown whose front matter holds the model-index block; lines for people and BibTeX follow.

    Numbers are those of the largest label fraction, each with its interval in the metric's `args`.
    """
    from huggingface_hub import ModelCardData

    document = result.document
    data = ModelCardData(model_name=document["model"]["name"], eval_results=_eval_results(result) or None)
    front = data.to_yaml() if data.eval_results else ""
    used = everything_used(document, mitozoo_version(result.folder))
    parts = [
        f"---\n{front}\n---\n" if front else "",
        f"## Evaluation: {_markdown(result.title())}\n",
        _table(document),
        "".join(f"* {_markdown(line)}\n" for line in result.remarks()),
        "## References\n\nAuthors and titles can be had by DOI or arXiv number.\n",
        f"```bibtex\n{bibtex(used)}```\n",
    ]
    return "\n".join(filter(None, parts))


def mitozoo_version(folder: Path) -> str:
    """Return the version of mitozoo that the run's last call was made with; '' where compute.json is not there."""
    try:
        version = json.loads((folder / COMPUTE).read_text(encoding="utf-8"))["calls"][-1]["environment"]["mitozoo"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):  # brought from elsewhere without it
        return ""
    return str(version)


def _eval_results(result: Result) -> list[Any]:
    from huggingface_hub import EvalResult

    document = result.document
    if not document["summary"]:
        return []
    dataset, protocol, summary = document["dataset"], document["protocol"], document["summary"][0]
    asked = {key: value for key, value in document["conditions"].items() if value not in (None, "", "none", 0)}
    about = {
        "protocol": f"{protocol['name']}", "protocol_hash": protocol["hash"], "run_id": document["run_id"],
        "positive_class": dataset["positive_class"], "cells": dataset["cells"],
        f"{dataset['group_level']}s": dataset["groups"], "cells_sha256": dataset["cells_sha256"],
        "label_fraction": summary["fraction"], "pretraining": document["contamination"],
        "marks": document["marks"], **({"conditions": asked} if asked else {}),
    }  # fmt: skip
    results = []
    for name, (identifier, words) in METRICS.items():
        found = summary["metrics"].get(name)
        if found is None or found["mean"] is None:
            continue
        bounds = {key: found[key] for key in ("ci_low", "ci_high") if found[key] is not None}
        results.append(
            EvalResult(
                task_type="image-classification",
                task_name=f"{dataset['positive_class']} against {dataset['classes']['negative']['name']}",
                dataset_type=dataset["name"], dataset_name=dataset["name"], dataset_split="test", dataset_args=about,
                metric_type=identifier, metric_name=words, metric_value=found["mean"], metric_args=bounds or None,
            )
        )  # fmt: skip
    return results


def _table(document: dict[str, Any]) -> str:
    if not document["summary"]:
        return "No row of this run could be fitted.\n"
    measured = document["summary"][0]["metrics"]
    rows = [f"| {words} | {interval(measured[name])} |\n" for name, (_, words) in METRICS.items() if name in measured]
    return "| metric | mean [95 % interval] |\n| --- | --- |\n" + "".join(rows)


def _markdown(words: str) -> str:
    """Return words as text: nothing in them is taken for HTML, a table or a link."""
    text = html.escape(" ".join(words.split()), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|#" else char for char in text)
