"""Votes predicted by metrics, on prompts that the prediction has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import read_votes, vote_predictors
from analysis.metrics import LINEAR, MONOTONE
from analysis.report.figures.calibration import calibration_curve
from analysis.report.words.metric_claims import predictors_words, printed_predictors
from tests.analysis.simulated import ballot_frame, draw_ballot

ARMS = ["arm0", "arm1", "arm2"]


def study(worth: float, seed: int = 0, ties: bool = False, rare: float = 0.0):
    """Votes that follow one hidden quality of the images, and three metrics of them."""
    rng = np.random.default_rng(seed)
    frame = ballot_frame(draw_ballot(np.zeros(3), 20, 60, rng, prompts=40))
    prompts = sorted(set(frame["prompt_id"]))
    quality = pd.DataFrame(rng.normal((-0.5, 0, 0.5), size=(40, 3)), prompts, ARMS)
    gap = np.array(
        [
            quality.loc[p, a] - quality.loc[p, b]
            for p, a, b in zip(
                frame["prompt_id"], frame["arm_left"], frame["arm_right"], strict=True
            )
        ]
    )
    won = rng.random(len(frame)) < 1 / (1 + np.exp(-worth * gap))
    answer = np.where(won, "left", "right")
    if ties:
        answer = np.where(np.abs(gap) < 0.6, "tie", answer)
    long = quality.rename_axis("prompt_id").reset_index().melt("prompt_id", var_name="arm")
    noise = rng.normal(size=(3, len(long)))
    metrics = {"clip_score": long["value"], "image_quality": noise[0], "pickscore": -long["value"]}
    samples = pd.concat([long.assign(metric=name, value=values, replica=0, extractor="e")
                         for name, values in metrics.items()])  # fmt: skip
    return read_votes(frame.assign(answer=answer)), samples


def test_a_metric_that_people_follow_predicts_their_votes_and_noise_does_not():
    votes, samples = study(1.5)
    found = vote_predictors(votes, samples)
    rows = found.table.set_index("predictor")
    assert rows.loc["clip_score", "accuracy"] > 0.7
    assert rows.loc["clip_score", "low"] > 0.5
    assert rows.loc["image_quality", "low"] < 0.5 < rows.loc["image_quality", "high"]
    assert rows.loc["image_quality", "log_loss"] > 0.68
    assert rows.loc["clip_score", "winner"] == "arm2"
    assert rows.loc["clip_score", "same_winner"] > 0.8
    assert rows.loc[LINEAR, "log_loss"] < 0.62
    # The one metric is the other turned round: only the free combination may use it so.
    assert rows.loc[MONOTONE, "log_loss"] == pytest.approx(rows.loc[LINEAR, "log_loss"], abs=0.02)
    labels = dict.fromkeys(ARMS, "Arm")
    assert len(printed_predictors(found, labels)) == 5
    assert predictors_words(found).startswith("On prompts it has not seen,")


def test_predictions_are_as_sure_as_they_may_be():
    votes, samples = study(1.5, 1)
    found = vote_predictors(votes, samples[samples["metric"] == "clip_score"])
    cells = found.calibration
    assert list(cells["n"]) == [200] * 6
    assert (cells["predicted"].diff().dropna() > 0).all()
    assert (cells["predicted"] - cells["observed"]).abs().max() < 0.12
    assert calibration_curve(found, "photorealism", "person").section == "agreement"


def test_ties_are_an_answer_that_small_differences_predict():
    votes, samples = study(5, 2, ties=True)
    (row,) = vote_predictors(votes, samples[samples["metric"] == "clip_score"]).table.itertuples()
    assert row.accuracy_with_ties > 0.85
    assert row.ties_low < row.accuracy_with_ties < row.ties_high


def test_what_is_missing_is_told():
    votes, samples = study(1)
    assert "no metric has a value" in vote_predictors(votes, samples[:0]).reason
    few = votes[votes["prompt_id"].astype(str) < "p0005"].reset_index(drop=True)
    assert "fewer than 10 prompts" in vote_predictors(few, samples).reason
    elsewhere = samples.assign(arm="other")
    assert "no image that was voted on" in vote_predictors(votes, elsewhere).reason
    assert calibration_curve(vote_predictors(votes, None), "q", "person") is None


def test_intervals_hold_the_share_they_belong_to_where_a_metric_has_few_values():
    votes, samples = study(1.5, 3)
    coarse = samples[samples["metric"] == "clip_score"]
    coarse = coarse.assign(value=(coarse["value"] > 0.8).astype(float))  # most pairs are equal
    found = vote_predictors(votes, coarse)
    (row,) = found.table.itertuples()
    assert row.low < row.accuracy < row.high
    assert ((found.calibration["low"] <= found.calibration["observed"])
            & (found.calibration["observed"] <= found.calibration["high"])).all()  # fmt: skip


def test_the_page_says_which_line_of_a_calibration_curve_is_which():
    votes, samples = study(1.5)
    figure = calibration_curve(vote_predictors(votes, samples), "photorealism", "person")
    (panel,) = figure.inline_panels()
    assert ">CLIP score ↑<" in panel
