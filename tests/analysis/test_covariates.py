"""Arms at equal properties of their pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis import AnalysisError, ballots, fit_covariates, fit_outcomes, read_votes
from analysis.claims import controlled
from analysis.report.pictures import properties_of
from analysis.report.words.controlled import controlled_words, printed_controlled
from analysis.report.words.methods import unused_columns
from analysis.scores import analyse
from tests.analysis.simulated import ballot_frame, draw_ballot

SCORES = np.array([-60.0, 0, 60])


def sharp_votes(worth: float, seed: int = 0) -> pd.DataFrame:
    """Arms are equal but for the sharpness of their images, which differs from image to image."""
    rng = np.random.default_rng(seed)
    frame = ballot_frame(draw_ballot(np.zeros(3), 30, 60, rng, prompts=40))
    of_arm = {"arm0": -1.0, "arm1": 0.0, "arm2": 1.0}
    sides = [frame[side].map(of_arm) + rng.normal(size=len(frame)) for side in
             ("arm_left", "arm_right")]  # fmt: skip
    gap = (sides[0] - sides[1]).to_numpy()
    won = rng.random(len(frame)) < 1 / (1 + 10 ** (-worth * gap / 400))
    return read_votes(frame.assign(answer=np.where(won, "left", "right"), sharpness_left=sides[0],
                                   sharpness_right=sides[1]))  # fmt: skip


def test_without_a_property_that_matters_the_scores_are_those_with_a_side_term():
    rng = np.random.default_rng(3)
    ballot = draw_ballot(SCORES, 20, 60, rng, prompts=30)
    found = fit_covariates(ballot, np.zeros((ballot.votes, 0)), [])
    expected = fit_outcomes(ballot, ties="half")
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert found.side == pytest.approx(expected.side, abs=1e-6)
    for arm in range(3):  # the same cluster jackknife, there by a series
        ours, theirs = found.score(arm), expected.score(arm)
        assert ours.low == pytest.approx(theirs.low, abs=0.05)
        assert ours.high == pytest.approx(theirs.high, abs=0.05)


def test_what_sharpness_explains_is_no_difference_between_arms():
    votes = sharp_votes(120)
    (result,) = analyse(votes, rounds=20)
    assert np.ptp(result.fit.scores) > 150
    found = controlled(result, votes, None)
    assert np.ptp(found.table["adjusted"]) < 60
    (effect,) = found.effects.itertuples()
    assert effect.low < 120 * np.sqrt(2 / 3 + 1) < effect.high  # per standard deviation of images
    labels = dict.fromkeys(["arm0", "arm1", "arm2"], "Arm")
    assert controlled_words(found, labels).startswith("Votes go with sharpness (")
    assert len(printed_controlled(found, labels)) == 3
    assert unused_columns(votes) == []


def test_properties_of_images_are_used_by_their_arm_prompt_and_replica():
    votes = sharp_votes(150, 1)
    sides = [
        votes[[f"arm_{side}", "prompt_id", "replica", f"sharpness_{side}"]].set_axis(
            ["arm", "prompt_id", "replica", "sharpness"], axis=1
        )
        for side in ("left", "right")
    ]
    table = pd.concat(sides).drop_duplicates(["arm", "prompt_id", "replica"])
    plain = votes.drop(columns=["sharpness_left", "sharpness_right"])
    (result,) = analyse(plain, rounds=20)
    found = controlled(result, plain, table)
    assert found.votes == len(plain)
    assert list(found.effects["property"]) == ["sharpness"]
    assert controlled(result, plain, None) is None
    assert controlled(result, plain, table.assign(sharpness=1.0)) is None


def test_a_property_that_is_the_arm_can_not_be_told_from_it():
    (ballot,) = ballots(sharp_votes(0))
    of_arm = (ballot.left - ballot.right).astype(float)[:, None]
    with pytest.raises(AnalysisError, match="can't be told from the arms"):
        fit_covariates(ballot, of_arm, ["size"])
    with pytest.raises(AnalysisError, match="No vote has the properties"):
        fit_covariates(ballot, np.full_like(of_arm, np.nan), ["size"])


def test_properties_are_of_the_pixels_and_not_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / "noise.png")
    noise.resize((256, 256), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    Image.new("RGB", (64, 64), (128, 128, 128)).save(tmp_path / "grey.png")
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    sharp, grey = properties_of(tmp_path / "noise.png"), properties_of(tmp_path / "grey.png")
    np.testing.assert_allclose(properties_of(tmp_path / "large.png"), sharp)
    assert sharp[3] > grey[3] + 5
    np.testing.assert_allclose(grey[:3], [128 / 255, 0, 0], atol=1e-9)
    assert properties_of(tmp_path / "red.png")[2] == 1
    assert np.isnan(properties_of(tmp_path / "gone.png")).all()
