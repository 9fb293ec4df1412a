"""The figure of how far predictions by metrics can be believed."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.metrics import Predictors
from analysis.report.words.metric_claims import predictor_words
from analysis.report.words.wording import ballot_words, question_words, rater_words, slug

from . import theme
from .figure import Figure, Panel, sized

DRAWN = 3  # predictors: the best ones by log loss


def calibration_curve(found: Predictors, question: str, kind: str) -> Figure | None:
    """Draw observed against predicted shares on held-out prompts; None without a prediction.

    Args:
        found: `vote_predictors` of a ballot.
        question: the ballot's.
        kind: the ballot's kind of rater.
    """
    if found.table.empty:
        return None
    best = found.table.nsmallest(DRAWN, "log_loss")["predictor"]
    drawn = found.calibration[found.calibration["predictor"].isin(best)].reset_index(drop=True)
    drawn = drawn.assign(words=[predictor_words(name) for name in drawn["predictor"]])
    names = list(dict.fromkeys(drawn["words"]))
    looks = dict(zip(names, theme.PARTS, strict=False))
    colour = alt.Color(
        "words:N",
        scale=alt.Scale(domain=names, range=[looks[name][0] for name in names]),
        legend=alt.Legend(columns=1),
    )
    shape = alt.Shape(
        "words:N",
        scale=alt.Scale(domain=names, range=[looks[name][1] for name in names]),
        legend=alt.Legend(columns=1),
    )
    ends = [0.5, float(np.nanmax([drawn["predicted"].max(), drawn["observed"].max(), 0.75]))]
    x = alt.X("predicted:Q", title="predicted share for the better image",
              scale=alt.Scale(domain=ends, nice=False), axis=alt.Axis(format="%"))  # fmt: skip
    y = alt.Y("observed:Q", title="share of votes it won", scale=alt.Scale(zero=False),
              axis=alt.Axis(format="%"))  # fmt: skip
    equal = pd.DataFrame({"predicted": ends, "observed": ends})
    chart = alt.layer(
        alt.Chart(equal).mark_line(color=theme.MUTED, strokeDash=[4, 3]).encode(x=x, y=y),
        alt.Chart(drawn).mark_line(strokeWidth=2, opacity=0.8).encode(x=x, y=y, color=colour),
        alt.Chart(drawn).mark_point(filled=True, size=70, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape
        ),
    )  # fmt: skip
    return Figure(
        f"calibration-{slug(question, kind)}",
        f"Predicted and observed votes: {ballot_words(question, kind)}",
        "Votes on prompts that the prediction has not seen, in six groups by how sure it is. On "
        f"the dashed line it is right as often as it says. The best {DRAWN} by log loss are drawn.",
        (Panel(question_words(question), rater_words(kind), sized(chart)),),
        drawn.drop(columns="words"),
        kind == "simulated",
        inline_size=(430, 390),
        section="agreement",
        own_legend=True,
    )
