"""Series: the arms that one curve along the guidance scale joins.

A strategy whose scales all differ is one series and gives it its name. One that repeats a scale was
swept in several variants, such as samplers or steps; each is a series then, named by the strategy
and the variant: `classifier_free [dpm20]`.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

COLUMNS = ("series", "variant", "axis", "unguided_at")  # of arms, for drawing; not in files
SCALE = "guidance scale"  # the axis of most arms
_NUMBER = re.compile(r"-(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?=-|$)")


def with_series(arms: pd.DataFrame) -> pd.DataFrame:
    """Return the arms with the columns that say which curve joins them.

    Args:
        arms: name (each once), strategy, scale (NaN without one).

    Returns:
        The same with `series`, None for arms that no curve joins: those without a scale, and
        those of a variant that repeats a scale itself (replicates); and `variant`, 0 for arms
        of the strategy's own name, which numbers the others of a strategy. `axis` says what
        `scale` is a value of, where the arms did not; `unguided_at` which is no guidance.

    Examples:
        >>> scales = {"name": ["cfg-2", "cfg-4"], "strategy": "cfg", "scale": [2.0, 4.0]}
        >>> arms = pd.DataFrame(scales)
        >>> list(with_series(arms)["series"])
        ['cfg', 'cfg']
    """
    found = pd.Series(_series(arms), index=arms.index, dtype=object)
    named = found.where(found.notna(), arms["strategy"])
    order = {
        strategy: sorted(dict.fromkeys(names), key=lambda name, own=strategy: name != own)
        for strategy, names in named.groupby(arms["strategy"], sort=False)
    }
    pairs = zip(arms["strategy"], named, strict=True)
    numbers = [order[strategy].index(name) for strategy, name in pairs]
    axis = arms["axis"].fillna(SCALE) if "axis" in arms else SCALE
    off = pd.to_numeric(arms["unguided_at"]) if "unguided_at" in arms else np.nan
    return arms.assign(series=found, variant=numbers, axis=axis, unguided_at=off)


def variant_of(name: str, scale: float) -> str:
    """Return an arm's name without its scale; the whole name where it doesn't say the scale.

    Examples:
        >>> variant_of("dpm20-3", 3.0), variant_of("cfg-1.5-inpaint", 1.5), variant_of("ours", 3.0)
        ('dpm20', 'cfg-inpaint', 'ours')
    """
    for found in reversed(list(_NUMBER.finditer(name))):
        if found.start() > 0 and np.isclose(float(found[1]), scale, rtol=1e-5):
            return name[: found.start()] + name[found.end() :]
    return name


def variant_in(series: str) -> str:
    """Return the variant that a series' name holds; empty where the strategy has one series.

    Examples:
        >>> variant_in("classifier_free [dpm20]"), variant_in("classifier_free")
        ('dpm20', '')
    """
    return series.partition(" [")[2][:-1]


def curves(points: pd.DataFrame) -> pd.DataFrame:
    """Return those points, of a table with series and scale, that a line along the scale joins.

    Examples:
        >>> points = pd.DataFrame({"series": ["cfg", "cfg", None], "scale": [2.0, 4.0, np.nan]})
        >>> len(curves(points))
        2
    """
    return points[points["series"].notna() & points["scale"].notna()]


def has_curve(points: pd.DataFrame) -> bool:
    """Return whether a series, in a table with series and scale, has at least two scales.

    Examples:
        >>> has_curve(pd.DataFrame({"series": ["cfg", "cfg"], "scale": [2.0, 2.0]}))
        False
    """
    return bool((curves(points).groupby("series")["scale"].nunique() > 1).any())


def _series(arms: pd.DataFrame) -> list[str | None]:
    """Return each arm's series."""
    keys = list(zip(arms["name"], arms["strategy"], arms["scale"], strict=True))
    at_scale = Counter((strategy, scale) for _, strategy, scale in keys if pd.notna(scale))
    several = {strategy for (strategy, _), count in at_scale.items() if count > 1}
    named = [
        None if pd.isna(scale)
        else f"{strategy} [{variant_of(str(name), scale)}]" if strategy in several
        else str(strategy)
        for name, strategy, scale in keys
    ]  # fmt: skip
    counted = Counter(zip(named, arms["scale"], strict=True))
    replicated = {series for (series, _), count in counted.items() if count > 1}
    return [None if series in replicated else series for series in named]
