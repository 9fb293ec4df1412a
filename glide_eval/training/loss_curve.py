"""The loss curve of a training as a picture."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd

from analysis.report import render, spec


def draw_loss_curve(table: Path, picture: Path) -> None:
    """Draw `loss.csv` (step, loss, learning_rate) as SVG; both axes' ranges follow the data."""
    rows = pd.read_csv(table)
    line = (
        alt.Chart(rows, width=560, height=280)
        .mark_line(point=len(rows) < 50)
        .encode(
            x=alt.X("step:Q", title="Step"),
            y=alt.Y("loss:Q", title="Loss", scale=alt.Scale(zero=False)),
        )
    )
    part = picture.with_suffix(".part")
    part.write_bytes(render(spec(line))["svg"])
    part.replace(picture)
