"""The catalogues of metrics and strategies that installed packages offer, found by entry point.

`analysis` imports none of those packages. A package of your own makes its metrics known to tables,
figures and statistics by three lines of its pyproject.toml::

    [project.entry-points."glide_eval.metrics"]
    mine = "my_package:METRICS"          # a mapping: name → record
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any, TypeVar

Record = TypeVar("Record")


def installed(group: str, kind: type[Record]) -> Iterator[Record]:
    """Yield the records of every catalogue in a group of entry points, as records of `kind`.

    Args:
        group: the entry points' group, such as `glide_eval.metrics`.
        kind: a dataclass; the installed records have its fields under the same names.
    """
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
    for entry in entry_points(group=group):
        # A statistic works beside a package whose own dependencies are missing, such as torch.
        with contextlib.suppress(ModuleNotFoundError):
            catalogue: dict[str, Any] = entry.load()
            for record in catalogue.values():
                yield kind(**{name: getattr(record, name) for name in names})
