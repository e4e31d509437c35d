"""A result as a person meets it: numbers by name, a table in a terminal, and a table in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitozoo.results.beside import control_lines, cost_line, count_line, expert_tables
from mitozoo.results.beside import interval as _cell
from mitozoo.results.find_run import find_run
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.scoring import strongest_control

SHOWN = (
    "auroc", "within_slide_auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "ece",
)  # fmt: skip
BY_DOMAIN = ("auroc", "balanced_accuracy")


@dataclass(frozen=True)
class Result:
    """A run's document and the folder that it lies in."""

    document: dict[str, Any]
    folder: Path

    @classmethod
    def read(cls, run: str | Path, root: Path = Path("runs")) -> Result:
        """Read a run by its folder, its result.json, or a unique prefix of its id below `root`."""
        folder = find_run(str(run), root)
        return cls(read_document(folder / RESULT), folder)

    def mean(self, metric: str = "auroc", fraction: float | None = None) -> float | None:
        """Return a metric's mean over folds and seeds; of the largest label fraction unless one is named."""
        entry = next((e for e in self.document["summary"] if fraction in (None, e["fraction"])), None)
        return None if entry is None else entry["metrics"][metric]["mean"]

    def title(self) -> str:
        """Return 'model on dataset, protocol@version'."""
        protocol = self.document["protocol"]
        name = protocol["name"] if "@" in protocol["name"] else f"{protocol['name']}@{protocol['version']}"
        return f"{self.document['model']['name']} on {self.document['dataset']['name']}, {name}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return headers and rows: one row a metric, one column a label fraction, each cell with its 95 % interval."""
        summary = self.document["summary"]
        rows = [[name.replace("_", " "), *(_cell(entry["metrics"][name]) for entry in summary)] for name in SHOWN]
        return ["metric", *(_of_labels(entry["fraction"]) for entry in summary)], rows

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Return the further tables, each with its title, headers and rows; only those that have something to say."""
        document = self.document
        apart = [
            [
                entry["trained_on"],
                entry["domain"],
                entry["value"],
                f"{entry['groups']:,}",
                f"{entry['cells']:,}",
                *(_cell(entry["metrics"][name]) for name in BY_DOMAIN),
            ]
            for entry in document["by_domain"]
        ]
        by_training = any(row[0] for row in apart)
        level = f"{document['dataset']['group_level']}s"
        touched = [
            [
                entry["perturbed"],
                _of_labels(entry["fraction"]),
                _cell(entry["metrics"]["auroc"]),
                *(_difference(entry["difference"][name]) for name in BY_DOMAIN),
            ]
            for entry in document["perturbed"]
        ]
        gaps = [
            [entry["left_out"], _difference(entry["gap"]["auroc"]), _difference(entry["gap"]["balanced_accuracy"])]
            for entry in document["domain_gap"]
        ]
        against = [
            [entry["negatives"], f"{entry['cells']:,}", *(_cell(entry["metrics"][name]) for name in BY_DOMAIN)]
            for entry in document["by_negatives"]
        ]
        found = [
            ("against each kind of negative", ["negatives", "cells", *BY_DOMAIN], against),
            (
                "by domain, at one threshold",
                ["trained on", "domain", "value", level, "cells", *BY_DOMAIN][not by_training :],
                [row[not by_training :] for row in apart],
            ),
            (
                "perturbed test cells",
                ["perturbation", "labels", "auroc", "change", "balanced accuracy changed"],
                touched,
            ),
            ("gained by having seen the domain", ["left out", "auroc", "balanced accuracy"], gaps),
        ]
        return [(title, headers, rows) for title, headers, rows in (*found, *expert_tables(document)) if rows]

    def remarks(self) -> list[str]:
        """Return what must be read beside the numbers, the loudest first."""
        document = self.document
        dataset = document["dataset"]
        lines = [mark for mark in document["marks"] if "LEAKS" in mark]
        if document["summary"]:
            lines += self._verdict() + control_lines(document)
            lines += [document["summary"][0]["interval"]["note"]]
        skipped = [entry for entry in document["scores"] if entry["status"] != "done"]
        if skipped:
            lines.append(f"{len(skipped)} of {len(document['scores'])} rows skipped: {skipped[0]['reason']}")
        flags = sorted({flag for entry in document["scores"] for flag in entry.get("flags", ())})
        lines += [f"in {sum(flag in e.get('flags', ()) for e in document['scores'])} rows: {flag}" for flag in flags]
        for fold, unseen in document["only_in_test"].items():
            seen = "; ".join(f"{name} {', '.join(values)}" for name, values in unseen.items())
            lines.append(f"{fold}: training also never saw {seen}")
        lines += [f"marked: {', '.join(document['marks'])}"] if document["marks"] else []
        lines += count_line(document) + cost_line(self.folder)
        positive, negative = (dataset["classes"][side] for side in ("positive", "negative"))
        lines.append(
            f"{positive['cells']:,} {positive['name']} (positive) and {negative['cells']:,} {negative['name']} cells "
            f"in {dataset['groups']:,} {dataset['group_level']}s; pretraining: {document['contamination']}"
        )
        return lines

    def _verdict(self) -> list[str]:
        """Compare with the strongest control that never saw an image, and with the oracle that knows the slide."""
        auroc = self.document["summary"][0]["metrics"]["auroc"]
        name, control = strongest_control(self.document["controls"])
        low = auroc["ci_low"] if auroc["ci_low"] is not None else auroc["mean"]
        lines = [f"image-blind control {name}: AUROC {control:.3f}"]
        if low is None or low <= control:
            lines.insert(0, f"DOES NOT BEAT the control that never sees the image ({name}, AUROC {control:.3f})")
        oracle = self.document["controls"]["test_slide_rate"]["auroc"]["mean"]
        if oracle is not None:
            beaten = " - more than this model" if auroc["mean"] is not None and oracle > auroc["mean"] else ""
            lines.append(f"knowing only each test slide's rate (an oracle): AUROC {oracle:.3f}{beaten}")
        return lines

    def _repr_html_(self) -> str:
        """Show the result as a table in a notebook."""
        headers, rows = self.table()
        head = "".join(f"<th>{html.escape(text)}</th>" for text in headers)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        notes = "".join(f"<li>{html.escape(line)}</li>" for line in self.remarks())
        title = html.escape(self.title())
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table><ul>{notes}</ul>"


def _difference(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return "-"
    if entry["ci_low"] is None:
        return f"{entry['value']:+.3f}"
    return f"{entry['value']:+.3f} [{entry['ci_low']:+.3f}, {entry['ci_high']:+.3f}]"


def _of_labels(fraction: float) -> str:
    return "all labels" if fraction == 1 else f"{fraction:.4g} of labels"
