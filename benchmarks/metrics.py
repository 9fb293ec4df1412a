"""Metrics beside the libraries people use, on the same random features in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.metrics [--only fid,kid] [--scale 0.2]

`--scale` shrinks every count of images (not the 2048 dimensions); `--only` picks rows by the start
of their name: fid-1k, fid-10k, fid-interval, oracle, agreement, kid, neighbours, memory. Times are
CPU seconds of all threads, so that a shared machine does little harm. A peer's time for 16 arms is
sixteen times that of one distance, as each arm costs it the same.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from glide_eval.metrics.fid import Moments, fid, frechet_distance
from glide_eval.metrics.kid import kid, kid_reference_term
from glide_eval.metrics.neighbours import Manifold
from glide_eval.metrics.precision_recall import (
    Neighbourhoods,
    coverage,
    density,
    precision,
    recall,
)

D = 2048
ARMS = 16
RESAMPLES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows, by the start of their name")
    parser.add_argument("--scale", type=float, default=1.0, help="of every count of images")
    parser.add_argument("--in-memory", choices=MEMORY, help=argparse.SUPPRESS)
    options = parser.parse_args()

    def count(n: int) -> int:
        return max(20, round(n * options.scale))

    if options.in_memory:
        print(peak_growth(MEMORY[options.in_memory], count(10_000)))
        return
    rows: dict[str, Callable[[], None]] = {
        "fid-1k": lambda: fid_of_arms(count(1_000)),
        "fid-10k": lambda: fid_of_arms(count(10_000)),
        "fid-interval": lambda: fid_interval(count(10_000)),
        "oracle": lambda: [exact_oracle(count(n)) for n in (5_000, 1_000)],
        "agreement": lambda: agreement(count(10_000)),
        "kid": lambda: kid_row(count(5_000)),
        "neighbours": lambda: neighbours(count(10_000)),
        "memory": lambda: memory(options.scale, count(10_000)),
    }
    print(heading())
    wanted = tuple(options.only.split(","))
    for name, row in rows.items():
        if name.startswith(wanted):
            row()


def heading() -> str:
    packages = ("numpy", "torch", "clean-fid", "torch-fidelity", "torchmetrics")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    threads = torch.get_num_threads()
    return f"{platform.processor() or platform.machine()}, {threads} thread(s), d = {D}; {versions}"


def fid_of_arms(n: int) -> None:
    """FID of 16 arms from their moments, the reference's the same for all."""
    real, arms = features(n, 0), [features(n, 1 + i % 2) for i in range(2)]
    reference, ours = Moments.of(real), [Moments.of(arm) for arm in arms]
    theirs = [peer_moments(x) for x in (*arms, real)]
    frechet_distance(ours[0], reference)  # warm up
    took, values = timed(lambda: [frechet_distance(ours[i % 2], reference) for i in range(ARMS)])
    say(f"FID, {ARMS} arms from moments of n = {n:,}", "glide-eval", took, values[0])
    for peer, distance in (("torch-fidelity", torch_fidelity), ("clean-fid", clean_fid),
                           ("torchmetrics", torchmetrics)):  # fmt: skip
        theirs_took, value = timed(lambda d=distance: d(theirs[0], theirs[2]))
        say("", f"{peer}, 16 × one", ARMS * theirs_took, value, took)


def fid_interval(n: int) -> None:
    """What an interval adds to FID, against bootstrapping it."""
    real, fake = Moments.of(features(n, 0)), features(n, 1)
    with_interval, result = timed(lambda: fid(fake, real))
    alone, value = timed(lambda: frechet_distance(Moments.of(fake), real))
    draw = np.random.default_rng(0).integers(0, n, n)
    resample, _ = timed(lambda: frechet_distance(Moments.of(fake[draw]), real))
    say(f"FID with interval, n = {n:,}", "glide-eval, whole", with_interval, result.value)
    say("", "glide-eval, FID alone", alone, value)
    say("", "bootstrap, 100 × one", RESAMPLES * resample, value, with_interval)


def exact_oracle(n: int) -> None:
    """X₂ = X₁T with T positive definite has a distance known in closed form."""
    first = features(n, 0)
    root = np.random.default_rng(9).normal(size=(D, D)) / np.sqrt(D)
    transport = root @ root.T / 2 + 0.5 * np.eye(D)
    second = first @ transport
    gap, mean_gap = first - second, (first - second).mean(axis=0)
    wanted = mean_gap @ mean_gap + np.sum((gap - mean_gap) ** 2) / (n - 1)
    a, b = Moments.of(first), Moments.of(second)
    took, found = timed(lambda: frechet_distance(a, b))
    say(f"exact oracle {wanted:.6g}, n = {n:,}: error", "glide-eval", took, abs(found - wanted))
    took, found = timed(lambda: frechet_distance(a, Moments.of(first[::-1])))
    say("identical sets: distance", "glide-eval", took, found)
    theirs, other = peer_moments(first), peer_moments(second)
    for peer, distance in (("torch-fidelity", torch_fidelity), ("clean-fid", clean_fid)):
        took, found = timed(lambda d=distance: d(theirs, other))
        say("  same oracle: error", peer, took, abs(found - wanted))
        took, found = timed(lambda d=distance: d(theirs, theirs))
        say("  identical sets: distance", peer, took, found)


def agreement(n: int) -> None:
    """FID of the same well-conditioned features by every library, relative to ours."""
    fake, real = features(n, 1), features(n, 0)
    took, ours = timed(lambda: frechet_distance(Moments.of(fake), Moments.of(real)))
    say(f"agreement on FID, n = {n:,}", "glide-eval", took, ours)
    a, b = peer_moments(fake), peer_moments(real)
    for peer, distance in (("torch-fidelity", torch_fidelity), ("clean-fid", clean_fid),
                           ("torchmetrics", torchmetrics)):  # fmt: skip
        took, found = timed(lambda d=distance: d(a, b))
        say("  relative gap", peer, took, abs(found - ours) / ours)


def kid_row(n: int) -> None:
    """KID: all images at once against 100 subsets of 1,000."""
    from cleanfid.fid import kernel_distance
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, real = (features(n, i).astype(np.float32) for i in (1, 0))
    once, term = timed(lambda: kid_reference_term(real))
    took, result = timed(lambda: kid(fake, real, None, term))
    half = (result.interval.high - result.interval.low) / 2
    say(f"KID, n = {n:,}", f"glide-eval, ± {half:.2g}", took, result.value)
    say("", "reference term, once", once, term)
    size = min(1000, n)
    peers = {
        "clean-fid": lambda: kernel_distance(real, fake, 100, size),
        "torch-fidelity": lambda: kid_features_to_metric(
            torch.from_numpy(fake), torch.from_numpy(real),
            kid_subsets=100, kid_subset_size=size, verbose=False, rng_seed=0,
        )["kernel_inception_distance_mean"],
    }  # fmt: skip
    for peer, work in peers.items():
        theirs, value = timed(work)
        say("", peer, theirs, value, took)


def neighbours(n: int) -> None:
    """Precision, recall, density and coverage against precision and recall."""
    fake, real = near_features(n)
    manifold_took, manifold = timed(lambda: Manifold.of(real))
    took, values = timed(lambda: four(fake, manifold))
    took += manifold_took
    say(f"precision … coverage, {n:,} × {n:,}", "glide-eval, all four", took, values[0])
    say("", "of which the reference's, once", manifold_took, float("nan"))
    theirs, values = timed(lambda: torch_fidelity_pr(fake, real))
    say("", "torch-fidelity, two", theirs, values[0], took)


def memory(scale: float, n: int) -> None:
    """Peak memory beyond the features themselves, each in a process of its own."""
    for name in MEMORY:
        command = [sys.executable, "-m", "benchmarks.metrics", "--in-memory", name,
                   "--scale", str(scale)]  # fmt: skip
        grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{f'peak memory, {n:,} × {n:,}':<46} {name:<32} {float(grown):8.2f} GB")


def peak_growth(work: Callable[[np.ndarray, np.ndarray], object], n: int) -> float:
    """GB that a computation on (n, d) float32 features needs at its peak."""
    fake, real = near_features(n)
    work(fake[:50], real[:50])  # imports, thread pools
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    before = peak_kilobytes()
    work(fake, real)
    return (peak_kilobytes() - before) / 1e6


def peak_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def four(fake: np.ndarray, manifold: Manifold) -> list[float]:
    seen = Neighbourhoods.of(fake, manifold)
    return [metric(seen).value for metric in (precision, recall, density, coverage)]


def torch_fidelity_pr(fake: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    return calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))


MEMORY: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "glide-eval, all four": lambda fake, real: four(fake, Manifold.of(real)),
    "torch-fidelity, two": torch_fidelity_pr,
}


def features(n: int, kind: int) -> np.ndarray:
    """Correlated Gaussian features of spread eigenvalues, another covariance for each kind."""
    rng = np.random.default_rng(kind)
    mix = rng.normal(size=(D, D)) / np.sqrt(D) + np.diag(np.linspace(0.5, 2, D))
    return rng.normal(size=(n, D)) @ mix + 0.02 * kind


def near_features(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Generated and real features, float32, of few directions, so that balls overlap."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(12, D)).astype(np.float32)
    fake = 1.1 * rng.normal(size=(n, 12)).astype(np.float32) @ basis
    real = rng.normal(size=(n, 12)).astype(np.float32) @ basis
    return fake, real


def peer_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), np.cov(x, rowvar=False)


def clean_fid(a: tuple, b: tuple) -> float:
    from cleanfid.fid import frechet_distance as distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(distance(*a, *b))


def torch_fidelity(a: tuple, b: tuple) -> float:
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    first, second = ({"mu": mean, "sigma": covariance} for mean, covariance in (a, b))
    return fid_statistics_to_metric(first, second, verbose=False)["frechet_inception_distance"]


def torchmetrics(a: tuple, b: tuple) -> float:
    from torchmetrics.image.fid import _compute_fid

    return float(_compute_fid(*(torch.from_numpy(np.asarray(part)) for part in (*a, *b))))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def say(what: str, who: str, took: float, value: object, ours: float | None = None) -> None:
    ratio = f"{took / ours:6.1f}×" if ours else ""
    print(f"{what:<46} {who:<32} {took:8.2f} s  {value:<12.6g} {ratio}", flush=True)


if __name__ == "__main__":
    main()
