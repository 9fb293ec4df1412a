"""Whether a sweep over guidance scales tells the paper's story.

`python -m benchmarks.paper RUN REFERENCE`, where RUN is a measured run of
`examples/figure6-miniature.toml` or its like: an unguided arm, and arms of classifier-free and of
CLIP guidance at several scales; REFERENCE is of the sweep's own captions. Prints each strategy's
curve, then what GLIDE's §4 and figure 6 claim, with the figures that bear it out or don't. "yes"
asks that the difference at the scale named, where it is largest, is beyond its 95% interval.

The intervals take the captions and the reference as given and ask what other noise would have
shown: a delete-d jackknife over replicas (Shao and Wu 1989, Annals of Statistics 17). Of r replicas
d = r / 5 at random are left out, in all arms and for all captions, and a figure is worked out from
the others. Over many such subsets, SE² = (r − d)/d · variance. (`glide-eval metrics RUN --baseline
ARM` asks what other captions would have shown.)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from glide_eval.extractors import load_extractor
from glide_eval.features.of_run import extract_run, samples_by_arm
from glide_eval.files.run_store import RunFolder
from glide_eval.metrics.fid import fid
from glide_eval.metrics.inception_score import inception_score
from glide_eval.metrics.precision_recall import Neighbourhoods, precision, recall
from glide_eval.references.reference import Reference

SCORES = "caption_accuracy", "clip_score", "guiding_clip_score"
METRICS = "fid", "inception_score", "precision", "recall", *SCORES
NAMES = {"classifier_free": "classifier-free", "clip": "CLIP"}
SUBSETS = 40


@dataclass(frozen=True)
class Interval:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float

    def excludes_zero(self, sign: int) -> bool:
        """Whether the whole interval lies on zero's side of this sign; not if it is NaN."""
        return self.low > 0 if sign > 0 else self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Jackknife:
    """Subsets of the replicas, the same for all arms.

    A figure is then a float64 array (1 + SUBSETS): of all replicas, then of each subset. What is
    computed from such arrays element by element is a figure too.

    Attributes:
        replicas: r.
        kept: int (SUBSETS, r − d), the replicas each subset keeps.
    """

    replicas: int
    kept: np.ndarray

    @classmethod
    def of(cls, replicas: int) -> Jackknife:
        """Leave out a fifth of the replicas, at least one."""
        generator = np.random.default_rng(0)
        left_out = max(replicas // 5, 1)
        shuffled = [generator.permutation(replicas) for _ in range(SUBSETS)]
        return cls(replicas, np.array(shuffled)[:, left_out:])

    def rows(self, replica_of: np.ndarray) -> list[np.ndarray]:
        """Rows of the whole and of each subset, where row i is of replica replica_of[i]."""
        return [np.isin(replica_of, kept) for kept in (np.arange(self.replicas), *self.kept)]

    def interval(self, figure: np.ndarray) -> Interval:
        """NaN bounds if the figure is NaN for some subset."""
        kept = self.kept.shape[1]
        error = np.sqrt(kept / (self.replicas - kept)) * np.std(figure[1:])
        reach = float(stats.t.ppf(0.975, self.replicas - 1) * error)
        return Interval(float(figure[0]), float(figure[0]) - reach, float(figure[0]) + reach)

    def along(self, scales: np.ndarray, figures: np.ndarray) -> dict[float, Interval]:
        """Intervals by scale of figures (scales, 1 + SUBSETS); none where that is NaN."""
        found = zip(scales, map(self.interval, figures), strict=True)
        return {float(scale): one for scale, one in found if np.isfinite(one.low)}


@dataclass(frozen=True)
class Curve:
    """One strategy from its unguided start upwards.

    Attributes:
        strategy: `classifier_free` or `clip`.
        scales: ascending; the first is the unguided arm's (1 or 0).
        figures: metric -> float64 (scales, 1 + SUBSETS).
    """

    strategy: str
    scales: np.ndarray
    figures: dict[str, np.ndarray]

    def __getitem__(self, metric: str) -> np.ndarray:
        return self.figures[metric]

    def gained(self, metric: str) -> np.ndarray:
        """Differences from the unguided arm, scale by scale, of the scales above it."""
        return self[metric][1:] - self[metric][0]

    def at(self, metric: str, fids: np.ndarray) -> np.ndarray:
        """A metric where the curve reaches FIDs for the last time, interpolated in FID.

        Args:
            metric: as in `METRICS`.
            fids: float64 (..., 1 + SUBSETS).

        Returns:
            As `fids`; NaN where the curve doesn't reach one.
        """
        found = np.full(fids.shape, np.nan)
        ends = zip(self["fid"], self["fid"][1:], self[metric], self[metric][1:], strict=False)
        for fid0, fid1, value0, value1 in ends:  # later ones take the place of earlier ones
            share = (fids - fid0) / (fid1 - fid0)
            inside = (share >= 0) & (share <= 1)
            found = np.where(inside, value0 + share * (value1 - value0), found)
        return found


def read_curves(run: RunFolder, reference: Path) -> tuple[dict[str, Curve], Jackknife]:
    """Both strategies' curves of a measured run, compared with the reference."""
    real = Reference.read(reference)
    extractor = load_extractor(real.extractor)
    real.refuse_other_extractor(extractor, reference)
    samples = samples_by_arm(run)
    features = extract_run(run, samples, [extractor])
    scores = pd.read_csv(run.scores_path)
    jackknife = Jackknife.of(1 + max(s.replica for found in samples.values() for s in found))
    figures: dict[str, dict[str, np.ndarray]] = {}
    for arm in samples:
        found = features[extractor.name, arm]
        assert found.logits is not None, f"{extractor.name} gives no Inception Score"
        chosen = jackknife.rows(np.array([s.replica for s in samples[arm]]))
        of_features = [_measure(found.pool[rows], found.logits[rows], real) for rows in chosen]
        figures[arm] = dict(zip(METRICS, np.transpose(of_features), strict=False))
        for metric in SCORES:
            own = scores[(scores["arm"] == arm) & (scores["metric"] == metric)]
            values, replica_of = own["value"].to_numpy(), own["replica"].to_numpy()
            figures[arm][metric] = np.array([values[r].mean() for r in jackknife.rows(replica_of)])
    arms = list(run.arms())
    start = next(arm for arm in arms if arm.strategy == "unguided")
    curves = {}
    for strategy, origin in (("classifier_free", 1.0), ("clip", 0.0)):
        own = sorted((arm.scale or 0.0, arm.name) for arm in arms if arm.strategy == strategy)
        points = [(origin, start.name), *own]
        along = {m: np.array([figures[name][m] for _, name in points]) for m in METRICS}
        curves[strategy] = Curve(strategy, np.array([scale for scale, _ in points]), along)
    return curves, jackknife


def _measure(pool: np.ndarray, logits: np.ndarray, real: Reference) -> list[float]:
    seen = Neighbourhoods.of(pool, real.manifold)
    values = fid(pool, real.moments), inception_score(logits), precision(seen), recall(seen)
    return [value.value for value in values]


def claims(curves: dict[str, Curve], jackknife: Jackknife) -> Iterator[tuple[str, bool, str]]:
    """What the paper says, whether it holds here, and the figures."""
    free, clip = curves["classifier_free"], curves["clip"]
    for metric, sign in (("inception_score", 1), ("precision", 1), ("recall", -1)):
        gained = jackknife.along(free.scales[1:], free.gained(metric))
        most = _largest(gained, sign)
        yield (
            f"classifier-free: {metric} {'rises' if sign > 0 else 'falls'} with scale, the most at "
            f"{most:g}",
            gained[most].excludes_zero(sign),
            _told(gained),
        )
    fids = free["fid"]
    low = int(np.argmin(fids[:, 0]))
    dip, rise = (jackknife.interval(gap) for gap in (fids[low] - fids[0], fids[-1] - fids[low]))
    yield (
        f"classifier-free: FID dips (lowest at {free.scales[low]:g}), then rises (by {rise} to "
        f"{free.scales[-1]:g})",
        dip.excludes_zero(-1) and rise.excludes_zero(1),
        _told(jackknife.along(free.scales[1:], free.gained("fid"))),
    )
    for metric, sign in (("guiding_clip_score", 1), ("caption_accuracy", -1)):
        gaps = clip[metric][1:] - free.at(metric, clip["fid"][1:])
        known = jackknife.along(clip.scales[1:], gaps)
        claim = (
            f"CLIP guidance at equal FID: {metric} {'above' if sign > 0 else 'below'} "
            "classifier-free's"
        )
        if known:
            most = _largest(known, sign)
            holds = known[most].excludes_zero(sign)
            yield f"{claim}, the most at {most:g}", holds, _told(known)
        else:
            yield claim, False, "no scale reaches an FID of the other curve"


def _largest(found: dict[float, Interval], sign: int) -> float:
    """The scale of the largest figure in this direction."""
    return max(found, key=lambda scale: sign * found[scale].value)


def _told(found: dict[float, Interval]) -> str:
    return ", ".join(f"{one} at {scale:g}" for scale, one in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a measured run")
    parser.add_argument("reference", type=Path, help="of the run's own captions")
    args = parser.parse_args()
    curves, jackknife = read_curves(RunFolder.open(args.run), args.reference)
    for curve in curves.values():
        print(f"{NAMES[curve.strategy]}\n{'scale':>8}  " + "  ".join(m.rjust(24) for m in METRICS))
        for i, scale in enumerate(curve.scales):
            cells = (str(jackknife.interval(curve[metric][i])).rjust(24) for metric in METRICS)
            print(f"{scale:8g}  " + "  ".join(cells))
    for claim, holds, figures in claims(curves, jackknife):
        print(f"{'yes' if holds else 'NO ':3}  {claim}: {figures}")


if __name__ == "__main__":
    main()
