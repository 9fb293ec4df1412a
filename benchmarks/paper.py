"""Whether a sweep over guidance scales tells the paper's story: `python -m benchmarks.paper RUN`.

RUN is a measured run of `examples/figure6-miniature.toml` or its like: an unguided arm, and arms of
classifier-free and of CLIP guidance at several scales. Prints each strategy's curve, then what
GLIDE's §4 and figure 6 claim, with the figures that bear it out or don't. Arms share prompts and
noise, so what rises or falls is told by paired differences (`glide-eval metrics RUN --baseline
unguided`), whose intervals are narrower than those of the values; "yes" asks that the difference at
the scale named, where it is largest, is beyond its interval.

Those intervals ask what other captions would have given, and recall's is conservative besides. With
`--reference FILE`, a reference of the sweep's own captions, they take the captions as given and ask
what other noise would have: a jackknife over replicas. Without it, FID's rise from its lowest scale
is known only if `--pair` measured that difference, and shown as NaN.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from glide_eval.extractors import load_extractor
from glide_eval.metric_tables import DIFFERENCES_FILE
from glide_eval.metrics.fid import fid
from glide_eval.metrics.inception_score import inception_score
from glide_eval.metrics.precision_recall import Neighbourhoods, precision, recall
from glide_eval.reference import Reference
from glide_eval.run_features import extract_run, samples_by_arm
from glide_eval.run_store import RunFolder

METRICS = (
    "fid", "inception_score", "precision", "recall", "caption_accuracy", "clip_score",
    "guiding_clip_score",
)  # fmt: skip
OF_FEATURES = METRICS[:4]
SUBSETS = 40
NAMES = {"classifier_free": "classifier-free", "clip": "CLIP"}


@dataclass(frozen=True)
class Curve:
    """One strategy from its unguided start upwards.

    Attributes:
        strategy: `classifier_free` or `clip`.
        scales: ascending; the first is the unguided arm's (1 or 0).
        values: metric -> float64 (scales, 3), value and interval.
        gaps: metric -> float64 (scales, scales, 3), how much each scale's value exceeds each
            other's, and intervals; NaN where that was not measured.
    """

    strategy: str
    scales: np.ndarray
    values: dict[str, np.ndarray]
    gaps: dict[str, np.ndarray]

    def __getitem__(self, metric: str) -> np.ndarray:
        """Values along the scales."""
        return self.values[metric][:, 0]

    def gained(self, metric: str) -> np.ndarray:
        """Differences from the unguided arm and their intervals: float64 (scales, 3)."""
        return self.gaps[metric][:, 0]

    def at(self, metric: str, fid: float) -> float:
        """A metric where the curve reaches this FID for the last time, interpolated in FID.

        NaN if it doesn't.
        """
        fids, values = self["fid"], self[metric]
        for i in range(len(fids) - 2, -1, -1):
            low, high = sorted((fids[i], fids[i + 1]))
            if low <= fid <= high and high > low:
                share = (fid - fids[i]) / (fids[i + 1] - fids[i])
                return float(values[i] + share * (values[i + 1] - values[i]))
        return float("nan")


def read_curves(run: RunFolder, given: pd.DataFrame | None = None) -> dict[str, Curve]:
    """Both strategies' curves of a measured run.

    Args:
        run: measured with the unguided arm as baseline.
        given: differences of `with_captions_given`, to take the place of the run's own.
    """
    table = pd.read_csv(run.metrics_path).set_index(["arm", "metric"])
    paired = pd.read_csv(run.root / DIFFERENCES_FILE).set_index(["arm", "baseline", "metric"])
    if given is not None:
        paired = pd.concat([paired.drop(given.index, errors="ignore"), given])
    arms = list(run.arms())
    start = next(arm for arm in arms if arm.strategy == "unguided")
    curves = {}
    for strategy, origin in (("classifier_free", 1.0), ("clip", 0.0)):
        own = sorted((arm.scale or 0.0, arm.name) for arm in arms if arm.strategy == strategy)
        points = [(origin, start.name), *own]
        columns = ["value", "ci_low", "ci_high"]
        values = {
            metric: np.array([table.loc[(name, metric), columns] for _, name in points], float)
            for metric in METRICS
        }
        columns = ["difference", "ci_low", "ci_high"]
        names, shape = [name for _, name in points], (len(points), len(points), 3)
        gaps = {
            metric: paired.reindex([(a, b, metric) for a in names for b in names])[columns]
            .to_numpy(float)
            .reshape(shape)
            for metric in METRICS
        }
        scales = np.array([scale for scale, _ in points])
        curves[strategy] = Curve(strategy, scales, values, gaps)
    return curves


def with_captions_given(run: RunFolder, reference: Path) -> pd.DataFrame:
    """Differences of all arms, with intervals over the noise alone.

    A delete-d jackknife over replicas (Shao and Wu 1989, Annals of Statistics 17): of r replicas, d
    = r / 5 at random are left out for all captions, and a difference measured on the others. Over
    many such subsets, SE² = (r − d)/d · variance. To leave out several smooths the jumps that make
    the jackknife over prompts, one at a time, conservative for recall. The reference is held fixed.

    Returns:
        Rows by (arm, baseline, metric): difference, ci_low, ci_high at 95%.
    """
    real = Reference.read(reference)
    extractor = load_extractor(real.extractor)
    real.refuse_other_extractor(extractor, reference)
    samples = samples_by_arm(run)
    features = extract_run(run, samples, [extractor])
    count = 1 + max(sample.replica for found in samples.values() for sample in found)
    left_out = max(count // 5, 1)
    generator = np.random.default_rng(0)
    kept = [generator.permutation(count)[left_out:] for _ in range(SUBSETS)]
    whole, parts = {}, {}
    for arm in samples:
        found, replicas = features[extractor.name, arm], [s.replica for s in samples[arm]]
        assert found.logits is not None, f"{extractor.name} gives no Inception Score"
        whole[arm] = _of_features(found.pool, found.logits, real)
        chosen = [np.isin(replicas, some) for some in kept]
        parts[arm] = np.array(
            [_of_features(found.pool[rows], found.logits[rows], real) for rows in chosen]
        )
    quantile = float(stats.t.ppf(0.975, count - 1))
    rows = []
    for arm, baseline in permutations(samples, 2):
        variance = np.var(parts[arm] - parts[baseline], axis=0)
        reach = quantile * np.sqrt((count - left_out) / left_out * variance)
        gaps = whole[arm] - whole[baseline]
        for metric, gap, error in zip(OF_FEATURES, gaps, reach, strict=True):
            rows.append((arm, baseline, metric, gap, gap - error, gap + error))
    columns = ["arm", "baseline", "metric", "difference", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def _of_features(pool: np.ndarray, logits: np.ndarray, real: Reference) -> np.ndarray:
    seen = Neighbourhoods.of(pool, real.manifold)
    values = fid(pool, real.moments), inception_score(logits), precision(seen), recall(seen)
    return np.array([value.value for value in values])


def claims(curves: dict[str, Curve]) -> Iterator[tuple[str, bool, str]]:
    """What the paper says, whether it holds here, and the figures."""
    free, clip = curves["classifier_free"], curves["clip"]
    for metric, sign in (("inception_score", 1), ("precision", 1), ("recall", -1)):
        most = int(np.argmax(sign * free[metric]))
        gained = sign * free.gained(metric)[most]
        yield (
            f"classifier-free: {metric} {'rises' if sign > 0 else 'falls'} with scale, "
            f"the most at {free.scales[most]:g}",
            bool(gained[1:].min() > 0),
            _along(free, metric),
        )
    low = int(np.argmin(free["fid"]))
    dip, rise = free.gaps["fid"][low, 0], free.gaps["fid"][-1, low]
    yield (
        f"classifier-free: FID dips (lowest at {free.scales[low]:g}), then rises (by "
        f"{_shown(rise)} to {free.scales[-1]:g})",
        bool(dip[2] < 0 < rise[1]),
        _along(free, "fid"),
    )
    for metric, sign in (("guiding_clip_score", 1), ("caption_accuracy", -1)):
        gaps = [
            (scale, value - free.at(metric, fid))
            for scale, fid, value in zip(clip.scales[1:], clip["fid"][1:], clip[metric][1:],
                                         strict=True)
        ]  # fmt: skip
        known = [(scale, gap) for scale, gap in gaps if np.isfinite(gap)]
        told = ", ".join(f"{gap:+.3g} at {scale:g}" for scale, gap in known)
        side = "above" if sign > 0 else "below"
        yield (
            f"CLIP guidance at equal FID: {metric} {side} classifier-free's",
            bool(known) and all(np.sign(gap) == sign for _, gap in known),
            told or "no scale reaches an FID of the other curve",
        )


def _along(curve: Curve, metric: str) -> str:
    """Differences from the unguided arm, scale by scale."""
    gained = zip(curve.scales[1:], curve.gained(metric)[1:], strict=True)
    return ", ".join(f"{_shown(value)} at {scale:g}" for scale, value in gained)


def _shown(value: np.ndarray) -> str:
    return f"{value[0]:.3g} [{value[1]:.3g}, {value[2]:.3g}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a measured run")
    parser.add_argument("--reference", type=Path, help="of the run's own captions")
    args = parser.parse_args()
    run = RunFolder.open(args.run)
    given = with_captions_given(run, args.reference) if args.reference else None
    curves = read_curves(run, given)
    for curve in curves.values():
        print(f"{NAMES[curve.strategy]}\n{'scale':>8}  " + "  ".join(m.rjust(24) for m in METRICS))
        for i, scale in enumerate(curve.scales):
            cells = (_shown(curve.values[metric][i]).rjust(24) for metric in METRICS)
            print(f"{scale:8g}  " + "  ".join(cells))
    for claim, holds, figures in claims(curves):
        print(f"{'yes' if holds else 'NO ':3}  {claim}: {figures}")


if __name__ == "__main__":
    main()
