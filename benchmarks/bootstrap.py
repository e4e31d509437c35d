"""Time of a run's intervals, against a loop of scikit-learn calls; that both agree is checked first.

python benchmarks/bootstrap.py --fits 25 --cells 14000 --groups 300 --replicates 1000
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from recording import arguments, keep, say
from sklearn import metrics as sk

from mitozoo.statistics.bootstrap import ScoredRow, intervals
from mitozoo.statistics.metrics import REPLICATED, compute
from mitozoo.statistics.resampling import draw_groups

# What scikit-learn has; mitozoo computes the within-slide, calibration and operating-point metrics besides.
OF_SCIKIT_LEARN = {
    "auroc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "balanced_accuracy": lambda y, s: sk.balanced_accuracy_score(y, s >= 0.5),
    "f1": lambda y, s: sk.f1_score(y, s >= 0.5),
    "mcc": lambda y, s: sk.matthews_corrcoef(y, s >= 0.5),
    "sensitivity": lambda y, s: sk.recall_score(y, s >= 0.5),
    "specificity": lambda y, s: sk.recall_score(y, s >= 0.5, pos_label=0),
    "accuracy": lambda y, s: sk.accuracy_score(y, s >= 0.5),
    "brier": sk.brier_score_loss,
    "log_loss": sk.log_loss,
}


def main():
    parser = arguments(__doc__)
    for name, value in {"fits": 25, "cells": 14_000, "groups": 300, "replicates": 1000, "repeats": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()

    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(asked.groups, size=asked.cells))
    labels = (rng.random(asked.cells) < 0.4).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=(asked.fits, asked.cells)) + labels)))
    draws = draw_groups(asked.groups, asked.replicates, seed=0)

    few = draws[:5]
    found = compute(scores[0], labels, slides=groups, threshold=0.5, weights=few, groups=groups)
    start = time.process_time()
    for k, copies in enumerate(few):
        rows = np.repeat(np.arange(asked.cells), copies[groups])
        for name, metric in OF_SCIKIT_LEARN.items():
            np.testing.assert_allclose(found[name][k], metric(labels[rows], scores[0][rows]), rtol=1e-9, err_msg=name)
    loop = (time.process_time() - start) / len(few) * asked.replicates * asked.fits

    rows = [
        ScoredRow(str(k), np.arange(asked.cells), each, 0.5, fold=0, seed=k, temperature=1.3)
        for k, each in enumerate(scores)
    ]
    seconds, busy = [], time.process_time()
    for _ in range(asked.repeats):
        start = time.perf_counter()
        intervals(rows, labels, groups, groups, replicates=asked.replicates)
        seconds.append(time.perf_counter() - start)
    busy = (time.process_time() - busy) / asked.repeats
    median = statistics.median(seconds)
    say(f"equal to scikit-learn in {len(few)} replicates of {len(OF_SCIKIT_LEARN)} metrics")
    say(f"mitozoo: {len(REPLICATED)} metrics, median {median:.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    say(f"mitozoo, processor time: {busy:.1f} s")
    say(f"scikit-learn loop: {len(OF_SCIKIT_LEARN)} metrics, processor time scaled from {len(few)}: {loop:.0f} s")
    say(f"ratio of processor times: {loop / busy:.0f}")
    keep(asked, __doc__)


if __name__ == "__main__":
    main()
