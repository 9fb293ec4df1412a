"""Time the metrics on random features, beside the libraries' own functions.

OMP_NUM_THREADS=1 python benchmarks/metrics.py [--n 2000] [--d 512]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch

from glide_eval.extractors.texture import texture_statistics
from glide_eval.metrics.fid import Moments, fid, frechet_distance
from glide_eval.metrics.inception_score import inception_score
from glide_eval.metrics.neighbours import Manifold
from glide_eval.metrics.precision_recall import precision, recall


def seconds(work) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="images a side")
    parser.add_argument("--d", type=int, default=512, help="feature dimensions")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(options.d, options.d)) / np.sqrt(options.d)
    fake = rng.normal(size=(options.n, options.d)) @ mix
    real = rng.normal(size=(options.n, options.d)) @ (mix + 0.1 * np.eye(options.d))
    images = rng.integers(0, 256, (32, 128, 128, 3), dtype=np.uint8)
    reference, manifold = Moments.of(real), Manifold.of(real)
    moments = Moments.of(fake)
    rows = [
        ("moments", lambda: Moments.of(fake).n),
        ("FID from moments", lambda: frechet_distance(moments, reference)),
        ("FID with interval", lambda: fid(fake, reference).value),
        ("FID, clean-fid", lambda: clean_fid(fake, real)),
        ("FID, torchmetrics", lambda: torchmetrics_fid(fake, real)),
        ("Inception Score", lambda: inception_score(fake).value),
        ("precision", lambda: precision(fake, manifold).value),
        ("recall with interval", lambda: recall(fake, real).value),
        ("precision and recall, torch-fidelity", lambda: torch_fidelity_pr(fake, real)),
        ("texture of 32 images", lambda: float(texture_statistics(images).mean())),
    ]
    print(f"n = {options.n}, d = {options.d}, {torch.get_num_threads()} torch threads")
    for name, work in rows:
        took, result = seconds(work)
        print(f"{name:<38} {took:8.3f} s   {result}")


def clean_fid(fake: np.ndarray, real: np.ndarray) -> float:
    from cleanfid.fid import frechet_distance as distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(distance(fake.mean(0), np.cov(fake.T), real.mean(0), np.cov(real.T)))


def torchmetrics_fid(fake: np.ndarray, real: np.ndarray) -> float:
    from torchmetrics.image.fid import _compute_fid

    parts = [torch.from_numpy(a) for f in (fake, real) for a in (f.mean(0), np.cov(f.T))]
    return float(_compute_fid(*parts))


def torch_fidelity_pr(fake: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    return calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))


if __name__ == "__main__":
    main()
