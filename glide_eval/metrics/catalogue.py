"""Finding the metrics: every module of this room that has a `METRICS` adds its records."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from .record import Metric


def collected(package: str, path: Iterable[str]) -> dict[str, Metric]:
    """Return the records of all modules of a package, by name, ordered by `place`, then by name.

    Args:
        package: its dotted name.
        path: its `__path__`.

    Raises:
        ValueError: two modules have a metric of the same name.

    Examples:
        >>> import glide_eval.metrics as room
        >>> collected(room.__name__, room.__path__)["fid"].label
        'FID'
    """
    found: dict[str, Metric] = {}
    for module in pkgutil.iter_modules(path):
        records: tuple[Metric, ...] = getattr(
            importlib.import_module(f"{package}.{module.name}"), "METRICS", ()
        )
        for record in records:
            if record.name in found:
                raise ValueError(f"Two metrics are named {record.name!r}: rename one of them.")
            found[record.name] = record
    ordered = sorted(found.values(), key=lambda metric: (metric.place, metric.name))
    return {metric.name: metric for metric in ordered}
