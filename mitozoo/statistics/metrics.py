"""The metrics of one set of scored cells: one implementation for the value itself and for its replicates."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mitozoo.errors import DataError
from mitozoo.statistics.arrays import ONCE, Floats, codes
from mitozoo.statistics.calibration import at_temperature, calibration_line
from mitozoo.statistics.pairs import PairsWithin, WithinDomain, WithinSlides
from mitozoo.statistics.ranking import PREVALENCES, EqualMass, Ranking
from mitozoo.statistics.sums import AT_THRESHOLD, TEMPERED, Sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Codes

_ERRORS = tuple(f"{name}{ending}" for ending in ("", TEMPERED) for name in ("brier", "log_loss", "ece", "ece_mass"))
#: Metrics that every replicate has.
REPLICATED: tuple[str, ...] = (
    "auroc",
    "average_precision",
    *(f"ap@{prevalence:.2f}" for prevalence in PREVALENCES),
    "within_slide_auroc",
    "within_slide_auroc_macro",
    *AT_THRESHOLD,
    *(f"{name}_at_half" for name in AT_THRESHOLD),
    "sensitivity_at_90_specificity",
    "sensitivity_at_95_specificity",
    "specificity_at_90_sensitivity",
    "specificity_at_95_sensitivity",
    *_ERRORS,
)
#: Metrics that need a fit or an order of their own: values without intervals, since a thousand would cost too much.
_LINE = ("calibration_slope", "calibration_intercept", f"calibration_slope{TEMPERED}")
OF_NEGATIVES = "average_precision_of_negatives"  # which a benchmark of the other class reports
POINT_ONLY: tuple[str, ...] = (*_LINE, OF_NEGATIVES)
METRICS: tuple[str, ...] = REPLICATED + POINT_ONLY

#: 'unit': 0 to 1; 'symmetric': -1 to 1; 'positive': 0 and up; 'real': any number.
RANGES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(REPLICATED, "unit")
    | {"mcc": "symmetric", "mcc_at_half": "symmetric", "log_loss": "positive", f"log_loss{TEMPERED}": "positive"}
    | dict.fromkeys(_LINE, "real")
)
_ENDS = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0), "positive": (0.0, np.inf), "real": (-np.inf, np.inf)}
_ONE_CLASS_WILL_DO = frozenset(_ERRORS) | {
    name + ending for name in ("sensitivity", "specificity", "accuracy") for ending in ("", "_at_half")
}
_BLOCK = 2**19  # cells times replicates at once: 4 MB an array, some 40 MB in all


def metric_range(name: str) -> str:
    """Return 'unit', 'symmetric', 'positive' or 'real' for a metric's name, `domain_macro_<domain>_auroc` included."""
    return RANGES.get(name, "unit")


def metric_direction(name: str) -> str:
    """Return which way is better: 'higher' or 'lower'; 'target' for the calibration line (slope 1, intercept 0)."""
    return "target" if name in _LINE else "lower" if name in _ERRORS else "higher"


def compute(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    slides: ArrayLike,
    threshold: float,
    temperature: float = 1.0,
    domains: Mapping[str, ArrayLike] | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> dict[str, Floats]:
    """Return every metric, each (B,), NaN where it is undefined (one class only).

    A cell is called positive where its score >= threshold. Whole weights equal repeating the cells.

    Args:
        scores: (n,) probabilities of the positive class, 0 to 1.
        labels: (n,) 0 or 1.
        slides: (n,) names or codes; pairs of one slide make the within-slide metrics.
        threshold: from where on a score is called positive.
        temperature: of the probabilities that the metrics `..._after_temperature` are made of.
        domains: name of a domain -> (n,) its values; each adds `domain_macro_<name>_auroc`.
        weights: (B, G) how many copies of each group a replicate holds; without `groups` (B, n), of each cell.
            None: one row, every cell once, and only then the metrics of `POINT_ONLY`.
        groups: (n,) codes below G, the column of `weights` for each cell. A copy of a group brings its slides as
            slides of their own, so no pair is made across copies; cells weighted singly repeat within their slide.

    Raises:
        DataError: no cells, scores that are not numbers from 0 to 1, or labels other than 0 and 1.
        ValueError: arrays that do not fit each other, or a slide in two groups.
    """
    chances, positive = _checked(scores, labels)
    by_cell = weights is not None and groups is None
    copies, units = ONCE, _one_unit(chances)
    if weights is not None:
        copies = np.pad(np.asarray(weights, dtype=float), ((0, 0), (1, 0)))  # column 0 belongs to nobody
        units = 1 + (np.arange(len(chances)) if groups is None else np.asarray(groups, dtype=np.intp))
        if units.shape != chances.shape or units.min() < 1 or units.max() >= copies.shape[1]:
            raise ValueError("each cell needs one group, and each group one column of the weights")
    tempered = None if temperature == 1 else at_temperature(chances, temperature)
    parts: list[_Part] = [
        Sums(chances, positive, units, threshold, tempered),
        EqualMass(chances, positive, units, tempered),
        WithinSlides(chances, positive, units, codes(slides), whole=not by_cell),
        *(WithinDomain(name, chances, positive, units, codes(values)) for name, values in (domains or {}).items()),
    ]
    if 0 < positive.sum() < len(positive):
        parts.append(Ranking(chances, positive, units))
    rows = max(1, _BLOCK // len(chances))
    blocks = []
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is how 'undefined' shows
        for start in range(0, len(copies), rows):
            block = np.asfortranarray(copies[start : start + rows])  # its transpose is gathered, cell by cell
            blocks.append({name: value for part in parts for name, value in part.metrics(block).items()})
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    by_class = [copies @ np.bincount(units, each, minlength=copies.shape[1]) for each in (positive, 1 - positive)]
    undefined = np.minimum(*by_class) == 0
    for name in {*REPLICATED, *found} - _ONE_CLASS_WILL_DO:
        found[name] = np.where(undefined, np.nan, found.get(name, np.nan))
    if weights is None:
        slope, intercept = calibration_line(chances, positive)
        line = (slope, intercept, slope * temperature)  # dividing the log odds turns the line, and keeps its intercept
        found |= {name: np.array([value]) for name, value in zip(_LINE, line, strict=True)}
        both = 0 < positive.sum() < len(positive)
        turned = Ranking(1 - chances, 1 - positive, units).average_precision(ONCE, 1.0)[0] if both else np.nan
        found[OF_NEGATIVES] = np.array([turned])
    ordered = [name for name in METRICS if name in found] + [name for name in found if name not in METRICS]
    return {name: np.clip(found[name], *_ENDS[metric_range(name)]) for name in ordered}  # sums of fractions round


def domain_macro_auroc(scores: ArrayLike, labels: ArrayLike, values: ArrayLike) -> float:
    """Return the mean AUROC inside those values (n,) of a domain that hold both classes; NaN where none does."""
    chances, positive = _checked(scores, labels)
    wins, pairs = PairsWithin(chances, positive, _one_unit(chances), codes(values)).wins(ONCE)
    return float((wins / pairs).mean()) if pairs.size else float("nan")


def average_precision_at_prevalence(scores: ArrayLike, labels: ArrayLike, prevalence: float) -> float:
    """Return the average precision of the same candidates, the negatives reweighted until positives have a prevalence.

    Its name bears the prevalence (`ap@0.10`); it is no clinical precision. NaN where a class is missing.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence lies between 0 and 1, not {prevalence}")
    chances, positive = _checked(scores, labels)
    positives = positive.sum()
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    weight = (1 - prevalence) / prevalence * positives / negatives
    ranking = Ranking(chances, positive, _one_unit(chances))
    return float(ranking.average_precision(ONCE, weight)[0])


def best_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the threshold with the highest balanced accuracy.

    The candidates lie half-way between neighbouring distinct scores. Of several that are equally good, it is the
    middle one; of two in the middle, the lower. Where there is nothing to choose (scores all equal, or one class),
    it is 0.5.
    """
    chances, positive = _checked(scores, labels)
    distinct, step = np.unique(chances, return_inverse=True)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if len(distinct) < 2 or not positives or not negatives:
        return 0.5
    missed, rejected = (np.cumsum(np.bincount(step, each))[:-1].astype(np.int64) for each in (positive, 1 - positive))
    merit = rejected * positives - missed * negatives  # balanced accuracy in whole numbers, so that ties are ties
    middle = distinct[:-1] + np.diff(distinct) / 2
    cuts = np.where(middle > distinct[:-1], middle, distinct[1:])  # between neighbouring floats lies no other
    equal = cuts[merit == merit.max()]
    return float(equal[(len(equal) - 1) // 2])


class _Part(Protocol):
    """A family of metrics, prepared for some cells; takes any number of weightings."""

    def metrics(self, weights: Floats) -> dict[str, Floats]: ...


def _one_unit(chances: Floats) -> Codes:
    return np.ones(len(chances), dtype=np.intp)


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    chances, positive = np.asarray(scores, dtype=float), np.asarray(labels, dtype=float)
    if chances.ndim != 1 or chances.shape != positive.shape:
        raise ValueError(
            f"each cell needs one score and one label, not {chances.shape} scores, {positive.shape} labels"
        )
    if not len(chances):
        raise DataError("there are no test cells to score", hint="Check the split: its test side is empty.")
    outside = int((~((chances >= 0) & (chances <= 1))).sum())  # NaN is counted too
    if outside:
        raise DataError(f"{outside} of {len(chances)} scores are not probabilities from 0 to 1")
    if not np.isin(positive, (0, 1)).all():
        raise DataError("labels must be 0 (negative) or 1 (positive)")
    return chances, positive
