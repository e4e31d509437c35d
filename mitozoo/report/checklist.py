"""A reporting checklist filled from a run's record: what Metrics Reloaded and CLAIM ask, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mitozoo.report.gathering import Run

METRICS_RELOADED, CLAIM = "Metrics Reloaded", "CLAIM"
#: Where each list is published.
SOURCES = {METRICS_RELOADED: "https://doi.org/10.1038/s41592-023-02151-z", CLAIM: "https://doi.org/10.1148/ryai.240300"}
YES, NO, NOT_APPLICABLE = "yes", "no", "not applicable"


@dataclass(frozen=True)
class Item:
    """One thing that a reader should be told: which list asks, whether the record answers, and what it says."""

    asked_by: str
    asks: str
    answer: str
    value: str


def checklist(run: Run) -> list[Item]:
    """Return the items; only the record is asked, so what it cannot know is 'no', with who must say it."""
    return [*_metrics(run), *_study(run)]


def _metrics(run: Run) -> list[Item]:
    document = run.document
    summary = document["summary"]
    basis: dict[str, Any] = summary[0]["interval"] if summary else {}
    thresholds = sorted({fit.threshold for fit in run.fits})
    seeds = len({entry["seed"] for entry in document["scores"]})
    counted = document["candidate_count"] or {}
    prevalence = document["dataset"]["classes"]["positive"]["cells"] / document["dataset"]["cells"]
    experts = document.get("experts")
    return [
        _item(METRICS_RELOADED, "a metric that knows no threshold", bool(summary), f"AUROC {_number(run, 'auroc')}"),
        _item(
            METRICS_RELOADED, "a metric that minds the prevalence", bool(summary),
            f"average precision {_number(run, 'average_precision')}; {100 * prevalence:.1f} % of cells are positive",
        ),
        _item(
            METRICS_RELOADED, "a metric of both classes at a fixed threshold", bool(summary),
            f"balanced accuracy {_number(run, 'balanced_accuracy')}, sensitivity {_number(run, 'sensitivity')}, "
            f"specificity {_number(run, 'specificity')}",
        ),
        _item(
            METRICS_RELOADED, "how the threshold was chosen", bool(thresholds),
            f"on cells of the training side, {thresholds[0]:.3f} to {thresholds[-1]:.3f}" if thresholds else "",
        ),
        _item(
            METRICS_RELOADED, "calibration", bool(summary),
            f"expected calibration error {_number(run, 'ece')}, Brier score {_number(run, 'brier')}",
        ),
        _item(
            METRICS_RELOADED, "intervals that respect what belongs together", basis.get("method") not in (None, "none"),
            f"{basis.get('method')} over {basis.get('n_groups')} {document['dataset']['group_level']}s "
            f"({basis.get('effective_groups', 0):.1f} effective)",
        ),
        _item(METRICS_RELOADED, "chance of training told apart", seeds > 1, f"seeds: {seeds}"),
        _item(
            METRICS_RELOADED, "scores by subgroup", bool(document["by_domain"]),
            f"by {', '.join(dict.fromkeys(entry['domain'] for entry in document['by_domain']))}",
            applies=bool(document["dataset"].get("domains")),
        ),
        _item(
            METRICS_RELOADED, "a measure of the clinical task", bool(counted) and "refused" not in counted,
            counted.get("refused") or counted.get("note", ""),
        ),
        _item(
            METRICS_RELOADED, "agreement of experts as a reference", experts is not None,
            f"{experts['n_experts']} experts on {experts['cells']:,} cells" if experts else "no independent votes",
            applies=experts is not None or bool(document["dataset"].get("independent_votes")),
        ),
    ]  # fmt: skip


def _study(run: Run) -> list[Item]:
    document = run.document
    dataset, model, protocol = (document[part] for part in ("dataset", "model", "protocol"))
    parameters = protocol["parameters"]
    leaks = any("LEAKS" in mark for mark in document["marks"])
    positive, negative = (dataset["classes"][side] for side in ("positive", "negative"))
    licensed = [words for words in (dataset.get("license"), dataset.get("reference")) if words]
    described = [words for words in (model.get("license"), model.get("reference")) if words]
    contamination = document["contamination"]
    origin, shared = dataset.get("negatives_origin") or "", dataset.get("shared_cells_left_out") or 0
    left_out = len(document["audit"].get("skipped_cells", ()))
    return [
        _item(CLAIM, "source and licence of the data", bool(licensed), ", ".join(licensed)),
        _item(
            CLAIM, "number of cells, cases and classes", True,
            f"{positive['cells']:,} {positive['name']}, {negative['cells']:,} {negative['name']}, "
            f"{dataset['groups']:,} {dataset['group_level']}s",
        ),
        _item(CLAIM, "real patients", not dataset["synthetic"], "synthetic" if dataset["synthetic"] else "as declared"),
        _item(CLAIM, "where the negatives come from", bool(origin), origin),
        _item(CLAIM, "cells left out", True, f"{left_out:,} unreadable, {shared:,} of shared cases"),
        _item(
            CLAIM, "reference standard and its readers", bool(dataset.get("voters")),
            f"{dataset.get('voters')} readers a cell" if dataset.get("voters") else "the dataset declares no readers",
        ),
        _item(
            CLAIM, "how training and test are divided", True,
            f"{document['conditions']['split'] or parameters['split']}, outer folds: {parameters['outer_folds']}, "
            f"seed {parameters['split_seed']}",
        ),
        _item(
            CLAIM, "no case on both sides", not leaks,
            "annotations of one case lie on both sides" if leaks else "audited before anything was fitted",
        ),
        _item(
            CLAIM, "the model, and where its weights come from", bool(described),
            "; ".join([model["name"], *described, f"weights {str(model['weights_sha256'])[:12]}"]),
        ),
        _item(CLAIM, "what pretraining saw of the test data", contamination != "unknown", contamination),
        _item(
            CLAIM, "what is seen of a cell", document["geometry"]["seen_um"] is not None,
            str(document["geometry"].get("note") or "not recorded"),
        ),
        _item(CLAIM, "training, with all parameters", True, f"{protocol['name']}, hash {protocol['hash'][:12]}"),
        _item(CLAIM, "code and versions", bool(model["version"]), f"{model['plugin']} {model['version']}"),
        _item(CLAIM, "test on another centre's data", bool(dataset.get("tested_on")), _elsewhere(document)),
        _item(CLAIM, "ethics, funding and registration", False, "no record knows: the authors must say", applies=False),
    ]  # fmt: skip


def _elsewhere(document: dict[str, Any]) -> str:
    others = [entry["name"] for entry in document["dataset"].get("tested_on", ())]
    return f"tested on {', '.join(others)}" if others else "none in this run"


def _item(asked_by: str, asks: str, holds: bool, value: str, *, applies: bool = True) -> Item:
    return Item(asked_by, asks, (YES if holds else NO) if applies else NOT_APPLICABLE, value)


def _number(run: Run, metric: str) -> str:
    mean = run.metric(metric)["mean"]
    return "-" if mean is None else f"{mean:.3f}"
