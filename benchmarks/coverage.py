"""How often nominal 95 % intervals hold the true value, simulated on the slide sizes of real test sets.

A simulated slide keeps a real slide's number of cells and borrows the positive rate of a slide drawn from the same
set. Slides differ in where their scores lie and in how well the classes part. The truth is the mean of the metric over
all simulations.

    python benchmarks/coverage.py --simulations 1000 --replicates 500
"""

from __future__ import annotations

import math

import numpy as np
from recording import arguments, keep, say

from mitozoo.statistics.bootstrap import ScoredRow, effective_groups, intervals

METRICS = ("auroc", "within_slide_auroc", "average_precision", "balanced_accuracy")

# (mitotic figures, look-alikes) of each slide: facts counted in the public label files.
MIDOGPP_TEST = """
0 1 1 3 0 5 3 3 1 5 3 4 1 6 1 6 3 5 3 5 3 5 0 9 0 9 0 9 5 4 5 5 2 8 4 7 2 9 3 9 0 12 2 11 4 9 7 6 7 7 4 10 4 10 6 9
7 8 2 13 1 14 1 14 7 9 2 14 11 6 4 15 8 11 4 15 3 16 13 6 11 9 9 12 7 14 11 12 8 16 8 17 6 19 17 8 8 18 7 19 10 17
15 12 6 21 10 17 20 9 6 23 11 20 13 18 5 26 1 30 19 13 15 18 18 17 6 30 9 27 12 25 9 28 2 35 12 25 22 18 17 23 13
27 26 15 7 34 23 19 4 39 30 15 27 19 7 41 11 43 22 32 20 34 14 41 20 36 27 29 33 24 25 34 3 57 16 50 30 39 52 25 44
38 44 40 36 51 21 69 30 64 77 20 69 30 49 53 63 40 42 63 58 50 79 45 59 124 96 90 87 104 106 93 112 114 191 48 164
92 163 107
"""
CCMCT_TRAIN = """
3 48 4 30 6 16 7 17 8 262 11 57 18 137 19 54 19 48 66 24 85 880 571 350 1000 534 1157 477 1279 1407 1329 474 1744
1466 2279 1297 3689 3412 4343 2024 4767 1326
"""
CCMCT_TEST = "12 55 37 115 56 75 119 670 715 1212 759 690 777 525 2380 459 3068 3762 3569 1759 10984 4303"


def slides(text, share=1.0):
    """Return (sizes, positive rates) of the slides, sizes scaled by a share to make the simulation affordable."""
    positive, negative = np.array(text.split(), dtype=float).reshape(-1, 2).T
    return np.maximum(4, np.round((positive + negative) * share)).astype(int), positive / (positive + negative)


def scenarios():
    sizes, rates = slides(MIDOGPP_TEST)
    third = np.linspace(0, 110, 32).round().astype(int)
    return {
        "200 equal": (np.full(200, 10), rates),
        "MIDOG++-like 111": (sizes, rates),
        "MIDOG++-like 32": (sizes[third], rates),
        "CCMCT-like 32": slides(CCMCT_TRAIN + " " + CCMCT_TEST, 0.03),
        "CCMCT-like 11": slides(CCMCT_TEST, 0.05),
    }


def simulate(rng, sizes, rates):
    """Return (scores, labels, slides) of one data set."""
    of_cell = np.repeat(np.arange(len(sizes)), sizes)
    labels = (rng.random(len(of_cell)) < rng.choice(rates, len(sizes))[of_cell]).astype(int)
    place, parting = 0.5 * rng.normal(size=len(sizes)), 1.5 + 0.3 * rng.normal(size=len(sizes))
    log_odds = rng.normal(size=len(of_cell)) + place[of_cell] + parting[of_cell] * labels - 0.75
    return 1 / (1 + np.exp(-log_odds)), labels, of_cell


def coverage(sizes, rates, *, methods, simulations, replicates, seed):
    """Return method -> metric -> (share of intervals that hold the truth, share of simulations without one).

    The method 'cells' draws single cells as if they were independent, which they are not.
    """
    rng = np.random.default_rng(seed)
    ends = np.full((simulations, len(methods), len(METRICS), 2), np.nan)
    values = np.full((simulations, len(METRICS)), np.nan)
    for turn in range(simulations):
        scores, labels, slide = simulate(rng, sizes, rates)
        row = ScoredRow("all", np.arange(len(labels)), scores, 0.5, fold=0, seed=0)
        for k, method in enumerate(methods):
            groups, forced = (np.arange(len(labels)), "percentile") if method == "cells" else (slide, method)
            inside = groups if method == "cells" else slide
            found = intervals([row], labels, groups, inside, replicates=replicates, seed=turn, method=forced)
            estimates = [found.rows["all"].metrics[name] for name in METRICS]
            ends[turn, k] = [(e.ci_low, e.ci_high) for e in estimates]
            if method != "cells":
                values[turn] = [e.value for e in estimates]
    truth = np.nanmean(values, axis=0)
    held, withheld = (ends[..., 0] <= truth) & (truth <= ends[..., 1]), np.isnan(ends[..., 0])
    with np.errstate(invalid="ignore"):
        shares = held.sum(axis=0) / (~withheld).sum(axis=0)
    rows = zip(methods, shares, withheld.mean(axis=0), strict=True)
    return {method: dict(zip(METRICS, zip(*row, strict=True), strict=True)) for method, *row in rows}


def main():
    parser = arguments(__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=500)
    asked = parser.parse_args()
    say(f"| slides | effective | method | {' | '.join(METRICS)} |")
    say("|---|---|---|" + "---|" * len(METRICS))
    for number, (name, (sizes, rates)) in enumerate(scenarios().items()):
        found = coverage(
            sizes,
            rates,
            methods=("percentile", "jackknife", "cells"),
            simulations=asked.simulations,
            replicates=asked.replicates,
            seed=number,
        )
        for method, shares in found.items():
            told = " | ".join(
                "-" if math.isnan(share) else f"{share:.3f}" + (f" ({withheld:.1%} none)" if withheld else "")
                for share, withheld in shares.values()
            )
            say(f"| {name} | {effective_groups(sizes):.1f} | {method} | {told} |")
    keep(asked, __doc__)


if __name__ == "__main__":
    main()
