"""What a person reads beside a run's scores: experts on the same cells, counts of candidates, and the cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mitozoo.results.run_folder import COMPUTE

if TYPE_CHECKING:
    from pathlib import Path

Table = tuple[str, list[str], list[list[str]]]  # title, headers, rows


def expert_tables(document: dict[str, Any]) -> list[Table]:
    """Return the inter-expert reference and the metrics by agreement, where the dataset has votes."""
    tables: list[Table] = []
    if experts := document.get("experts"):
        rows = [
            [str(entry["expert"]), f"{entry['tied_cells']:,}", *(
                interval(entry[ties][who]["balanced_accuracy"])
                for ties in ("ties_half", "ties_dropped") for who in ("expert", "model")
            )]
            for entry in experts["against_others"]
        ]  # fmt: skip
        kappa = experts["fleiss_kappa"]
        agree = "" if kappa is None else f" (Fleiss' kappa {kappa:.2f})"
        headers = ["expert", "ties", "expert, ties 0.5", "model, ties 0.5", "expert, no ties", "model, no ties"]
        tables.append((f"balanced accuracy against the other experts{agree}", headers, rows))
    if agreement := document.get("agreement"):
        rows = [
            [f"{entry['agree']} of {entry['of']}", f"{entry['cells']:,}", f"{entry['positive_cells']:,}",
             interval(entry["metrics"]["auroc"]), interval(entry["metrics"]["balanced_accuracy"])]
            for entry in agreement
        ]  # fmt: skip
        headers = ["votes that agree", "cells", "positive", "auroc", "balanced accuracy"]
        tables.append(("by agreement of votes", headers, rows))
    return tables


def control_lines(document: dict[str, Any]) -> list[str]:
    """Return what the controls that see the image score, one line each."""
    return [
        f"control that sees the image, {name}: "
        + (f"none, {entry['refused']}" if "refused" in entry else f"AUROC {interval(entry['auroc'])}")
        for name, entry in (document.get("image_controls") or {}).items()
    ]


def count_line(document: dict[str, Any]) -> list[str]:
    """Return what is to be said of the candidate count, at most one line."""
    counted = document.get("candidate_count")
    if not counted:
        return []
    if "refused" in counted:
        return [f"no candidate count: {counted['refused']}"]
    area = "" if counted["area_mm2"] is None else f" of {counted['area_mm2']:g} mm2"
    biases = ", ".join(f"{entry['bias']:+.2f} {name}" for name, entry in counted["counters"].items())
    return [f"{counted['note']}; bias of log(count + 1) in {counted['true']['regions']} regions{area}: {biases}"]


def cost_line(folder: Path) -> list[str]:
    """Return what the run cost, at most one line; the last call that embedded patches tells their rate."""
    try:
        calls: list[dict[str, Any]] = json.loads((folder / COMPUTE).read_text(encoding="utf-8"))["calls"]
    except (OSError, ValueError, KeyError, TypeError):  # brought from elsewhere without it
        return []
    cost: dict[str, Any] = next((call["model"] for call in reversed(calls) if call.get("model")), {})
    rate = next((call for call in reversed(calls) if call.get("patches_per_second")), None)
    said = [
        f"{cost['parameters'] / 1e6:,.1f} M parameters" if cost.get("parameters") else "",
        f"{cost['gflops']:,.2f} GFLOPs a patch" if cost.get("gflops") else "",
        f"{rate['patches_per_second']:,.1f} patches/s on {rate['device']}" if rate else "",
        f"{max(call.get('peak_memory_mb', 0) for call in calls) / 1000:,.1f} GB of memory" if calls else "",
        f"{sum(sum(call.get('seconds', {}).values()) for call in calls):,.0f} s" if calls else "",
    ]
    return ["cost: " + ", ".join(filter(None, said))] if calls else []


def interval(entry: dict[str, Any]) -> str:
    """Return a metric's mean and its 95 % interval as text."""
    if entry["mean"] is None:
        return "-"
    if entry["ci_low"] is None or entry["ci_high"] is None:
        return f"{entry['mean']:.3f}"
    return f"{entry['mean']:.3f} [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"
