"""A table's rows, read by column name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the table's rows as named tuples, without the index."""
    return table.itertuples(index=False)
