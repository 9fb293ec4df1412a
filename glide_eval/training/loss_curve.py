"""The loss curve of a training as a picture."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd

from analysis.report import render, spec

COLUMNS = {"loss": "Loss", "mse": "MSE of ε", "bound": "Variational bound (bits per dimension)"}


def draw_loss_curve(table: Path, picture: Path) -> None:
    """Draw `loss.csv` as SVG: one panel per column of loss, whose axis follows its data.

    A table of version 0.1 has one column `loss`. In later ones a UNet's square error and bound,
    which differ by orders of magnitude, are apart.
    """
    rows = pd.read_csv(table)
    panels = [_panel(rows, name, title) for name, title in COLUMNS.items() if name in rows]
    part = picture.with_suffix(".part")
    part.write_bytes(render(spec(alt.vconcat(*panels)))["svg"])
    part.replace(picture)


def _panel(rows: pd.DataFrame, name: str, title: str) -> alt.Chart:
    return (
        alt.Chart(rows.dropna(subset=[name]), width=560, height=280)
        .mark_line(point=len(rows) < 50)
        .encode(
            x=alt.X("step:Q", title="Step"),
            y=alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False)),
        )
    )
