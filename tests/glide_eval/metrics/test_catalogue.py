from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from glide_eval.extractors import FakeExtractor
from glide_eval.extractors.protocol import ClipFeatures, Features
from glide_eval.metrics import METRICS, Measured, Moments, evaluate
from glide_eval.references import Reference

N = 110


def unit(n: int, seed: int, e: int = 16) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, e))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reference(n: int = 60) -> Reference:
    return Reference(unit(n, 1).astype(np.float32), "made up", "f00d", f"{n} made-up images")


def arm(n: int = N, real: Reference | None = None) -> Measured:
    rng = np.random.default_rng(2)
    features = Features(
        pool=unit(n, 3),
        logits=rng.normal(size=(n, 5)),
        clip=ClipFeatures(unit(n, 4), unit(n, 5), 100.0),
        guiding_clip=ClipFeatures(unit(n, 6), unit(n, 5), 50.0),
        accuracy={f"{part}": rng.random(n).round() for part in
                  ("caption", "object", "color", "count", "relation")},
    )  # fmt: skip
    return Measured(features, [f"p{i}" for i in range(n)], real or reference())


VALUED = [name for name, metric in METRICS.items() if metric.value]


@pytest.mark.parametrize("name", VALUED)
def test_every_metric_has_a_value_an_interval_its_method_and_what_differences_are_made_of(name):
    value, scores = evaluate(METRICS[name], arm())
    assert value is not None
    assert value.metric == name
    assert value.interval.low <= value.value <= value.interval.high
    assert value.interval.low < value.interval.high
    assert value.method
    assert scores is None or scores.shape == (N,)
    if value.influence is None:
        assert value.halves is not None
        return
    assert value.influence.shape == (N,)
    assert abs(value.influence.mean()) <= 1e-9 * np.abs(value.influence).max()


@pytest.mark.parametrize("name", [n for n in VALUED if METRICS[n].needs in ("clip", "accuracy")])
def test_without_captions_what_needs_them_is_undefined_and_says_so(name):
    bare = dataclasses.replace(arm(), features=Features(unit(9, 3)), prompts=[*"abcdefghi"])
    value, scores = evaluate(METRICS[name], bare)
    assert value is not None
    assert np.isnan(value.value)
    assert "needs captions" in value.note
    assert scores is None


def test_a_reference_of_moments_alone_serves_frechet_distances_and_others_say_why_not():
    class Published(Reference):
        moments = Moments.of(unit(60, 1))

    known = Published(None, "made up", "f00d", "published statistics")  # pyright: ignore
    subject = arm(real=known)
    for name in ("fid", "fid_infinity", "fd_dinov2"):
        value, _ = evaluate(METRICS[name], subject)
        assert np.isfinite(value.value)
    for name in ("kid", "cmmd", "precision", "recall", "density", "coverage"):
        value, _ = evaluate(METRICS[name], subject)
        assert np.isnan(value.value)
        assert "published statistics gives moments only" in value.note


@pytest.mark.parametrize("n", [0, 1])
def test_no_image_or_one_is_undefined_or_without_interval_never_a_failure(n):
    for name in VALUED:
        value, _ = evaluate(METRICS[name], arm(n))
        assert value is not None
        assert np.isnan([value.interval.low, value.interval.high]).all(), name
        assert value.note, name


@pytest.mark.parametrize("m", [1, 3])
def test_references_too_small_say_so(m):
    for name in ("kid", "precision", "recall", "density", "coverage"):
        value, _ = evaluate(METRICS[name], arm(real=reference(m)))
        assert value.note or (name == "kid" and m == 3)
        assert np.isnan(value.value) or (name == "kid" and m == 3)


def test_one_pass_over_the_distances_and_one_decomposition_serve_all_that_need_them(monkeypatch):
    calls = []
    modules = [sys.modules[f"glide_eval.metrics.{name}"] for name in ("precision_recall", "fid")]
    for owner, method in ((modules[0].Neighbourhoods, "of"), (modules[1], "fid")):
        original = getattr(owner, method)

        def counted(*arguments, original=original, method=method):
            calls.append(method)
            return original(*arguments)

        monkeypatch.setattr(owner, method, counted)
    subject = arm()
    for name in ("precision", "recall", "density", "coverage", "fid", "fid_infinity"):
        evaluate(METRICS[name], subject)
    assert sorted(calls) == ["fid", "of"]


def test_each_metric_asks_for_what_extractors_say_they_provide():
    wanted = {metric.needs for metric in METRICS.values()}
    assert FakeExtractor.provides <= wanted | {"texture"}
    assert wanted <= {"fid", "fd_dinov2", "pool", "cmmd", "logits", "clip", "guiding_clip",
                      "accuracy", "texture"}  # fmt: skip
