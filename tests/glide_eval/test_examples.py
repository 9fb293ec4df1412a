"""The sweeps of the paper in `examples/`: they say what they should, and the small ones run."""

from __future__ import annotations

from pathlib import Path

import pytest

from glide_eval.files import read_rgb
from glide_eval.sweep import load_prompts, load_sweep, run_sweep
from glide_eval.sweep.sources import FakeSource
from tests.glide_eval.sweeps import write_images

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLE_3 = {
    "table3-miniature": [
        "cfg-3", "cfg-3-best8", "cfg-3-autoencoder",
        "rival-autoencoder", "rival-best8-autoencoder",
    ],
    "table3-glide": ["cfg-3", "cfg-3-best8", "cfg-3-blur1.5", "dall-e", "dall-e-best8"],
}  # fmt: skip
PAPER = [f"{table}-{model}" for table in ("table1", "figure6", "table3")
         for model in ("miniature", "glide")]  # fmt: skip


def example(name: str):
    return load_sweep(EXAMPLES / f"{name}.toml").config


@pytest.mark.parametrize("name", PAPER)
def test_each_table_has_a_sweep_for_the_miniature_and_one_for_the_released_weights(name):
    config = example(name)
    assert config.run.name == name
    assert config.generator.model == ("tabletop" if name.endswith("miniature") else "glide")
    ours = [arm for arm in config.expand() if not arm.imported]
    steps = {arm.record.steps for arm in ours}
    if name.endswith("glide"):
        assert steps == {250 if name.startswith("figure6") else 150}
        assert {arm.settings()["upsampler_steps"] for arm in ours} == {27}


@pytest.mark.parametrize("name", ["table1-miniature", "table1-glide"])
def test_table_1_compares_no_guidance_clip_at_2_and_classifier_free_at_3(name):
    arms = [(arm.strategy, arm.scale) for arm in example(name).expand()]
    assert arms == [("unguided", None), ("clip", 2.0), ("classifier_free", 3.0)]


@pytest.mark.parametrize("name", ["figure6-miniature", "figure6-glide"])
def test_figure_6_sweeps_both_strategies_from_the_unguided_model_up(name):
    arms = example(name).expand()
    scales = {
        strategy: [arm.scale for arm in arms if arm.strategy == strategy]
        for strategy in ("classifier_free", "clip")
    }
    assert arms[0].strategy == "unguided"
    assert all(len(found) >= 4 and found == sorted(found) for found in scales.values())


@pytest.mark.parametrize("name", TABLE_3)
def test_table_3_has_each_side_plain_and_reranked_and_ours_softened(name):
    arms = {arm.name: arm for arm in example(name).expand()}
    assert list(arms) == TABLE_3[name]
    assert {arm.rerank.best_of for arm in arms.values() if arm.rerank} == {8}
    assert len({arm.label for arm in arms.values()}) == 5


def small(tmp_path: Path, name: str, model: str) -> Path:
    """The example with few prompts on the fake model."""
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    text = text.replace(f'model = "{model}"', 'model = "fake"\nfake = { size = 32 }')
    head, _, tail = text.partition("[prompts]\n")
    captions = 'captions = ["a cat", "a dog", "a hen"]\n'
    path = tmp_path / f"{name}.toml"
    path.write_text(
        f"{head}[prompts]\n{captions}{tail[tail.index('[[arms]]') :]}", encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("name", ["table1-miniature", "figure6-miniature", "table3-miniature"])
def test_the_small_sweeps_run_to_the_end(name, tmp_path):
    path = small(tmp_path, name, "tabletop")
    arms = load_sweep(path).config.expand()
    assert arms == example(name).expand()
    run = run_sweep(load_sweep(path), tmp_path / "run", say=lambda _: None).run
    samples = run.samples()
    assert len(samples) == 3 * load_sweep(path).config.run.replicas * len(arms)
    assert {read_rgb(run.root / s.path).shape for s in samples} == {(32, 32, 3)}
    reranked = {arm.name for arm in arms if arm.rerank}
    assert {s.arm for s in samples if s.candidate_scores} == reranked


@pytest.mark.parametrize("name", ["table1-miniature", "figure6-miniature", "table3-miniature"])
def test_the_small_sweeps_find_all_the_prompts_they_ask_for(name):
    sweep = load_sweep(EXAMPLES / f"{name}.toml")
    table = sweep.config.prompts.tabletop
    assert table is not None
    assert len(load_prompts(sweep)) == table.count


def test_table_3_runs_against_a_folder_of_another_models_images(tmp_path, monkeypatch):
    path = small(tmp_path, "table3-glide", "glide")
    path.write_text(path.read_text().replace('"vit-b-16"', '"fake"').replace("bfloat16", "float32"))
    write_images(tmp_path / "dall-e", ["a cat", "a dog", "a hen"] * 8, size=32)
    made = []
    generate = FakeSource.generate
    monkeypatch.setattr(
        FakeSource, "generate", lambda *args: made.append(args[1].name) or generate(*args)
    )
    run = run_sweep(load_sweep(path), tmp_path / "run", say=lambda _: None).run
    assert [arm.name for arm in run.arms()] == TABLE_3["table3-glide"]
    assert len(run.samples()) == 15
    assert made == ["cfg-3"] + ["cfg-3-best8"] * 8 + ["cfg-3-blur1.5"]
