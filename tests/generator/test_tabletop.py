"""The tabletop world: scenes, pictures and captions agree with each other."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from generator.tabletop.captions import (
    RELATIONS,
    Claim,
    Mention,
    caption_accuracy,
    describe,
    holds,
    illustrate,
    parse,
)
from generator.tabletop.dataset import downsample, reference_images, render_shards, scene
from generator.tabletop.render import EYE, project, render
from generator.tabletop.scenes import HELD_OUT, TWIN_SHARE, Object, Scene, held_out, sample_scene

PLAIN = {"light": (-2.5, -2.0), "table": (0.4, 0.4, 0.4)}


def one(shape: str = "sphere", color: str = "red", material: str = "matte", **place) -> Scene:
    values = {"x": 0.0, "y": 0.0, **place}
    return Scene((Object(shape, color, "large", material, **values),), **PLAIN)


def test_training_scenes_never_show_a_held_out_pair_and_zero_shot_scenes_always_do():
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert not held_out(sample_scene(rng, split="train"))
        shown = {(o.color, o.shape) for o in sample_scene(rng, split="zero_shot").objects}
        assert shown & set(HELD_OUT)


def test_objects_of_a_scene_never_touch_and_never_coincide_in_kind():
    for i in range(200):
        objects = scene(3, i).objects
        assert 1 <= len(objects) <= 3
        assert len({(o.color, o.shape) for o in objects}) == len(objects)
        for a in objects:
            for b in objects:
                if a is not b:
                    assert math.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius


def test_a_scene_depends_on_its_seed_and_index_alone():
    assert scene(5, 17) == scene(5, 17)
    assert scene(5, 17) != scene(5, 18)


def test_unknown_splits_and_counts_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="split"):
        sample_scene(rng, split="test")
    with pytest.raises(ValueError, match="count"):
        sample_scene(rng, count=4)


@pytest.mark.parametrize("shape", ["sphere", "cube", "cone"])
@pytest.mark.parametrize(("color", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_an_object_has_its_colour_where_it_projects(shape, color, channel):
    picture = render([one(shape, color)])[0].numpy().astype(int)
    u, v = project(0.0, 0.0, 0.4)
    pixel = picture[int(v * 128), int(u * 128)]
    others = [c for c in range(3) if c != channel]
    assert pixel[channel] > 2 * max(pixel[others])


def test_pictures_do_not_depend_on_their_batch():
    scenes = [scene(1, i) for i in range(5)]
    together = render(scenes, chunk=5)
    apart = render(scenes, chunk=1)
    assert (together.int() - apart.int()).abs().max() <= 1


def test_the_lamp_throws_a_shadow_away_from_itself():
    empty_side, shadow_side = (project(x, y, 0.0) for x, y in ((-0.85, -0.2), (0.9, 0.55)))
    picture = render([one()])[0].float().mean(-1)
    at = [picture[int(v * 128), int(u * 128)] for u, v in (empty_side, shadow_side)]
    assert at[1] < 0.8 * at[0]


def test_shadows_are_soft():
    row = render([one()])[0].float().mean(-1)[int(project(0.9, 0.5, 0.0)[1] * 128), 64:]
    lit, dark = row.max(), row.min()
    halfway = ((row > dark + 0.2 * (lit - dark)) & (row < dark + 0.8 * (lit - dark))).sum()
    assert halfway >= 3


def test_shiny_objects_carry_a_highlight_and_matte_ones_do_not():
    shiny, matte = (render([one(material=m)])[0].float().mean(-1).max() for m in ("shiny", "matte"))
    table = render([one()])[0].float().mean(-1).max()
    assert matte <= table
    assert shiny > matte


def test_a_mirror_shows_its_neighbour():
    ball = Object("sphere", "blue", "large", "shiny", x=-0.7, y=0.0)
    neighbour = Object("cube", "red", "large", "matte", x=0.9, y=-0.1)
    alone = render([Scene((ball,), **PLAIN)])[0].int()
    beside = render([Scene((ball, neighbour), **PLAIN)])[0].int()
    u, v = project(-0.18, -0.41, 0.94)
    here = (slice(int(v * 128) - 3, int(v * 128) + 4), slice(int(u * 128) - 3, int(u * 128) + 4))
    assert (beside[here][..., 0] - alone[here][..., 0]).max() > 8


def test_projection_puts_nearer_things_lower_and_the_eye_is_above_the_table():
    assert project(0, -1, 0)[1] > project(0, 1, 0)[1]
    assert project(-1, 0, 0)[0] < 0.5 < project(1, 0, 0)[0]
    assert EYE[2] > 0


def test_downsampling_averages_blocks():
    image = np.array([[0, 255], [255, 255]], np.uint8)[None, :, :, None].repeat(3, -1)
    assert downsample(image, 2).tolist() == [[[[191, 191, 191]]]]


def test_reference_images_come_with_true_captions():
    images, captions = reference_images(4, seed=9)
    assert images.shape == (4, 128, 128, 3)
    for i, caption in enumerate(captions):
        assert caption_accuracy(caption, scene(9, i).objects)["caption"] == 1


def test_shards_that_exist_are_not_rendered_again(tmp_path, monkeypatch):
    monkeypatch.setattr("generator.tabletop.dataset.SHARD", 2)
    render_shards(tmp_path, 1, 0, 2)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert set(before) == {"all-1-00000.npy", "all-1-00001.npy"}
    render_shards(tmp_path, 1, 0, 2)
    assert before == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


def test_captions_are_true_of_their_scene_and_read_back_as_written():
    rng = np.random.default_rng(1)
    for i in range(300):
        s = scene(4, i)
        caption = describe(s, rng)
        claim = parse(caption)
        assert claim is not None
        assert str(claim) == caption
        accuracy = caption_accuracy(caption, s.objects)
        assert all(math.isnan(value) or value == 1 for value in accuracy.values()), caption


def test_a_scene_drawn_from_a_caption_is_true_of_it_and_of_what_sampled_scenes_are():
    """The oracle paints sampled scenes in the caption's kinds, which are independent of places,
    describes them, and keeps those described by these very words.
    """
    red, blue = ("cube", "red"), ("cone", "blue")
    for words, kinds in (("a red cube", [red]), ("a red cube behind a blue cone", [red, blue])):
        rng = np.random.default_rng(3)
        drawn = [illustrate(words, rng) for _ in range(400)]
        assert all(caption_accuracy(words, s.objects)["caption"] == 1 for s in drawn)
        oracle: list[Scene] = []
        while len(oracle) < 400:
            s = sample_scene(rng, len(kinds))
            painted = tuple(
                dataclasses.replace(o, shape=shape, color=color)
                for o, (shape, color) in zip(s.objects, rng.permutation(kinds), strict=True)
            )
            s = dataclasses.replace(s, objects=painted)
            oracle += [s] if describe(s, rng) == words else []
        ours, theirs = (
            [next(o for o in s.objects if o.color == "red") for s in scenes]
            for scenes in (drawn, oracle)
        )
        for name in ("x", "y"):
            places = ([getattr(o, name) for o in cubes] for cubes in (ours, theirs))
            assert ks_2samp(*places).pvalue > 0.01, (words, name)
        larger = [np.mean([o.size == "large" for o in cubes]) for cubes in (ours, theirs)]
        assert larger[0] == pytest.approx(larger[1], abs=0.1)


def test_twins_are_counted_in_captions_and_read_back():
    rng = np.random.default_rng(1)
    counted = 0
    for i in range(600):
        s = scene(4, i, twins=True)
        caption = describe(s, rng)
        claim = parse(caption)
        assert claim is not None
        assert str(claim) == caption
        kinds = [(o.color, o.shape) for o in s.objects]
        assert (len(set(kinds)) < len(kinds)) == ("two" in caption)
        counted += "two" in caption
        accuracy = caption_accuracy(caption, s.objects)
        assert all(math.isnan(value) or value == 1 for value in accuracy.values()), caption
    share = TWIN_SHARE * 2 / 3  # of scenes, a third of which hold one object
    assert counted / 600 == pytest.approx(share, abs=4 * math.sqrt(share / 600))


def test_scenes_without_twins_are_what_they_were_before_twins():
    ones = [scene(4, i) for i in range(50) if len(scene(4, i).objects) == 1]
    assert ones == [scene(4, i, twins=True) for i in range(50) if len(scene(4, i).objects) == 1]


def test_two_spheres_are_not_one_and_not_three():
    blue = [Object("sphere", "blue", "large", "matte", x, 0.0) for x in (-1.0, 0.0, 1.0)]
    for shown in (1, 2, 3):
        accuracy = caption_accuracy("two blue spheres", blue[:shown])
        assert accuracy["count"] == accuracy["caption"] == (shown == 2)
        assert accuracy["object"] == min(shown, 2) / 2


def test_a_scene_drawn_of_twins_shows_them_alike():
    rng = np.random.default_rng(2)
    for _ in range(20):
        s = illustrate("a red cube and two shiny blue cones", rng)
        assert caption_accuracy("a red cube and two shiny blue cones", s.objects)["caption"] == 1
        assert len({(o.size, o.material) for o in s.objects if o.color == "blue"}) == 1


def test_what_is_no_caption_can_not_be_drawn():
    rng = np.random.default_rng(0)
    for words in ("a dog", "", "a red cube, a red cone, a blue cube and a blue cone"):
        with pytest.raises(ValueError, match="nothing to draw"):
            illustrate(words, rng)


def test_every_relation_means_what_it_says():
    left, right = Object("cube", "red", "small", "matte", -1, 0), one(x=1).objects[0]
    assert holds("to the left of", left, right)
    assert holds("to the right of", right, left)
    near, far = one(y=-1).objects[0], one(y=1).objects[0]
    assert holds("in front of", near, far)
    assert holds("behind", far, near)
    assert not any(holds(r, near, near) for r in RELATIONS)


def test_accuracy_of_a_half_right_picture_can_be_worked_out_by_hand():
    claim = "a large red sphere to the left of a matte blue cube"
    seen = [
        Object(
            "cube", "green", "small", "matte", 1.0, 0.0
        ),  # right shape and material, wrong colour
        Object("sphere", "red", "small", "matte", -1.0, 0.0),  # right kind, wrong size
    ]
    accuracy = caption_accuracy(claim, seen)
    assert accuracy == {
        "object": 0.5, "color": 0.5, "shape": 1.0, "attribute": 0.5, "count": 1.0,
        "relation": 0.0, "caption": 0.0,
    }  # fmt: skip


def test_an_empty_picture_satisfies_nothing_and_free_text_claims_nothing():
    nothing = caption_accuracy("a red cube", [])
    assert nothing["object"] == nothing["count"] == nothing["caption"] == 0
    assert all(math.isnan(v) for v in caption_accuracy("a corgi", []).values())


@pytest.mark.parametrize(
    "caption",
    [
        "a red corgi",
        "red cube",
        "a red cube and",
        "a red cube under a blue cone",
        "",
        "two red cube",
        "a red cubes",
        "two red cubes behind a blue cone",
    ],
)
def test_sentences_outside_the_grammar_do_not_parse(caption):
    assert parse(caption) is None


def test_the_three_object_forms_parse():
    claim = parse("A red cube behind a small blue cone, and a shiny green sphere.")
    assert claim == Claim(
        (Mention("cube", "red"), Mention("cone", "blue", "small"), Mention("sphere", "green", None,
        "shiny")), "behind",
    )  # fmt: skip
    assert parse("a red cube, a blue cone and a green sphere").relation is None
