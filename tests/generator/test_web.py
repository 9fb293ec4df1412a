"""The web corpus has the shares and faults its config states; senseless configs are refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from generator.errors import DataError
from generator.tabletop.captions import caption_accuracy, parse
from generator.tabletop.dataset import scene
from generator.tabletop.scenes import Object, Scene
from generator.tabletop.web import FAULTS, Web

SCENES = [scene(11, i, twins=True) for i in range(400)]
SEVERAL = [s for s in SCENES if len(s.objects) > 1]


@pytest.fixture(scope="module")
def web() -> Web:
    return Web.read()


def changed(values: dict, path: str, value: object) -> dict:
    """The config with one entry replaced, or removed if the value is None."""
    values = copy.deepcopy(values)
    table = values
    *parents, last = path.split(".")
    for name in parents:
        table = table[name]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return values


def only(web: Web, fault: str) -> Web:
    """Every photograph is bad, by this fault alone."""
    values = web.to_dict()
    values["photographs"] = {"bad_if_wrong": 1.0, "bad_if_right": 1.0}
    for name in FAULTS:
        values["faults"][name]["share"] = float(name == fault)
    return Web.of(values)


def pictures(count: int = 8, size: int = 32) -> torch.Tensor:
    """Checkerboards of soft contrast, away from the ends of the range."""
    axis = torch.arange(size)
    board = ((axis[:, None] // 4 + axis // 4) % 2).float() * 0.6 - 0.3
    return board.expand(count, 3, size, size).clone()


def test_the_bundled_config_says_the_same_when_written_and_read_again(web):
    assert Web.of(web.to_dict()) == web


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("captions.other_scene", 1.5, "is 1.5; expected a probability"),
        ("captions.left_out", -0.1, "is -0.1; expected a probability"),
        ("photographs.bad_if_wrong", "often", "is 'often'; expected a probability"),
        ("photographs.bad_if_right", True, "is True; expected a probability"),
        ("photographs.bad_if_right", float("nan"), "is nan; expected a probability"),
        ("faults.noise.share", 2, "is 2; expected a probability"),
        ("faults.noise.strength", [0.2, 0.1], r"expected two numbers, \[least, most\]"),
        ("faults.noise.strength", 0.2, "expected two numbers"),
        ("faults.exposure.gain", [-1, 1], r"within 0\.\.4"),
        ("faults.noise", 3, "is 3; expected a table with share, strength"),
        ("faults.noise.strength", None, "lacks strength"),
        ("faults.noise.color", [0, 1], "has the unknown color"),
        ("faults.rain", {}, "has the unknown rain"),
        ("captions", None, "lacks captions"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_one_sentence(web, path, value, said):
    with pytest.raises(DataError, match=said) as error:
        Web.of(changed(web.to_dict(), path, value), "web.toml")
    assert "web.toml" in str(error.value)
    assert "Correct" in str(error.value)


def test_wrong_captions_can_not_be_more_than_all(web):
    values = changed(changed(web.to_dict(), "captions.other_scene", 0.7), "captions.left_out", 0.4)
    with pytest.raises(DataError, match=r"add up to 1\.1; expected at most 1"):
        Web.of(values)


def test_a_missing_file_and_one_that_is_no_toml_are_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.toml can't be read"):
        Web.read(tmp_path / "absent.toml")
    (tmp_path / "odd.toml").write_text("captions = [")
    with pytest.raises(DataError, match=r"odd\.toml can't be read"):
        Web.read(tmp_path / "odd.toml")


def test_as_many_captions_are_wrong_as_the_config_says(web):
    wrong = np.concatenate(
        [web.captions(SEVERAL, SCENES, np.random.default_rng(i))[1] for i in range(20)]
    )
    share = web.other_scene + web.left_out
    assert wrong.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(wrong)))


def test_right_captions_are_true_and_wrong_ones_mostly_are_not(web):
    captions, wrong = web.captions(SCENES, SCENES, np.random.default_rng(0))
    true = np.array(
        [caption_accuracy(c, s.objects)["caption"] for c, s in zip(captions, SCENES, strict=True)]
    )
    assert (true[~wrong] == 1).all()
    assert true[wrong].mean() < 0.1


def test_a_caption_that_leaves_an_object_out_names_one_less_and_is_true_of_the_others(web):
    values = changed(changed(web.to_dict(), "captions.other_scene", 0.0), "captions.left_out", 1.0)
    captions, wrong = Web.of(values).captions(SCENES, SCENES, np.random.default_rng(0))
    for s, caption, is_wrong in zip(SCENES, captions, wrong, strict=True):
        claim = parse(caption)
        assert claim is not None
        assert is_wrong == (len(s.objects) > 1)
        assert len(claim.single) == len(s.objects) - is_wrong
        assert caption_accuracy(caption, s.objects)["object"] == 1


def test_bad_photographs_go_with_wrong_captions(web):
    x, rng = pictures(2000, 8), np.random.default_rng(0)
    wrong = np.arange(2000) % 2 == 0
    bad = (web.photographs(x, wrong, rng) != x).flatten(1).any(1).numpy()
    assert bad[wrong].mean() == pytest.approx(web.bad_if_wrong, abs=0.06)
    assert bad[~wrong].mean() == pytest.approx(web.bad_if_right, abs=0.05)


def test_the_same_seed_makes_the_same_pairs_and_leaves_its_pictures_alone(web):
    x, wrong = pictures(30), np.ones(30, bool)
    before = x.clone()
    once, again = (web.photographs(x, wrong, np.random.default_rng(3)) for _ in range(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    assert once.abs().max() <= 1
    first, second = (web.captions(SCENES, SCENES, np.random.default_rng(3)) for _ in range(2))
    assert first[0] == second[0]


@pytest.mark.parametrize("size", [16, 32, 128])
def test_out_of_focus_means_softer_and_as_bright_at_any_size(web, size):
    x = pictures(size=size)
    axis = torch.arange(size) * 32 // size
    x[:] = ((axis[:, None] // 4 + axis // 4) % 2).float() * 0.6 - 0.3
    y = only(web, "focus").photographs(x, np.ones(8, bool), np.random.default_rng(0))
    assert (y.amax((1, 2, 3)) - y.amin((1, 2, 3)) < 0.6).all()
    assert 0.35 < float(y.std() / x.std()) < 0.95
    assert float(y.mean()) == pytest.approx(float(x.mean()), abs=0.02)


def test_noise_is_as_strong_as_the_config_says_and_can_be_left_out(web):
    noisy = only(web, "noise")
    x = pictures(200)
    added = noisy.photographs(x, np.ones(200, bool), np.random.default_rng(0)) - x
    low, high = noisy.faults["noise"].ranges["strength"]
    strength = added.std((1, 2, 3))
    assert strength.min() > 0.95 * low
    assert strength.max() < 1.05 * high
    assert strength.mean() == pytest.approx((low + high) / 2, rel=0.1)
    calm = noisy.photographs(x, np.ones(200, bool), np.random.default_rng(0), noise=False)
    torch.testing.assert_close(calm, x, rtol=0, atol=0)


def test_exposure_scales_brightness_and_a_cast_shifts_each_channel(web):
    x, bad = pictures(50), np.ones(50, bool)
    gain = (only(web, "exposure").photographs(x, bad, np.random.default_rng(0)) + 1) / (x + 1)
    flat = gain.flatten(1)
    assert (flat.std(1) < 1e-5).all()
    low, high = web.faults["exposure"].ranges["gain"]
    assert flat.min() >= low - 1e-5
    assert flat.max() <= high + 1e-5
    shift = only(web, "cast").photographs(x, bad, np.random.default_rng(0)) - x
    assert (shift.flatten(2).std(2) < 1e-6).all()
    assert shift.mean((2, 3)).std(1).mean() > 0.01


def test_a_tilted_crop_turns_straight_edges(web):
    x = torch.full((20, 3, 32, 32), -0.5)
    x[..., 16:, :] = 0.5
    y = only(web, "tilt").photographs(x, np.ones(20, bool), np.random.default_rng(0))
    edges = (y[:, 0] > 0).float().sum(1)  # height of the bright part, by column
    assert (edges.amax(1) - edges.amin(1) >= 2).all()


def test_clutter_covers_one_side_and_leaves_the_middle(web):
    x = pictures(40)
    y = only(web, "clutter").photographs(x, np.ones(40, bool), np.random.default_rng(0))
    covered = ((y - x).abs().amax(1) > 0.05).float()
    assert (covered.mean((1, 2)) > 0.01).all()
    assert (covered.mean((1, 2)) < 0.5).all()
    assert not covered[:, 14:18, 14:18].any()


def test_every_bad_photograph_has_a_fault(web):
    values = web.to_dict()
    for name in FAULTS:
        values["faults"][name]["share"] = 0.02
    values["photographs"] = {"bad_if_wrong": 1.0, "bad_if_right": 1.0}
    x = pictures(100, 16)
    y = Web.of(values).photographs(x, np.zeros(100, bool), np.random.default_rng(0))
    assert (y != x).flatten(1).any(1).all()


def test_ablations_take_away_captions_or_photographs_and_keep_the_rest(web):
    right = web.without(captions=True)
    assert not right.captions(SCENES, SCENES, np.random.default_rng(0))[1].any()
    wrong = web.other_scene + web.left_out
    expected = wrong * web.bad_if_wrong + (1 - wrong) * web.bad_if_right
    assert right.bad_if_right == pytest.approx(expected)
    good = web.without(photographs=True)
    x = pictures(50)
    torch.testing.assert_close(
        good.photographs(x, np.ones(50, bool), np.random.default_rng(0)), x, rtol=0, atol=0
    )
    assert good.other_scene == web.other_scene


def test_leaving_one_of_two_twins_out_names_the_other():
    ball = [Object("sphere", "blue", "large", "matte", x, 0.0) for x in (-0.9, 0.9)]
    twins = Scene(tuple(ball), (-2.5, -2.0), (0.4, 0.4, 0.4))
    values = changed(Web.read().to_dict(), "captions.other_scene", 0.0)
    web = Web.of(changed(values, "captions.left_out", 1.0))
    (caption,), _ = web.captions([twins], [twins], np.random.default_rng(0))
    claim = parse(caption)
    assert claim is not None
    assert [(m.color, m.shape, m.count) for m in claim.mentions] == [("blue", "sphere", 1)]
