"""Inpainting against the released code's outputs; what edits promise, on untrained tiny models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.clip import Clip
from generator.config import UNetConfig
from generator.diffusion import Diffusion
from generator.editing import (
    SceneStep,
    build_scene,
    from_sketch,
    inpaint,
    shrink,
    shrink_known,
    step_seed,
)
from generator.errors import GeneratorWarning, OptionError
from generator.guidance import classifier_free, unguided
from generator.memory import Halving
from generator.options import Sampling
from generator.pipeline import Pipeline, to_uint8
from generator.sampling import ddpm
from generator.seeds import SampleNoise
from generator.stages import Inpainting, Sketched
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from tests.generator.recipe import Draws, golden, with_recipe_weights
from tests.generator.test_sampling import TINY, TINY_CLIP, TINY_UP

from . import test_goldens as released

QUICK = Sampling(steps=4, upsampler_steps=3, sampler="ddim")
LEFT_KNOWN = np.arange(32) < 16


def with_channels(config: UNetConfig) -> UNetConfig:
    return UNetConfig.from_dict({**config.to_dict(), "inpaint": True})


def build(inpainting: bool) -> Pipeline:
    names = {"base_inpaint": TINY, "upsample_inpaint": TINY_UP} if inpainting else {}
    told = {n: with_recipe_weights(TextUNet(with_channels(c))) for n, c in names.items()}
    return Pipeline(
        with_recipe_weights(TextUNet(TINY)), with_recipe_weights(TextUNet(TINY_UP)),
        with_recipe_weights(Clip(TINY_CLIP)), WordTokenizer(), {}, torch.device("cpu"),
        **told,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Pipeline:
    return build(inpainting=False)


@pytest.fixture(scope="module")
def trained() -> Pipeline:
    """Has networks with inpainting channels, as if fine-tuned."""
    return build(inpainting=True)


@pytest.fixture(params=["plain", "trained"])
def pipeline(request) -> Pipeline:
    return request.getfixturevalue(request.param)


def pictures(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def left_known(count: int = 1) -> np.ndarray:
    """The left half is known."""
    return np.tile(LEFT_KNOWN, (count, 32, 1))


def test_inpainting_loops_match_the_released_code():
    expected = {k: torch.from_numpy(v) for k, v in golden("loop_inpaint").items() if v.ndim}
    tokens, mask = released.short_prompts("base")
    base = with_recipe_weights(TextUNet(with_channels(released.TINY)))
    stage = Inpainting(base, *(expected[k].repeat(2, 1, 1, 1) for k in ("source_16", "mask_16")))
    draws, steps = Draws(1005), []  # drawn for the doubled batch; the second half is dropped
    text = base.condition(tokens, mask)
    empty = base.condition(torch.full_like(tokens, 50256), torch.zeros_like(mask))
    final = ddpm(
        classifier_free(stage.network, text, empty, 5.0),
        draws((4, 3, 16, 16))[:2],
        Diffusion("squaredcos_cap_v2", "10"),
        lambda number: draws((4, 3, 16, 16))[:2],
        denoised_fn=stage.denoised_fn,
        on_step=lambda number, x: steps.append(x),
    )
    released.close(torch.stack(steps), expected["steps"], 1e-3)
    released.close(final, expected["final"], 1e-3)

    up = with_recipe_weights(TextUNet(with_channels(released.TINY_UP)))
    stage = Inpainting(up, *(expected[k].repeat(2, 1, 1, 1) for k in ("source_32", "mask_32")))
    low_res = to_uint8(expected["final"]).float() / 127.5 - 1
    draws = Draws(1006)
    final = ddpm(
        unguided(stage.network, up.condition(tokens, mask), low_res),
        draws((2, 3, 32, 32)) * 0.997,
        Diffusion("linear", "fast27"),
        lambda number: draws((2, 3, 32, 32)),
        denoised_fn=stage.denoised_fn,
    )
    released.close(final, expected["up_final"], 5e-2)
    released.assert_bytes_near(final, expected["up_final_uint8"].numpy(), 2)
    kept = expected["mask_32"].bool().expand_as(final)
    released.close(final[kept], expected["source_32"].expand_as(final)[kept], 0)


@pytest.mark.parametrize(
    ("strategy", "sampler"), [("unguided", "ddpm"), ("classifier_free", "ddpm"), ("clip", "ddim")]
)
def test_known_pixels_come_back_exactly_and_the_rest_is_painted(pipeline, strategy, sampler):
    sampling = Sampling(strategy, 3.0, sampler, steps=4, upsampler_steps=3)
    sources = pictures(2)
    result = inpaint(
        pipeline, ["a red cube", "a blue cone"], [1, 2], sources, left_known(2), sampling
    )
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[:, :, LEFT_KNOWN], sources[:, :, LEFT_KNOWN])
    changed = (result != sources).any(axis=-1)[:, :, ~LEFT_KNOWN]
    assert changed.mean() > 0.9


@pytest.mark.parametrize("steps", [27, 3])
def test_an_inpainted_picture_does_not_depend_on_its_neighbours(pipeline, steps):
    sampling = Sampling(steps=4, upsampler_steps=steps, sampler="ddpm")
    sources, known = pictures(2), left_known(2)
    first = inpaint(pipeline, ["a red cube", "a blue cone"], [1, 2], sources, known, sampling)
    sources[1], known[1, 5:] = pictures(1, seed=9)[0], False
    other = inpaint(pipeline, ["a red cube", "a cyan cube"], [1, 9], sources, known, sampling)
    np.testing.assert_array_equal(first[0], other[0])
    assert (first[1] != other[1]).any()


def test_what_is_painted_over_has_no_influence(pipeline):
    sources = pictures(1)
    changed = sources.copy()
    changed[:, :, ~LEFT_KNOWN] = 255 - changed[:, :, ~LEFT_KNOWN]
    results = [
        inpaint(pipeline, ["a red cube"], [1], source, left_known(), QUICK)
        for source in (sources, changed)
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("context", ["model", "implicit"])
def test_what_is_known_guides_what_is_painted(trained, context):
    results = [
        inpaint(trained, ["a red cube"], [1], source, left_known(), QUICK, context=context)
        for source in (pictures(1), pictures(1, seed=7))
    ]
    assert (results[0] != results[1]).any(axis=-1)[:, :, ~LEFT_KNOWN].mean() > 0.1


def test_the_inpainting_model_is_taken_where_there_is_one(plain, trained):
    arguments = (["a red cube"], [1], pictures(), left_known(), QUICK)
    by_model = inpaint(trained, *arguments, context="model")
    np.testing.assert_array_equal(inpaint(trained, *arguments), by_model)
    assert (inpaint(trained, *arguments, context="implicit") != by_model).any()
    np.testing.assert_array_equal(
        inpaint(plain, *arguments), inpaint(plain, *arguments, context="implicit")
    )
    with pytest.raises(OptionError, match=r"fine-tuned for inpainting.*implicit"):
        inpaint(plain, *arguments, context="model")


def test_the_implicit_context_is_a_draw_of_q_at_every_step(plain):
    source, known = torch.full((2, 3, 16, 16), 0.5), torch.ones(2, 1, 16, 16)
    known[..., 8:] = 0
    stage = Inpainting(plain.base, source, known, SampleNoise([3, 4], 2))
    seen = []
    look = stage.looking(lambda x, t: seen.append(x) or x)
    x, alpha_bar = torch.zeros(2, 3, 16, 16), Diffusion("squaredcos_cap_v2").alpha_bar
    for step in (999, 400, 0):
        look(x, torch.tensor([step, step]))
        inside, outside = seen[-1][..., :8], seen[-1][..., 8:]
        assert (outside == 0).all()
        assert float(inside.mean()) == pytest.approx(0.5 * alpha_bar[step] ** 0.5, abs=0.1)
        assert float(inside.std()) == pytest.approx((1 - alpha_bar[step]) ** 0.5, rel=0.1)
    look(x, torch.tensor([400, 400]))
    assert (seen[-1] == seen[1]).all()


def test_shrinking_keeps_painted_and_known_pixels_apart():
    known = torch.ones(1, 1, 32, 32)
    known[..., 7, 9] = 0
    small = shrink_known(known, 16)
    assert (small == 0).sum() == 1
    assert small[0, 0, 3, 4] == 0
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 7, 9] = 1
    assert (shrink(picture, 16)[small.expand(1, 3, 16, 16) == 1] == 0).all()


def test_strength_says_how_far_a_picture_leaves_its_sketch(plain):
    sketches = np.full((1, 32, 32, 3), 128, np.uint8)
    sketches[:, 8:24, 8:24] = 200
    sampling = Sampling("unguided", None, "ddim", steps=50, upsampler_steps=3)
    small = shrink(torch.from_numpy(sketches).permute(0, 3, 1, 2).float() / 127.5 - 1, 16)
    stages = [Sketched(plain.base, small, strength) for strength in (0.02, 0.3, 1.0)]
    drawn = [plain.sample_base(["a red cube"], [1], sampling, stage=stage) for stage in stages]
    distances = [float((picture - small).abs().mean()) for picture in drawn]
    assert distances == sorted(distances)
    assert distances[0] < 0.1 < distances[-1]


def test_a_sketch_is_noised_to_the_step_its_strength_names(plain):
    stage = Sketched(plain.base, torch.full((1, 3, 16, 16), 0.8), 0.6)
    whole = Diffusion("squaredcos_cap_v2", "10")
    x, walked = stage.start(torch.zeros(1, 3, 16, 16), whole)
    np.testing.assert_array_equal(walked.timesteps, whole.timesteps[:6])
    assert float(x.mean()) == pytest.approx(0.8 * whole.alpha_bar[5] ** 0.5)


def test_pictures_from_sketches_do_not_depend_on_their_neighbours(plain):
    sketches = pictures(2)
    first = from_sketch(plain, ["a red cube", "a cone"], [1, 2], sketches, 0.5, QUICK)
    sketches[1] = 0
    other = from_sketch(plain, ["a red cube", "a cube"], [1, 3], sketches, 0.5, QUICK)
    assert first.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(first[0], other[0])


def test_a_scene_is_built_on_each_steps_result(pipeline):
    upper = np.zeros((32, 32), bool)
    upper[:16] = True
    steps = [SceneStep("a red cube"), SceneStep("a cone", left_known()[0]),
             SceneStep("two cones", upper)]  # fmt: skip
    scenes = list(build_scene(pipeline, steps, [1, 2], sampling=QUICK))
    assert [scene.shape for scene in scenes] == [(2, 32, 32, 3)] * 3
    drawn = pipeline.sample(["a red cube"] * 2, [1, 2], QUICK)
    np.testing.assert_array_equal(scenes[0], drawn)
    np.testing.assert_array_equal(scenes[1][:, :, LEFT_KNOWN], scenes[0][:, :, LEFT_KNOWN])
    np.testing.assert_array_equal(scenes[2][:, :16], scenes[1][:, :16])
    seeds = [step_seed(seed, 1) for seed in (1, 2)]
    again = inpaint(pipeline, ["a cone"] * 2, seeds, scenes[0], left_known(2), QUICK)
    np.testing.assert_array_equal(scenes[1], again)


def test_a_scene_may_begin_with_a_picture(plain):
    source = pictures()[0]
    (scene,) = build_scene(plain, [SceneStep("a cone", left_known()[0])], [5], source, QUICK)
    expected = inpaint(plain, ["a cone"], [5], source[None], left_known(), QUICK)
    np.testing.assert_array_equal(scene, expected)


def test_every_step_of_both_networks_is_told(plain):
    numbers = []
    inpaint(
        plain, ["a cone"], [1], pictures(), left_known(), QUICK,
        on_step=lambda number, x: numbers.append(number),
    )  # fmt: skip
    assert numbers == [0, 1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sources": np.zeros((1, 16, 16, 3), np.uint8)}, r"sources must be uint8 \(1, 32"),
        ({"sources": np.zeros((1, 32, 32, 3), np.float32)}, "float32"),
        ({"known": np.zeros((1, 16, 16), bool)}, r"known must be bool \(1, 32, 32\)"),
        ({"known": np.zeros((1, 32, 32), np.uint8)}, "found uint8"),
        ({"known": np.ones((1, 32, 32), bool)}, "nothing to paint in picture 0"),
        ({"context": "magic"}, "Unknown context 'magic'"),
        ({"seeds": [1, 2]}, "1 captions and 2 seeds"),
        ({"sampling": Sampling(steps=0)}, "steps"),
    ],
)
def test_impossible_edits_are_named(plain, change, named):
    arguments = {
        "captions": ["a cone"], "seeds": [1], "sources": pictures(), "known": left_known(),
        "sampling": QUICK,
    } | change  # fmt: skip
    with pytest.raises(OptionError, match=named):
        inpaint(plain, **arguments)


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_strength_out_of_range_is_refused(plain, strength):
    with pytest.raises(OptionError, match="strength must be above 0 and at most 1"):
        from_sketch(plain, ["a cone"], [1], pictures(), strength, QUICK)


@pytest.mark.parametrize(
    ("steps", "source", "named"),
    [
        ([], None, "at least one step"),
        ([SceneStep("a"), SceneStep("b")], None, "Step 2 of the scene has no mask"),
        ([SceneStep("a")], pictures()[0], "Step 1 of the scene has no mask"),
        ([SceneStep("a", left_known()[0])], None, "no picture to paint in"),
    ],
)
def test_impossible_scenes_are_named(plain, steps, source, named):
    with pytest.raises(OptionError, match=named):
        list(build_scene(plain, steps, [1], source, QUICK))


@pytest.mark.parametrize("edit", ["inpaint", "from_sketch"])
def test_edits_out_of_memory_make_what_smaller_batches_would_have(plain, monkeypatch, edit):
    def make(rows: slice) -> np.ndarray:
        common = (captions[rows], [1, 2, 3][rows], pictures(3)[rows])
        if edit == "inpaint":
            return inpaint(plain, *common, left_known(3)[rows], QUICK)
        return from_sketch(plain, *common, 0.6, QUICK)

    def small_gpu(captions, seeds, sampling, **options):
        if len(captions) > 2:
            raise torch.OutOfMemoryError
        return made(captions, seeds, sampling, **options)

    captions = ["a red cube", "a blue cone", "a cyan cube"]
    expected = np.concatenate([make(slice(0, 2)), make(slice(2, 3))])
    made = plain.sample_base
    monkeypatch.setattr(plain, "sample_base", small_gpu)
    monkeypatch.setattr(plain, "halving", Halving())
    with pytest.warns(GeneratorWarning, match="making 3 pictures at once: going on with 2"):
        found = make(slice(0, 3))
    np.testing.assert_array_equal(found, expected)
