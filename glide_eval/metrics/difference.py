"""Differences between arms that share prompts, with the narrower intervals that sharing earns.

Images of one prompt, drawn from the same noise in both arms, are good or bad together, and what
they have in common cancels in a difference. To first order a difference errs by the mean of one
arm's influence values less the mean of the other's; summed within prompts, those are the paired
data of a clustered standard error (as for paired model comparisons: Miller 2024, arXiv 2411.00640,
section 4). With one image per prompt and a mean for a metric it is the paired t-interval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from .value import Interval, MetricValue, cluster_numbers, half_se, t_interval

METHOD = "paired by prompt, from influence values"


@dataclass(frozen=True, eq=False)
class Observed:
    """One metric of one arm, with what lines it up with other arms.

    Attributes:
        arm: the arm's name.
        value: of the metric.
        keys: (images,) prompt and replica of each image, in the order of `value.influence`.
    """

    arm: str
    value: MetricValue
    keys: Sequence[tuple[Hashable, int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of an arm less the same of a baseline.

    Attributes:
        arm: the arm's name.
        baseline: the arm subtracted.
        metric: as in `metrics.csv`.
        difference: value less value; NaN where either is undefined, and `note` says why.
        interval: see `Interval`; it holds the reference fixed.
        n: images with a partner of the same prompt and replica in the other arm.
        method: how the interval was made.
        note: why a value or interval is missing or should be doubted; else empty.
    """

    arm: str
    baseline: str
    metric: str
    difference: float
    interval: Interval
    n: int
    method: str = ""
    note: str = ""


def differences(observed: Sequence[Observed], pairs: Sequence[tuple[str, str]]) -> list[Difference]:
    """Return each metric's difference between arms, in the order of pairs, then of metrics.

    SE² = G/(G − 1) Σ_g (S_g/n₁ − S'_g/n₂)², as `difference` says; only metrics that both arms of
    a pair have are compared.

    All of `observed` must be of one extractor and one reference: others are not comparable.

    Args:
        observed: at most one for each arm and metric.
        pairs: (arm, baseline) names.

    Raises:
        KeyError: no value is of an arm that `pairs` names.

    Examples:
        >>> def scores(arm, values):
        ...     influence = np.array(values) - np.mean(values)
        ...     mean = float(np.mean(values))
        ...     value = MetricValue("clip_score", mean, Interval(), 3, influence=influence)
        ...     return Observed(arm, value, [("p1", 0), ("p2", 0), ("p3", 0)])
        >>> observed = [scores("cfg", [25.0, 27.0, 29.5]), scores("plain", [24.0, 26.5, 28.0])]
        >>> (found,) = differences(observed, [("cfg", "plain")])
        >>> np.round([found.difference, found.interval.low, found.interval.high], 2)
        array([ 1.  , -0.24,  2.24])
    """
    of_arm: dict[str, dict[str, Observed]] = {}
    for one in observed:
        of_arm.setdefault(one.arm, {})[one.value.metric] = one
    return [
        difference(first, of_arm[baseline][metric])
        for arm, baseline in pairs
        for metric, first in of_arm[arm].items()
        if metric in of_arm[baseline]
    ]


def difference(first: Observed, second: Observed) -> Difference:
    """Return one arm's value less another's.

    SE² = G/(G−1) Σ_g (S_g/n₁ − S'_g/n₂)², S_g and S'_g the arms' influence values summed over
    prompt g. A prompt that only one arm has counts with its own sum, so arms that share none are
    taken as independent. Recall and coverage have values of halves of the prompts instead: of arms
    with the same prompts, SE² is that of the differences of halves (`half_se`).

    Raises:
        ValueError: keys and influence values differ in number.
    """
    shared = len(set(first.keys) & set(second.keys))
    a, b = first.value, second.value
    notes = list(dict.fromkeys(note for note in (a.note, b.note) if note))
    if np.isnan(a.value) or np.isnan(b.value):
        return _result(first, second, Interval(), shared, "", notes)
    if a.halves is not None and b.halves is not None:
        se, groups, method = _of_halves(first, second)
    elif a.influence is not None and b.influence is not None:
        se, groups, method = *_of_influence(first, second), METHOD
    else:
        notes = notes or ["no interval: the metric has no influence values"]
        return _result(first, second, Interval(), shared, "", notes)
    if groups < 2:
        notes.append("no interval from a single prompt")
    elif not se:
        notes.append("no interval: every prompt differs by the same")
    most = max(len(first.keys), len(second.keys))
    if not shared:
        notes.append("the arms share no prompt: taken as independent")
    elif shared < most:
        notes.append(f"only {shared} of {most} images have a partner")
    interval = t_interval(a.value - b.value, se, groups)
    return _result(first, second, interval, shared, method, notes)


def _of_halves(first: Observed, second: Observed) -> tuple[float, int, str]:
    """Standard error from values of halves, what it rests on, and its name."""
    assert first.value.halves is not None
    assert second.value.halves is not None
    (prompts, numbers), (others, other_numbers) = _prompts(first), _prompts(second)
    if prompts == others:  # then both lost the same ones
        gaps = first.value.halves - second.value.halves
        return *half_se(gaps, numbers), "paired by prompt, from halves of the prompts"
    ours, groups = half_se(first.value.halves, numbers)
    theirs, other_groups = half_se(second.value.halves, other_numbers)
    method = "halves of the prompts, arms taken as independent"
    return float(np.hypot(ours, theirs)), min(groups, other_groups), method


def _prompts(one: Observed) -> tuple[list[Hashable], np.ndarray]:
    """Return the arm's prompts in order of appearance, and each image's number among them."""
    labels = [prompt for prompt, _ in one.keys]
    return list(dict.fromkeys(labels)), cluster_numbers(len(labels), labels)


def _of_influence(first: Observed, second: Observed) -> tuple[float, int]:
    """Standard error from influence values, 0 where all prompts differ alike, and their number."""
    a, b = first.value.influence, second.value.influence
    assert a is not None
    assert b is not None
    sums = _sums(first)
    for prompt, total in _sums(second).items():
        sums[prompt] = sums.get(prompt, 0.0) - total
    groups, spread = len(sums), np.array(list(sums.values()))
    scale = max(np.abs(a).max(), np.abs(b).max())
    se = float(np.sqrt(groups / max(groups - 1, 1) * np.sum(spread**2)))
    return (se if se > 1e-12 * scale else 0.0), groups


def _sums(one: Observed) -> dict[Hashable, float]:
    """Mean influence of the arm's images, a part for each prompt."""
    influence = one.value.influence
    assert influence is not None
    if len(influence) != len(one.keys):
        raise ValueError(f"{len(influence)} influence values but {len(one.keys)} keys.")
    sums: dict[Hashable, float] = {}
    for (prompt, _), value in zip(one.keys, influence, strict=True):
        sums[prompt] = sums.get(prompt, 0.0) + float(value) / len(influence)
    return sums


def _result(
    first: Observed, second: Observed, interval: Interval, n: int, method: str, notes: list[str]
) -> Difference:
    gap = first.value.value - second.value.value
    return Difference(
        first.arm, second.arm, first.value.metric, gap, interval, n, method, "; ".join(notes)
    )
