"""`rerank` and `degrade` in a sweep file: what arms come of them, and what is refused."""

from __future__ import annotations

import pytest

from tests.glide_eval.test_config import arm, arms_of, complaint


def test_names_labels_and_settings_say_what_an_arm_is_put_through():
    extra = {"rerank": '{clip = "fake", best_of = 8}', "degrade": "{blur = 1.5}"}
    (generated,) = arms_of(arm(strategy='"classifier_free"', scales="[3]", **extra))
    assert generated.name == "cfg-3-best8-blur1.5"
    assert generated.label == "Classifier-free, s = 3, best of 8, blurred by 1.5 px"
    assert generated.settings() == {
        "strategy": "classifier_free",
        "scale": 3.0,
        "sampler": "ddpm",
        "steps": 100,
        "upsampler_steps": 27,
        "rerank.clip": "fake",
        "rerank.best_of": 8,
        "degrade": "blur 1.5",
    }
    (imported,) = arms_of(
        arm(strategy='"imported"', name='"dall-e"', folder='"x"', degrade='"autoencoder"')
    )
    assert imported.name == "dall-e-autoencoder"
    assert imported.label == "dall-e, through the autoencoder"
    assert imported.record.degraded_by == "autoencoder"


def test_arms_without_these_options_have_the_settings_they_always_had():
    (plain,) = arms_of(arm(strategy='"unguided"'))
    assert plain.settings().keys() == {"strategy", "sampler", "steps", "upsampler_steps"}


def test_one_arm_may_stand_beside_itself_reranked_and_degraded():
    plain = arm(strategy='"unguided"')
    texts = [plain, plain + "\ndegrade = {jpeg = 20}", plain + "\ndegrade = {downsample = 4}"]
    names = [a.name for a in arms_of("\n".join(texts))]
    assert names == ["unguided", "unguided-jpeg20", "unguided-down4"]


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"rerank": '{clip = "tabletop-noised", best_of = 8}'},
         ["`arms[0].rerank.clip`", "'tabletop-noised', the CLIP that guides", "`tabletop-clean`"]),
        ({"rerank": '{clip = "tabletop-clear", best_of = 8}'},
         ["`arms[0].rerank.clip`", "did you mean 'tabletop-clean'?"]),
        ({"rerank": '{clip = "fake"}'}, ["`arms[0].rerank.best_of` is missing"]),
        ({"rerank": '{clip = "fake", best_of = 1}'}, ["`arms[0].rerank.best_of` is 1", "2"]),
        ({"rerank": '{clip = "fake", best_off = 8}'}, ["did you mean `best_of`?"]),
        ({"rerank": '"fake"'}, ["`arms[0].rerank`", '"fake"', "a table"]),
        ({"degrade": '"dvae"'}, ["`arms[0].degrade`", '"autoencoder"', "{ blur", "found 'dvae'"]),
        ({"degrade": "3"}, ["`arms[0].degrade`", "found 3"]),
        ({"degrade": "{}"}, ["`arms[0].degrade`", "an empty table"]),
        ({"degrade": "{blur = 1, jpeg = 20}"}, ["`arms[0].degrade`", "`blur` and `jpeg`"]),
        ({"degrade": "{blurr = 1}"}, ["`arms[0].degrade.blurr`", "did you mean `blur`?"]),
        ({"degrade": "{blur = 0}"}, ["`arms[0].degrade.blur` is 0", "greater"]),
        ({"degrade": "{blur = inf}"}, ["`arms[0].degrade.blur`", "finite"]),
        ({"degrade": "{jpeg = 101}"}, ["`arms[0].degrade.jpeg` is 101", "95"]),
        ({"degrade": "{downsample = 1.5}"}, ["`arms[0].degrade.downsample`", "a whole number"]),
    ],
)  # fmt: skip
def test_impossible_options_say_which_key_what_was_found_and_what_is_expected(keys, parts):
    message = complaint(arms=arm(strategy='"unguided"', **keys))
    for part in parts:
        assert part in message
