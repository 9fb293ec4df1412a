"""Whether a sweep over guidance scales tells the paper's story: `python -m benchmarks.paper RUN`.

RUN is a measured run of `examples/figure6-miniature.toml` or its like: an unguided arm, and arms of
classifier-free and of CLIP guidance at several scales. Prints each strategy's curve, then what
GLIDE's §4 and figure 6 claim, with the figures that bear it out or don't. Arms share prompts and
noise, so what rises or falls is told by differences from the unguided arm (`glide-eval metrics RUN
--baseline unguided`), whose intervals are narrower than those of the values; "yes" asks that the
difference at the scale named is beyond its interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from glide_eval.metric_tables import DIFFERENCES_FILE
from glide_eval.run_store import RunFolder

METRICS = (
    "fid", "inception_score", "precision", "recall", "caption_accuracy", "clip_score",
    "guiding_clip_score",
)  # fmt: skip
NAMES = {"classifier_free": "classifier-free", "clip": "CLIP"}


@dataclass(frozen=True)
class Curve:
    """One strategy from its unguided start upwards.

    Attributes:
        strategy: `classifier_free` or `clip`.
        scales: ascending; the first is the unguided arm's (1 or 0).
        values: metric -> float64 (scales, 3), value and interval.
        gained: metric -> float64 (scales, 3), differences from the unguided arm and their
            intervals; NaN where none was measured.
    """

    strategy: str
    scales: np.ndarray
    values: dict[str, np.ndarray]
    gained: dict[str, np.ndarray]

    def __getitem__(self, metric: str) -> np.ndarray:
        """Values along the scales."""
        return self.values[metric][:, 0]

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


def read_curves(run: RunFolder) -> dict[str, Curve]:
    """Both strategies' curves of a measured run."""
    table = pd.read_csv(run.metrics_path).set_index(["arm", "metric"])
    paired = pd.read_csv(run.root / DIFFERENCES_FILE).set_index(["arm", "baseline", "metric"])
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
        gained = {
            metric: paired.reindex([(name, start.name, metric) for _, name in points])[
                columns
            ].to_numpy(float)
            for metric in METRICS
        }
        scales = np.array([scale for scale, _ in points])
        curves[strategy] = Curve(strategy, scales, values, gained)
    return curves


def claims(curves: dict[str, Curve]) -> Iterator[tuple[str, bool, str]]:
    """What the paper says, whether it holds here, and the figures."""
    free, clip = curves["classifier_free"], curves["clip"]
    for metric, sign in (("inception_score", 1), ("precision", 1), ("recall", -1)):
        steps = np.sign(np.diff(free[metric])) == sign
        last = len(steps) if steps.all() else int(np.argmin(steps))  # as far as it goes on
        gained = free.gained[metric]
        apart = gained[last, 1] > 0 if sign > 0 else gained[last, 2] < 0
        yield (
            f"classifier-free: {metric} {'rises' if sign > 0 else 'falls'} with scale, "
            f"at each step to {free.scales[last]:g}",
            bool(last > 0 and apart),
            _along(free, metric),
        )
    low, fid = int(np.argmin(free["fid"])), free.gained["fid"]
    dips, apart = fid[low, 2] < 0, free.values["fid"][-1, 1] > free.values["fid"][low, 2]
    yield (
        f"classifier-free: FID dips (lowest at {free.scales[low]:g}), then rises",
        bool(0 < low < len(fid) - 1 and dips and (apart or fid[-1, 1] > 0)),
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
    gained = zip(curve.scales[1:], curve.gained[metric][1:], strict=True)
    return ", ".join(f"{_shown(value)} at {scale:g}" for scale, value in gained)


def _shown(value: np.ndarray) -> str:
    return f"{value[0]:.3g} [{value[1]:.3g}, {value[2]:.3g}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a measured run")
    curves = read_curves(RunFolder.open(parser.parse_args().run))
    for curve in curves.values():
        print(f"{NAMES[curve.strategy]}\n{'scale':>8}  " + "  ".join(m.rjust(24) for m in METRICS))
        for i, scale in enumerate(curve.scales):
            cells = (_shown(curve.values[metric][i]).rjust(24) for metric in METRICS)
            print(f"{scale:8g}  " + "  ".join(cells))
    for claim, holds, figures in claims(curves):
        print(f"{'yes' if holds else 'NO ':3}  {claim}: {figures}")


if __name__ == "__main__":
    main()
