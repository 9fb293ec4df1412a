"""What every result shows in a notebook: a table, as HTML too, and a picture of its intervals."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd

_VALUES = ("elo", "value", "difference", "spearman", "accuracy")
_NAMES = ("arm", "name", "parameter", "predictor", "metric")
_MOST = 60  # rows drawn


class Shown:
    """A result that is a table with values and their intervals.

    Subclasses have `table`, or override `to_frame`.
    """

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table, one row per thing that it says something of."""
        return cast("Any", self).table

    def _repr_html_(self) -> str:
        """Return the table as HTML, for notebooks."""
        return f"<p><b>{type(self).__name__}</b></p>{self.to_frame().to_html(index=False)}"

    def plot(self) -> Any:
        """Draw each value with its interval, in the table's order, as an Altair chart.

        Raises:
            ValueError: the table has no values to draw.
        """
        import altair as alt

        table = self.to_frame()
        value = next((name for name in _VALUES if name in table), None)
        names = [name for name in (*_NAMES, "against", "category") if name in table]
        if value is None or not names or not {"low", "high"} <= set(table):
            raise ValueError(f"{type(self).__name__} has no values with intervals to draw.")
        drawn = table[[*names, value, "low", "high"]].head(_MOST)
        drawn = drawn.assign(what=drawn[names].astype(str).agg(" · ".join, axis=1))
        y: Any = alt.Y("what:N", sort=None, title=None)
        base = alt.Chart(drawn)
        return alt.layer(
            base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y),
            base.mark_point(filled=True, size=70, opacity=1).encode(
                x=alt.X(f"{value}:Q", title=value), y=y
            ),
        ).properties(width=360, height=alt.Step(22))
