"""Take from a valid result document what a leaderboard shows; what the schema leaves open is checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.leaderboard.entry import SHOWN, Dataset, Entry, Model, Place
from mitozoo.leaderboard.words import plain
from mitozoo.results.conditions import Conditions
from mitozoo.results.row import DONE
from mitozoo.statistics.bootstrap import ENOUGH_FOR_RANKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.leaderboard.entry import Interval

ROUNDING = 1e-9
MOST_MARKS = 64
LABELS_SEEN, IMAGES_SEEN = "labels seen", "images or cohort seen"
CONTROL = "a control, not a model"


def entries_of(
    document: dict[str, Any], *, sha256: str, file: str, created: str = "", parameters: float | None = None
) -> Iterator[Entry]:
    """Yield an entry for each label fraction and each perturbation that was scored.

    Args:
        document: it keeps the schema.
        sha256: of its file.
        file: where it lies.
        created: when; '' where nobody knows.
        parameters: of the network, where the document itself does not tell.

    Raises:
        MitozooError, KeyError, TypeError, ValueError, AttributeError: it does not hold what is shown.
    """
    conditions = Conditions.of(document)
    model, dataset = _model(document["model"], parameters), _dataset(document["dataset"])
    leaks = conditions.recipe(document["protocol"]["parameters"]).leaks or _divides_groups(document)
    control = _strongest_control(document["controls"])
    further = {fold["fold"] for fold in document["folds"] if fold["reference_for"] is not None}
    done = [row for row in document["scores"] if row["status"] == DONE and row["fold"] not in further]
    scored = [("", entry) for entry in document["summary"]]
    scored += [(_named(entry["perturbed"], "perturbed"), entry) for entry in document["perturbed"]]
    for perturbed, summary in scored:
        fraction = summary["fraction"]
        rows = [row for row in done if row["fraction"] == fraction and row.get("perturbed", "") == perturbed]
        if not rows:
            raise ValueError(f"its summary is of {fraction!r} of the labels, and no row is")
        metrics = tuple(_interval(summary["metrics"].get(name), name) for name in SHOWN)
        beaten = bool(control and not perturbed and metrics[0] and _low(metrics[0]) <= control[0])
        yield Entry(
            sha256=sha256, file=file, run_id=document["run_id"], created=created,
            place=Place(
                dataset=dataset.name, cells_sha256=document["dataset"]["cells_sha256"],
                negatives=document["dataset"]["negatives"], protocol_hash=document["protocol"]["hash"],
                conditions=_key(document["conditions"]),
                seen=_key(document["geometry"]["seen_um"]), fraction=_number(fraction), perturbed=perturbed,
                folds=tuple(sorted({row["fold"] for row in rows})),
            ),
            model=model, dataset=dataset, protocol=_protocol(document["protocol"]), asked=conditions.summary(),
            saw=plain(document["geometry"].get("note"), "geometry.note"), metrics=metrics,
            groups=_whole(summary["interval"]["n_groups"]), seeds=len({row["seed"] for row in rows}), control=control,
            precision=document["precision"] or "", contamination=document["contamination"],
            marks=_marks(document, dataset, leaks=leaks, beaten=control if beaten else None),
            is_control=_is_control(document), leaks=leaks,
            unranked=_why_unranked(document, summary, rows, metrics[0], leaks=leaks),
        )  # fmt: skip


def _model(stated: dict[str, Any], counted: float | None) -> Model:
    parameters = counted if stated.get("parameters") is None else stated["parameters"]
    said = {key: plain(stated.get(key), f"model.{key}") for key in (
        "plugin", "version", "weights_sha256", "pooling", "license", "reference",
    )}  # fmt: skip
    return Model(
        name=_named(stated["name"], "model.name"), fingerprint=stated["fingerprint"],
        embed_dim=int(stated["embed_dim"]), gated=bool(stated.get("gated")),
        parameters=None if parameters is None else _number(parameters), **said,
    )  # fmt: skip


def _dataset(stated: dict[str, Any]) -> Dataset:
    positive, negative = (stated["classes"][side] for side in ("positive", "negative"))
    said = {key: plain(stated.get(key), f"dataset.{key}") for key in ("negatives_origin", "license", "reference")}
    listed = {
        "domains": stated.get("domains", ()),
        "tested_on": [other["name"] for other in stated.get("tested_on", ())],
    }
    return Dataset(
        name=_named(stated["name"], "dataset.name"), cells=int(stated["cells"]), groups=int(stated["groups"]),
        group_level=stated["group_level"], positive=plain(positive["name"], "the positive class's name"),
        positive_cells=int(positive["cells"]), negative=plain(negative["name"], "the negative class's name"),
        negative_cells=int(negative["cells"]), synthetic=stated["synthetic"], **said,
        **{key: plain(", ".join(names), f"dataset.{key}") for key, names in listed.items()},
    )  # fmt: skip


def _protocol(stated: dict[str, Any]) -> str:
    name = _named(stated["name"], "protocol.name")
    return name if "@" in name else f"{name}@{stated['version']}"


def _divides_groups(document: dict[str, Any]) -> bool:
    """Tell whether the record itself says that cases may lie on both sides of a split."""
    sides = [fold.get("groups_on_both_sides", 0) for fold in document["audit"].get("folds", ())]
    unknown = document["dataset"].get("shared_cells_left_out", 0) is None
    return unknown or any(sides) or any("LEAKS" in mark for mark in document["marks"])


def _marks(
    document: dict[str, Any], dataset: Dataset, *, leaks: bool, beaten: tuple[float, str] | None
) -> tuple[str, ...]:
    """Return the document's marks, and those that its other fields ask for, so that none can be left out."""
    if len(document["marks"]) > MOST_MARKS:
        raise ValueError(f"it has more than {MOST_MARKS} marks")
    marks = [plain(mark, "marks") for mark in document["marks"]]
    asked = {
        "THIS SPLIT LEAKS": (leaks, "LEAKS"),
        "the model saw labels of it in training": (document["contamination"] == LABELS_SEEN, "saw labels"),
        "the model saw images or the cohort of it in training": (
            document["contamination"] == IMAGES_SEEN,
            "saw images",
        ),
        "synthetic data": (dataset.synthetic, "synthetic"),
        "not independent: grouped by image": (dataset.group_level == "image", "not independent"),
    }
    missing = [mark for mark, (holds, word) in asked.items() if holds and not any(word in own for own in marks)]
    if beaten:
        missing.insert(0, f"DOES NOT BEAT the control that never sees the image ({beaten[1]}, AUROC {beaten[0]:.3f})")
    return (*missing, *marks)


def _why_unranked(
    document: dict[str, Any],
    summary: dict[str, Any],
    rows: list[dict[str, Any]],
    auroc: Interval | None,
    *,
    leaks: bool,
) -> str:
    effective = _number(summary["interval"]["effective_groups"])
    reasons = {
        CONTROL: _is_control(document),
        "its split leaks": leaks,
        "it saw labels of the test data": document["contamination"] == LABELS_SEEN,
        "its groups are not independent": document["dataset"]["group_level"] == "image",
        "short, not a result": document["protocol"]["name"].startswith("end-to-end-short"),
        "it has no interval": auroc is None or None in auroc or _whole(summary["interval"]["n_groups"]) < 2,
        f"few independent groups ({effective:.1f} effective)": effective < ENOUGH_FOR_RANKS,
        "too few labelled cells or groups of a class": not all(row.get("rankable") is True for row in rows),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_control(document: dict[str, Any]) -> bool:
    return CONTROL in document["marks"] or document["model"]["name"].endswith(":random-init")


def _strongest_control(controls: dict[str, Any]) -> tuple[float, str] | None:
    fair = {name: entry["auroc"]["mean"] for name, entry in controls.items() if not entry["oracle"]}
    known = [(_number(mean), plain(name, "a control's name")) for name, mean in fair.items() if mean is not None]
    return max(known, default=None)


def _interval(entry: dict[str, Any] | None, name: str) -> Interval | None:
    if entry is None or entry["mean"] is None:
        return None
    mean, low, high = (None if entry[key] is None else _number(entry[key]) for key in ("mean", "ci_low", "ci_high"))
    assert mean is not None
    if low is None or high is None:
        low = high = None
    ends = (mean if low is None else low, mean if high is None else high)
    if not 0 - ROUNDING <= ends[0] <= mean + ROUNDING <= ends[1] + 2 * ROUNDING <= 1 + 3 * ROUNDING:
        raise ValueError(f"{name} is {mean!r} in [{low!r}, {high!r}], which no metric can be")
    return mean, low, high


def _key(value: Any) -> str:
    """Return JSON values as a text that is equal for equal ones."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _low(interval: Interval) -> float:
    return interval[0] if interval[1] is None else interval[1]


def _named(value: Any, where: str) -> str:
    text = plain(value, where).strip()
    if not text:
        raise ValueError(f"{where} is empty")
    return text


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:60]!r} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{str(value)[:60]!r} is no count")
    return value
