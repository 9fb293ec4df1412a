"""Arms at equal properties of their pictures, as sentences and printed tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.claims import Controlled

from .wording import bounds, signed


def controlled_words(found: Controlled, labels: Mapping[str, str]) -> str:
    """Return what changes at equal properties, and which of them move votes."""
    table = found.table
    certain = [row for row in rows_of(found.effects) if row.low > 0 or row.high < 0]
    told = [
        f"{row.property} ({signed(row.effect)} Elo for one standard deviation more, "
        f"{bounds(row.low, row.high)})"
        for row in certain
    ]
    moved = f"Votes go with {', '.join(told)}." if told else "No property certainly moves votes."
    before, after = (
        [labels[arm] for arm in table.loc[table[rank] == 1, "arm"]]
        for rank in ("rank", "adjusted_rank")
    )
    moves = (table["adjusted"] - table["elo"]).to_numpy(np.float64)
    largest = int(np.abs(moves).argmax())
    change = signed(float(moves[largest]))
    first = f"{' and '.join(after)} {'is' if len(after) == 1 else 'are'} first"
    still = "still " if before == after else ""
    first = first.replace(" first", f" {still}first")
    return (
        f"{moved} At equal properties {first}; the score that changes most is that of "
        f"{labels[table['arm'].iloc[largest]]} ({change} Elo)."
    )


def printed_controlled(found: Controlled, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return both rankings side by side, as printed."""
    rows = list(rows_of(found.table))
    return pd.DataFrame({
        "Arm": [labels[row.arm] for row in rows],
        "Rank": [row.rank for row in rows],
        "Elo": [_score(row.elo, row.low, row.high) for row in rows],
        "Rank at equal properties": [row.adjusted_rank for row in rows],
        "Elo at equal properties": [
            _score(row.adjusted, row.adjusted_low, row.adjusted_high) for row in rows
        ],
    })  # fmt: skip


def _score(value: float, low: float, high: float) -> str:
    return signed(value) + (f" ({bounds(low, high)})" if np.isfinite(low) else "")
