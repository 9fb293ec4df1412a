"""Differences between arms as rows of `differences.csv`: which pairs, and their rows."""

from __future__ import annotations

from collections.abc import Sequence

from glide_eval.errors import UsageError
from glide_eval.metrics import Observed, differences

from .tables import DifferenceRow, MetricRow

Pairs = list[tuple[str, str]]  # (arm, baseline)


def pairs_to_compare(
    arms: Sequence[str], baseline: str, named: Sequence[tuple[str, str]] = ()
) -> Pairs:
    """Every arm with the baseline, then the pairs that were named.

    Args:
        arms: names, in order.
        baseline: one of them.
        named: (arm, baseline) of further pairs.

    Raises:
        UsageError: an arm that there is none of, or one compared with itself.
    """
    for name in (baseline, *(name for pair in named for name in pair)):
        if name not in arms:
            raise UsageError(f"No arm is named {name!r}; there are {', '.join(arms)}.")
    for first, second in named:
        if first == second:
            raise UsageError(f"--pair {first} {second}: an arm does not differ from itself.")
    return list(dict.fromkeys([*((arm, baseline) for arm in arms if arm != baseline), *named]))


def difference_rows(
    observed: Sequence[Observed], rows: Sequence[MetricRow], pairs: Pairs, extractor: str
) -> list[DifferenceRow]:
    """Differences of one extractor's values.

    Args:
        observed: the values with their influence, by arm and metric.
        rows: the same values as rows of `metrics.csv`, others among them.
        pairs: see `pairs_to_compare`.
        extractor: its name.
    """
    of = {(row.arm, row.metric): row for row in rows if row.extractor == extractor}
    found = []
    for one in differences(observed, pairs) if observed else ():
        first, second = of[one.arm, one.metric], of[one.baseline, one.metric]
        found.append(
            DifferenceRow(
                arm=one.arm,
                baseline=one.baseline,
                metric=one.metric,
                difference=one.difference,
                ci_low=one.interval.low,
                ci_high=one.interval.high,
                n=one.n,
                extractor=first.extractor,
                note=one.note,
                level=one.interval.level,
                method=one.method,
                fingerprint=first.fingerprint,
                reference=first.reference,
                images=f"{first.images}-{second.images}",
            )
        )
    return found
