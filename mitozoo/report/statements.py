"""What a section says in words: its title, what its runs saw, its headline, and what may be said of their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.results.beside import interval

if TYPE_CHECKING:
    from mitozoo.report.gathering import Section

#: Remarks of a run that belong beside its headline start so.
LOUD = ("THIS SPLIT LEAKS", "DOES NOT BEAT", "image-blind control", "knowing only", "control that sees the image")


def section_title(section: Section) -> str:
    """Return dataset, protocol and conditions of a section."""
    from mitozoo.results.conditions import Conditions

    document = section.document
    protocol = document["protocol"]
    name = protocol["name"] if "@" in protocol["name"] else f"{protocol['name']}@{protocol['version']}"
    return ", ".join(filter(None, (document["dataset"]["name"], name, Conditions.of(document).summary())))


def about(section: Section) -> str:
    """Return how many cells of which kind there are, what was seen of them, and the hashes that name them."""
    document = section.document
    dataset, geometry = document["dataset"], document["geometry"]
    positive, negative = (dataset["classes"][side] for side in ("positive", "negative"))
    words = [
        f"{positive['cells']:,} {positive['name']} (positive) and {negative['cells']:,} {negative['name']} cells in "
        f"{dataset['groups']:,} {dataset['group_level']}s",
        f"negatives: {dataset['negatives']}",
        geometry.get("note") or "",
        f"protocol hash {document['protocol']['hash'][:12]}, cells {dataset['cells_sha256'][:12]}",
    ]
    return f"{'; '.join(filter(None, words))}."


def headline(section: Section, comparison: dict[str, Any] | None) -> list[str]:
    """Return the highest AUROC with its interval, and the controls that it must be judged by."""
    [best] = section.best(1)
    auroc = best.metric("auroc")
    if auroc["mean"] is None:
        return [f"{best.name}: no row was fitted"]
    lines = [f"{best.name}: AUROC {interval(auroc)}"]
    lines += [line for line in best.result.remarks() if line.startswith(LOUD)]
    if len(section.runs) > 1:
        lines.append(f"The highest AUROC of {len(section.runs)} runs. {order(section, comparison)}")
    return lines


def order(section: Section, comparison: dict[str, Any] | None) -> str:
    """Return what a rank means, or why none is given."""
    if len(section.runs) == 1:
        return ""
    if comparison is None:
        return "No order among them is claimed."
    if comparison["no_ranks"]:
        return f"No order among them is claimed: {comparison['no_ranks']}."
    return "A rank is the range of places that a run may have by corrected tests at 5 %, never a single order."
