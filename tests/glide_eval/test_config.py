from __future__ import annotations

from pathlib import Path

import pytest

from generator.options import Sampling
from glide_eval.errors import ConfigError
from glide_eval.sweep import load_sweep
from glide_eval.sweep.file.arm_options import DegradeTable, RerankTable
from glide_eval.sweep.file.arm_tables import ImportedTable, arm_tables
from glide_eval.sweep.file.sweep_file import (
    PromptsTable,
    RunTable,
    TabletopPromptsTable,
    parse_sweep,
)
from glide_eval.sweep.sources import EditTable, GlideSettings, InpaintTable, find_source
from tests.glide_eval.sweeps import ARMS, GENERATOR, PROMPTS, RUN, sweep_text

REPOSITORY = Path(__file__).parents[2]


def arms_of(text: str):
    return parse_sweep(sweep_text(arms=text), "s.toml").expand()


def complaint(**tables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_sweep(sweep_text(**tables), "s.toml")
    message = str(caught.value)
    assert message.startswith("s.toml: ")
    assert "\n" not in message
    assert caught.value.exit_status == 2
    return message


def arm(**keys: str) -> str:
    return "[[arms]]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items())


def test_a_table_of_scales_becomes_one_arm_a_scale():
    arms = parse_sweep(sweep_text(), "s.toml").expand()
    assert [(a.name, a.scale, a.label) for a in arms] == [
        ("unguided", None, "Unguided"),
        ("cfg-1.5", 1.5, "Classifier-free, s = 1.5"),
        ("cfg-3", 3.0, "Classifier-free, s = 3"),
    ]


def test_names_and_labels_of_a_table_reach_its_arms():
    arms = arms_of(arm(strategy='"clip"', scales="[2]", name='"gentle"', label='"Noised CLIP"'))
    assert arms[0].record.to_dict() == {
        "name": "gentle-2",
        "strategy": "clip",
        "scale": 2.0,
        "label": "Noised CLIP, s = 2",
        "sampler": "ddpm",
        "steps": 100,
        "reranked_by": None,
        "degraded_by": None,
        "unguided_at": 0.0,
    }


def test_every_sampling_key_reaches_the_arm_and_its_settings():
    keys = {
        "strategy": '"classifier_free"', "scales": "[3]", "sampler": '"ddim"', "steps": '"ddim50"',
        "upsampler_steps": '"10,5"', "upsampler_sampler": '"dpm++2m"', "eta": "0.5",
        "interval": "[0.1, 0.7]", "rescale": "0.7", "threshold": "99.5",
    }  # fmt: skip
    (one,) = arms_of(arm(**keys))
    assert Sampling(one.strategy, one.scale, **one.options.sampling()) == Sampling(
        "classifier_free", 3.0, "ddim", "ddim50", "10,5", "dpm++2m", 0.5, (0.1, 0.7), 0.7, 99.5
    )
    assert one.settings() == {
        "strategy": "classifier_free", "scale": 3.0, "sampler": "ddim", "steps": "ddim50",
        "upsampler_steps": "10,5", "upsampler_sampler": "dpm++2m", "eta": 0.5,
        "interval": "0.1..0.7", "rescale": 0.7, "threshold": 99.5,
    }  # fmt: skip


def test_arms_that_say_nothing_new_keep_the_identity_they_had():
    written_out = arm(
        strategy='"clip"', scales="[2]", eta="0.0", interval="[0, 1]", upsampler_steps="27"
    )
    for text in (arm(strategy='"clip"', scales="[2]"), written_out):
        assert arms_of(text)[0].settings() == {
            "strategy": "clip", "scale": 2.0, "sampler": "ddpm", "steps": 100,
            "upsampler_steps": 27,
        }  # fmt: skip


def test_classifier_guidance_is_a_strategy_with_its_own_name_and_label():
    (one,) = arms_of(arm(strategy='"classifier"', scales="[4]"))
    assert (one.name, one.label) == ("classifier-4", "Classifier, s = 4")


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ({"run": RUN + "\nsed = 1"}, ["`run.sed`", "did you mean `seed`?", "`replicas`"]),
        ({"generator": GENERATOR + "\nmicrobatch = 1"}, ["did you mean `micro_batch`?"]),
        ({"run": 'name = "a"\nseed = "3"'}, ["`run.seed`", '"3"', "a whole number"]),
        ({"run": 'name = "a"\nseed = 1.5'}, ["`run.seed` is 1.5, expected a whole number"]),
        ({"run": 'name = "a"\nseed = true'}, ["`run.seed` is true, expected a whole number"]),
        ({"run": 'name = "a/b"'}, ["`run.name`", '"a/b"', "letters, digits"]),
        ({"run": "seed = 1"}, ["`run.name` is missing"]),
        ({"run": 'name = "a"\nreplicas = 0'}, ["`run.replicas` is 0", "1"]),
        ({"generator": 'device = "gpu"'}, ["`generator.device`", '"gpu"', '"cuda"']),
        ({"generator": "micro_batch = 0"}, ["`generator.micro_batch` is 0"]),
        ({"generator": 'fake = {size = 32}'}, ["`generator`", '"tabletop"']),
        ({"prompts": ""}, ["`prompts`", "none of them", "`tabletop`"]),
        ({"prompts": PROMPTS + '\nfile = "a.txt"'}, ["`captions` and `file`"]),
        ({"prompts": "captions = []"}, ["`prompts.captions`", "at least 1"]),
        ({"prompts": 'captions = ["a", ""]'}, ["`prompts.captions[1]`", "some text"]),
        ({"prompts": "tabletop = {count = 4, objects = [4]}"}, ["`prompts.tabletop.objects[0]`"]),
        ({"prompts": "tabletop = {cuont = 4}"}, ["did you mean `count`?"]),
        ({"arms": ""}, ["`arms` is missing"]),
        ({"arms": "arms = 3"}, ["`prompts.arms`"]),
        ({"arms": arm(scales="[1]")}, ["`arms[0].strategy` is missing", "`classifier_free`"]),
        ({"arms": arm(strategy='"clp"')}, ['"clp"', "did you mean 'clip'?"]),
        ({"arms": arm(strategy='"clip"', scale="[1]")}, ["`arms[0].scale`", "`scales`?"]),
        ({"arms": arm(strategy='"unguided"', scales="[1]")}, ["`arms[0].scales` is not a key"]),
        ({"arms": arm(strategy='"clip"')}, ["`arms[0].scales` is missing"]),
        ({"arms": arm(strategy='"clip"', scales="[]")}, ["`arms[0].scales`", "at least 1"]),
        ({"arms": arm(strategy='"clip"', scales="2")}, ["`arms[0].scales` is 2", "a list"]),
        ({"arms": arm(strategy='"clip"', scales="[0]")}, ["`arms[0].scales[0]` is 0", "greater"]),
        ({"arms": arm(strategy='"clip"', scales="[inf]")}, ["`arms[0].scales[0]`", "finite"]),
        ({"arms": arm(strategy='"clip"', scales="[1, nan]")}, ["`arms[0].scales[1]`", "finite"]),
        ({"arms": arm(strategy='"tangential"', scales="[0.5]")}, ["is 0.5", "equal to 1"]),
        ({"arms": arm(strategy='"unguided"', steps="0")}, ["`arms[0].steps`: found 0"]),
        ({"arms": arm(strategy='"unguided"', steps="1001")}, ["`arms[0].steps`: found 1001"]),
        ({"arms": arm(strategy='"unguided"', steps="2.5")}, ["`arms[0].steps`: found 2.5"]),
        ({"arms": arm(strategy='"unguided"', steps='"fast"')}, ["`arms[0].steps`", "'fast'"]),
        ({"arms": arm(strategy='"unguided"', steps='""')}, ["`arms[0].steps`", "a respacing"]),
        ({"arms": arm(strategy='"unguided"', sampler='"euler"')}, ['"euler"', "'dpm++2m'"]),
        ({"arms": arm(strategy='"unguided"', eta="0.5")}, ["`arms[0]`", "`eta`", "DDIM's"]),
        ({"arms": arm(strategy='"unguided"', interval="[0, 1]")}, ["`arms[0].interval` is not a"]),
        ({"arms": arm(strategy='"unguided"', threshold="100")}, ["`arms[0].threshold` is 100"]),
        ({"arms": arm(strategy='"clip"', scales="[1]", rescale="0.5")}, ["`arms[0].rescale`"]),
        (
            {"arms": arm(strategy='"clip"', scales="[1]", interval="[0.8, 0.2]")},
            ["`arms[0].interval`", "[0.8, 0.2]", "low <= high"],
        ),
        (
            {"arms": arm(strategy='"clip"', scales="[1]", interval="[0, 1.5]")},
            ["`arms[0].interval[1]` is 1.5"],
        ),
        ({"arms": arm(strategy='"classifier"', scales="[0]")}, ["is 0", "greater"]),
        ({"arms": arm(strategy='"imported"', name='"x"')}, ["`arms[0].folder` is missing"]),
        ({"arms": ARMS + arm(strategy='"unguided"', steps="9")}, ["two arms named `unguided`"]),
        (
            {"arms": ARMS + arm(strategy='"unguided"', name='"again"')},
            ["`unguided` and `again`", "same settings"],
        ),
        ({"arms": arm(strategy='"clip"', scales="[2, 2.0]")}, ["two arms named `clip-2`"]),
    ],
)  # fmt: skip
def test_an_impossible_sweep_file_says_which_key_what_was_found_and_what_is_expected(tables, parts):
    message = complaint(**tables)
    for part in parts:
        assert part in message


def test_several_mistakes_are_told_at_once():
    message = complaint(run='name = "a"\nseed = -1\nreplicas = "x"', arms=arm(strategy='"x"'))
    assert "3 mistakes" in message
    for key in ("run.seed", "run.replicas", "arms[0].strategy"):
        assert key in message


def test_a_mistake_in_the_toml_names_its_line(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[run]\nname = "a"\nseed = = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"s\.toml: expected TOML.*line 3"):
        load_sweep(path)


def test_a_missing_file_and_a_file_that_is_not_text_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such sweep file"):
        load_sweep(tmp_path / "nowhere.toml")
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="TOML in UTF-8"):
        load_sweep(tmp_path / "s.toml")


def test_every_example_is_a_valid_sweep_file():
    examples = set((REPOSITORY / "examples").glob("*.toml")) - {REPOSITORY / "examples/study.toml"}
    assert len(examples) >= 2
    for path in examples:
        assert load_sweep(path).config.expand()


def test_the_demo_runs_the_guidance_example_word_for_word():
    example = (REPOSITORY / "examples" / "guidance.toml").read_text(encoding="utf-8")
    assert (REPOSITORY / "glide_eval" / "cli" / "demo.toml").read_text(encoding="utf-8") == example


def test_the_demo_compares_all_strategies_in_at_least_seven_arms_of_48_prompts():
    config = load_sweep(REPOSITORY / "glide_eval" / "cli" / "demo.toml").config
    assert config.prompts.tabletop is not None
    assert config.prompts.tabletop.count >= 48
    arms = config.expand()
    assert len(arms) >= 7
    assert {a.strategy for a in arms} == {"unguided", "classifier_free", "clip"}


@pytest.mark.parametrize(
    "table",
    [
        RunTable,
        GlideSettings,
        PromptsTable,
        TabletopPromptsTable,
        *arm_tables(find_source("tabletop", Path())).values(),
        ImportedTable,
        RerankTable,
        DegradeTable,
        InpaintTable,
        EditTable,
    ],
)
def test_every_key_of_a_sweep_file_is_documented(table):
    page = (REPOSITORY / "docs" / "reference" / "sweep-files.md").read_text(encoding="utf-8")
    missing = [
        key for key in table.model_fields if f"`{key}" not in page and f"{key} = " not in page
    ]
    assert missing == []
