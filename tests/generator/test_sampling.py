"""Seeds, tokenizer, guidance and the pipeline, on an untrained tiny model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from generator import checkpoints
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.errors import CheckpointError, OptionError
from generator.guidance import classifier_free, unguided
from generator.loading import load_pipeline
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.sampling import SAMPLERS
from generator.schedules import kept_steps
from generator.seeds import SampleNoise
from generator.stages import Stage
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import ended, padded
from tests.generator.recipe import with_recipe_weights

TINY = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1, 2), num_head_channels=32,
    attention_resolutions=(8,), text_ctx=16, xf_width=32, xf_layers=1, xf_heads=2, n_vocab=48,
    dropout=0.0,
)  # fmt: skip
TINY_UP = UNetConfig.from_dict(
    {**TINY.to_dict(), "image_size": 32, "super_res": True, "noise_schedule": "linear"}
)
TINY_CLIP = ClipConfig(
    image_size=16, n_embd=16, n_vocab=48, max_text_len=16, n_head_text=2, n_head_state_text=8,
    n_xf_blocks_text=1, n_head_image=2, n_head_state_image=8, n_xf_blocks_image=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(
        with_recipe_weights(TextUNet(TINY)), with_recipe_weights(TextUNet(TINY_UP)),
        with_recipe_weights(Clip(TINY_CLIP)), WordTokenizer(), {}, torch.device("cpu"),
        base_weak=with_recipe_weights(TextUNet(dataclasses.replace(TINY, xf_layers=0))),
    )  # fmt: skip


def sample(pipeline: Pipeline, captions, seeds, **options) -> np.ndarray:
    options = {
        "strategy": "classifier_free",
        "scale": 3.0,
        "steps": 4,
        "upsampler_steps": 3,
        "sampler": "ddim",
    } | options
    return pipeline.sample(captions, seeds, Sampling(**options))


def test_noise_belongs_to_the_seed_not_to_the_batch():
    together, alone = SampleNoise([7, 8, 9], 0), SampleNoise([8], 0)
    torch.testing.assert_close(together.initial((3, 4, 4))[1:2], alone.initial((3, 4, 4)))
    torch.testing.assert_close(together.step(5, (3,))[1:2], alone.step(5, (3,)))


def test_draws_of_other_stages_and_steps_differ():
    noise = SampleNoise([7], 0)
    draws = [noise.initial((100,)), noise.step(0, (100,)), noise.step(1, (100,)),
             SampleNoise([7], 1).initial((100,))]  # fmt: skip
    for i, a in enumerate(draws):
        for b in draws[i + 1 :]:
            assert abs(float(np.corrcoef(a[0], b[0])[0, 1])) < 0.4


@pytest.mark.parametrize("strategy", ["unguided", "classifier_free", "clip"])
@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_neighbours_in_a_batch_do_not_change_a_picture(pipeline, strategy, sampler):
    first = sample(
        pipeline, ["a red cube", "a blue cone"], [1, 2], strategy=strategy, sampler=sampler
    )
    other = sample(
        pipeline, ["a red cube", "a cyan cube"], [1, 9], strategy=strategy, sampler=sampler
    )
    np.testing.assert_array_equal(first[0], other[0])
    assert (first[1] != other[1]).any()


def test_scale_one_is_the_unguided_model_at_half_the_cost(pipeline):
    captions = ["a red cube", "a green sphere"]
    text = pipeline.base.condition(*padded(WordTokenizer(), captions, 16))
    empty = pipeline.base.condition(*padded(WordTokenizer(), ["", ""], 16))
    x, t = (
        torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
        torch.tensor([5, 900]),
    )
    plain = unguided(pipeline.base, text)(x, t)
    torch.testing.assert_close(classifier_free(pipeline.base, text, empty, 1)(x, t), plain)
    nearly = classifier_free(pipeline.base, text, empty, 1.0 + 1e-7)(x, t)
    torch.testing.assert_close(nearly, plain, atol=1e-4, rtol=1e-4)


def test_scale_zero_is_the_empty_caption_or_the_weaker_model(pipeline):
    def small(caption: str, strategy: str, scale: float | None = 0.0) -> torch.Tensor:
        # DDIM: the variance, which stays the caption's, is not used.
        return pipeline.sample_base([caption], [3], Sampling(strategy, scale, "ddim", steps=3))

    nothing = small("", "unguided", None)
    torch.testing.assert_close(small("a cone", "classifier_free"), nothing, atol=1e-3, rtol=0)
    assert (small("a cone", "autoguidance") - nothing).abs().max() > 0.05


def test_each_caption_of_a_batch_may_have_its_own_scale(pipeline):
    text = pipeline.base.condition(*padded(WordTokenizer(), ["a red cube"] * 2, 16))
    empty = pipeline.base.condition(*padded(WordTokenizer(), ["", ""], 16))
    x, t = torch.ones(2, 3, 16, 16), torch.tensor([500, 500])
    mixed = classifier_free(pipeline.base, text, empty, torch.tensor([1.5, 4.0]))(x, t)
    for row, scale in enumerate([1.5, 4.0]):
        same = classifier_free(pipeline.base, text, empty, scale)(x, t)
        torch.testing.assert_close(mixed[row], same[row])


CAPTIONS = ["a red cube", "a blue cone", "a cyan cube", "a green sphere"]
SEEDS = [1, 2, 3, 4]


def test_rows_of_different_scales_share_a_batch_and_no_row_feels_its_neighbours(pipeline):
    def rows(*scales: float | None) -> np.ndarray:
        options = {"sampler": "ddim", "steps": 3, "upsampler_steps": 1}
        samplings = [
            Sampling("unguided" if s is None else "classifier_free", s, **options) for s in scales
        ]
        return pipeline.sample(CAPTIONS, SEEDS, samplings)

    mixed = rows(3.0, None, 1.0, 5.0)
    for row, others in enumerate([rows(3.0, 3.0, 3.0, 3.0), rows(None, None, None, None),
                                  rows(1.0, 1.0, 1.0, 1.0), rows(2.0, 1.0, 7.0, 5.0)]):  # fmt: skip
        np.testing.assert_array_equal(mixed[row], others[row])
    np.testing.assert_array_equal(rows(1.0, 1.0, 1.0, 1.0), rows(None, None, None, None))


def test_rows_that_differ_in_more_than_scale_are_refused(pipeline):
    one, other = Sampling(steps=3), Sampling(steps=4, sampler="ddim")
    with pytest.raises(OptionError, match=r"found different sampler, steps\."):
        pipeline.sample(CAPTIONS[:2], [1, 2], [one, other])
    with pytest.raises(OptionError, match="found 1 for 2 captions"):
        pipeline.sample(CAPTIONS[:2], [1, 2], [one])
    with pytest.raises(OptionError, match="different strategy"):
        pipeline.sample(CAPTIONS[:2], [1, 2], [one, Sampling("clip", steps=3)])


def test_with_a_micro_batch_the_bytes_do_not_depend_on_how_many_are_made(pipeline):
    sampling = Sampling(sampler="dpm++2m", steps=3, upsampler_steps=1)
    together = pipeline.sample(CAPTIONS, SEEDS, sampling, micro_batch=3)
    alone = pipeline.sample(CAPTIONS[2:3], [3], sampling, micro_batch=3)
    np.testing.assert_array_equal(together[2], alone[0])
    backwards = pipeline.sample(CAPTIONS[::-1], SEEDS[::-1], sampling, micro_batch=3)
    np.testing.assert_array_equal(together, backwards[::-1])
    with pytest.raises(OptionError, match="micro_batch"):
        pipeline.sample(CAPTIONS, SEEDS, sampling, micro_batch=0)


def test_outside_its_interval_guidance_costs_one_pass_and_changes_nothing(pipeline, monkeypatch):
    sizes, forward = [], type(pipeline.base).forward

    def counted(self, x, *args, **kwargs):
        sizes.append(len(x))
        return forward(self, x, *args, **kwargs)

    monkeypatch.setattr(type(pipeline.base), "forward", counted)

    def base(**options) -> torch.Tensor:
        sizes.clear()
        return pipeline.sample_base(
            CAPTIONS[:2], [1, 2], Sampling(sampler="ddim", steps=5, **options)
        )

    unguided_picture = base(strategy="unguided")
    assert sizes == [2] * 5
    base(interval=(0.2, 0.8))  # of steps 999, 749, 500, 250, 0
    assert sizes == [2, 4, 4, 4, 2]
    nothing = base(interval=(0.9, 0.95))
    assert sizes == [2] * 5
    torch.testing.assert_close(nothing, unguided_picture, rtol=0, atol=0)
    torch.testing.assert_close(
        base(strategy="clip", interval=(0.9, 0.95)), unguided_picture, rtol=0, atol=0
    )
    assert (base(strategy="clip") - unguided_picture).abs().max() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"rescale": 0.7}, {"threshold": 80.0}, {"eta": 0.5}, {"interval": (0.0, 0.6)},
        {"steps": "2,2"}, {"upsampler_steps": "1,1,1,1,1"}, {"upsampler_sampler": "ddpm"},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_every_option_changes_the_picture(pipeline, options):
    plain = sample(pipeline, CAPTIONS[:1], [1], scale=6.0)
    assert (sample(pipeline, CAPTIONS[:1], [1], **{"scale": 6.0} | options) != plain).any()


def test_any_gradient_plugs_in(pipeline):
    seen = []

    def brighter(x, t):
        seen.append(int(t[0]))
        return torch.full_like(x, 3.0)

    for strategy in ("unguided", "classifier_free", "clip"):
        sampling = Sampling(strategy, sampler="ddpm", steps=4, interval=(0.0, 0.9))
        plain = pipeline.sample_base(CAPTIONS[:2], [1, 2], sampling)
        steered = pipeline.sample_base(CAPTIONS[:2], [1, 2], sampling, cond_fn=brighter)
        assert float((steered - plain).mean()) > 0
    assert seen == [666, 333, 0] * 3


def test_clip_guidance_raises_the_guiding_clips_own_score(pipeline):
    captions, seeds = ["a red cube", "a green sphere", "a cyan cone", "a blue cube"], [1, 2, 3, 4]
    text = pipeline.clip.text_embeddings(*ended(WordTokenizer(), captions, 16))

    def score(scale: float) -> float:
        small = pipeline.sample_base(
            captions, seeds, Sampling(strategy="clip", scale=scale, steps=10)
        )
        t = torch.zeros(len(small), dtype=torch.int64)
        return float((pipeline.clip.image_embeddings(small, t) * text).sum(-1).mean())

    assert score(3.0) > score(0.0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"strategy": "magic"}, "magic"),
        ({"sampler": "euler"}, "euler"),
        ({"steps": 0}, "steps"),
        ({"upsampler_steps": 1001}, "upsampler_steps"),
        ({"scale": None}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": float("inf")}, "scale"),
        ({"scale": -0.5}, "scale of 0 or more"),
        ({"strategy": "apg", "scale": 0.5}, "scale of 1 or more"),
        ({"strategy": "clip", "scale": -1.0}, "scale of 0 or more"),
        ({"steps": "ddim999"}, "steps"),
        ({"steps": ""}, "steps"),
        ({"steps": float("nan")}, "steps"),
        ({"upsampler_steps": "fast"}, "upsampler_steps"),
        ({"upsampler_sampler": "euler"}, "euler"),
        ({"eta": 1.5}, "eta"),
        ({"sampler": "plms", "eta": 0.5}, "eta"),
        ({"interval": (0.8, 0.2)}, "interval"),
        ({"interval": (0.2,)}, "interval"),
        ({"interval": (0.0, float("nan"))}, "interval"),
        ({"rescale": -0.1}, "rescale"),
        ({"strategy": "clip", "rescale": 0.5}, "rescale"),
        ({"threshold": 100.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"strategy": "classifier"}, "needs a noised classifier"),
    ],
)
def test_impossible_options_are_named(pipeline, options, named):
    with pytest.raises(OptionError, match=named):
        sample(pipeline, ["a red cube"], [1], **options)


def test_the_weaker_model_runs_only_where_it_guides(pipeline, monkeypatch):
    weak, calls = pipeline.unet("base_weak"), []
    forward = weak.forward
    monkeypatch.setattr(weak, "forward", lambda x, t, *a, **k: calls.append(int(t[0])) or forward(
        x, t, *a, **k))  # fmt: skip
    sample(pipeline, ["a cone"], [1], strategy="autoguidance", interval=(0.3, 0.7))
    assert calls == [666, 333]
    sample(pipeline, ["a cone"], [1], strategy="autoguidance", scale=1.0)
    assert len(calls) == 2


def beside(base: TextUNet, weak: TextUNet | None) -> Pipeline:
    up, clip = (with_recipe_weights(n) for n in (TextUNet(TINY_UP), Clip(TINY_CLIP)))
    return Pipeline(
        with_recipe_weights(base), up, clip, WordTokenizer(), {}, torch.device("cpu"),
        base_weak=weak and with_recipe_weights(weak),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weak", "named"),
    [
        (None, r"base-weak\.safetensors in the model's folder, which this model lacks"),
        (TINY_UP, "draws 32 px with the noise schedule linear, expected 16 px and squaredcos"),
    ],
)
def test_a_weaker_model_that_is_not_there_or_does_not_fit_is_named(weak, named):
    model = beside(TextUNet(TINY), weak and TextUNet(dataclasses.replace(weak, super_res=False)))
    with pytest.raises(OptionError, match=named):
        sample(model, ["a red cube"], [1], strategy="autoguidance")


def test_autoguidance_does_not_guide_an_inpainting_network(pipeline):
    stage = Stage(with_recipe_weights(TextUNet(dataclasses.replace(TINY, inpaint=True))))
    with pytest.raises(OptionError, match="can't guide an inpainting network"):
        pipeline.sample_base(["a cone"], [1], Sampling("autoguidance", 2.0, steps=1), stage=stage)


def test_as_many_seeds_as_captions_are_needed(pipeline):
    with pytest.raises(OptionError, match="2 captions and 1 seeds"):
        sample(pipeline, ["a red cube", "a blue cube"], [1])


@pytest.mark.parametrize("respacing", ["0", "1001", "a", "ddim999", "10,x", "-5"])
def test_impossible_respacings_are_refused(respacing):
    with pytest.raises(OptionError):
        kept_steps(respacing)


def test_tokens_are_padded_ended_and_unknown_words_share_an_id():
    tokenizer = WordTokenizer()
    tokens, mask = padded(tokenizer, ["a red cube", ""], 6)
    assert mask.tolist() == [[True] * 3 + [False] * 3, [False] * 6]
    tokens, lengths = ended(tokenizer, ["a red corgi", "a blue axolotl"], 6)
    assert lengths.tolist() == [4, 4]
    assert tokens[0, 2] == tokens[1, 2] == tokenizer.unknown_token
    assert max(tokenizer.encode("a large shiny cyan cone, and behind an")) < tokenizer.n_vocab


def test_a_saved_model_loads_with_its_config(tmp_path):
    model = with_recipe_weights(TextUNet(TINY))
    checkpoints.save(tmp_path / "m.safetensors", model, TINY, {"steps": 3})
    loaded = checkpoints.load_unet(tmp_path / "m.safetensors")
    assert loaded.config == TINY
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name].half().float())


def test_bad_weight_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match="missing"):
        checkpoints.load_unet(path)
    checkpoints.save(path, with_recipe_weights(TextUNet(TINY)), TINY, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.load_unet(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.load_unet(path)
    checkpoints.save(path, Clip(TINY_CLIP), TINY_CLIP, {})
    with pytest.raises(CheckpointError, match="hold a Clip, expected a TextUNet"):
        checkpoints.load_unet(path)
    other = UNetConfig.from_dict({**TINY.to_dict(), "num_res_blocks": 2})
    checkpoints.save(path, with_recipe_weights(TextUNet(TINY)), other, {})
    with pytest.raises(CheckpointError, match=r"missing .*input_blocks"):
        checkpoints.load_unet(path)


def test_a_folder_without_models_and_an_absent_device_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"base\.safetensors"):
        load_pipeline(str(tmp_path))
    with pytest.raises(OptionError, match="float8"):
        load_pipeline(dtype="float8")
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="CUDA"):
            load_pipeline(device="cuda")
