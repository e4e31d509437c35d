"""Time of a linear probe (5 inner folds, the walk along the penalties, the refit) against scikit-learn, fit by fit.

That both give the same probabilities is checked first. The features have a power-law spectrum, as embeddings do.

python benchmarks/probe.py            # n = 4,000, d = 512: under a minute on two cores
python benchmarks/probe.py --full     # n = 46,000, d = 1,024: the size of the largest public datasets
"""

from __future__ import annotations

import time

import numpy as np
import torch
from recording import arguments, keep, say
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mitozoo.data.splits import inner_folds
from mitozoo.protocols.design import Design
from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe
from mitozoo.protocols.logistic import PenaltyPath

TOLERANCE = 1e-4  # of probabilities
PROBE = LinearProbe(name="linear-probe", version=1, title="")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--full", action="store_true", help="n = 46,000, d = 1,024")
    parser.add_argument("--repeats", type=int, help="times that the probe is fitted (3; with --full 1)")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    n, d = (46_000, 1_024) if asked.full else (4_000, 512)

    embeddings, labels, groups = power_law(n, d)
    everyone, test = np.arange(n), np.arange(n, len(labels))
    parts = inner_folds(labels, groups, everyone, folds=PROBE.inner_folds, seed=PROBE.split_seed)
    member = ~np.isin(everyone, parts[0])
    scaler = StandardScaler()
    inside = scaler.fit_transform(embeddings[:n][member].astype(np.float64))
    everything = scaler.transform(embeddings.astype(np.float64))
    walked = walked_penalties(embeddings, labels, groups, everyone, test, asked.device)

    theirs, largest = [], 0.0
    path = path_of_one(embeddings[:n], labels[:n], member, asked.device)
    for penalty in walked if not asked.full else walked[-3:]:
        fitted = LogisticRegression(C=1 / (penalty * len(inside)), tol=1e-8, max_iter=100_000)
        theirs.append(timed(lambda fitted=fitted: fitted.fit(inside, labels[:n][member])))
        head = path.solve(penalty)
        ours = sigmoid(embeddings.astype(np.float64) @ head.weights[0].cpu().numpy() + head.bias.item())
        largest = max(largest, np.abs(ours - fitted.predict_proba(everything)[:, 1]).max())
    if largest > TOLERANCE:
        raise SystemExit(f"probabilities differ from scikit-learn's by up to {largest:.1e}")
    say(f"n = {n:,}, d = {d:,}: equal to scikit-learn within {largest:.1e} at {len(theirs)} penalties")

    fits = len(parts) * len(walked) + 1
    repeats = asked.repeats or (1 if asked.full else 3)
    probes = [
        timed(lambda: fit_linear_probe(PROBE, embeddings, labels, groups, everyone, test, device=asked.device))
        for _ in range(repeats)
    ]
    probe, per_fit, one = np.median(probes, 0), np.median(probes, 0) / fits, np.median(theirs, 0)
    say(f"mitozoo, {fits} fits: median of {repeats}: {probe[0]:.2f} s, {probe[1]:.2f} s of processor time")
    for word, index in (("elapsed", 0), ("processor", 1)):  # the second is the truer one on a busy machine
        say(
            f"{word} time a fit: mitozoo {per_fit[index] * 1e3:.1f} ms, scikit-learn {one[index] * 1e3:.1f} ms, "
            f"ratio {one[index] / per_fit[index]:.1f}"
        )
    keep(asked, __doc__)


def timed(work):
    """Elapsed and processor seconds."""
    elapsed, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - elapsed, time.process_time() - processor


def power_law(n, d, held_out=1000):
    """Embeddings whose k-th principal direction has variance 1/k, with a signal in the first ones and slides."""
    random = np.random.default_rng(0)
    total, slides = n + held_out, max(50, n // 50)
    spectrum = 1 / np.sqrt(np.arange(1, d + 1))
    latent = random.normal(size=(total, d), scale=spectrum).astype(np.float32)
    margins = latent[:, : d // 8] @ (random.normal(size=d // 8) / spectrum[: d // 8] / np.sqrt(d / 8))
    labels = (margins + random.logistic(size=total) > 0.5).astype(np.int8)
    mix = np.linalg.qr(random.normal(size=(d, d)))[0].astype(np.float32)
    groups = np.concatenate([random.integers(slides, size=n), slides + np.arange(held_out)])
    return latent @ mix, labels, groups.astype(str)


def path_of_one(embeddings, labels, member, device):
    design = Design(torch.as_tensor(embeddings, device=device), torch.as_tensor(labels.astype(int), device=device))
    return PenaltyPath(design, torch.as_tensor(member[None], device=device))


def walked_penalties(embeddings, labels, groups, train, test, device):
    """The penalties that the probe tries: from the strongest to `give_up_after` beyond its choice."""
    chosen = fit_linear_probe(PROBE, embeddings, labels, groups, train, test, device=device).selected["lambda"]
    descending = PROBE.lambdas[::-1]
    return descending[: descending.index(chosen) + 1 + PROBE.give_up_after]


def sigmoid(margins):
    return 1 / (1 + np.exp(-margins))


if __name__ == "__main__":
    main()
