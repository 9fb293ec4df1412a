"""Reranked and degraded arms, as a sweep makes them and metrics see them."""

from __future__ import annotations

import csv
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from glide_eval.errors import FeatureError, RunError
from glide_eval.extractors.fake import FakeExtractor
from glide_eval.extractors.scorers import FakeScorer
from glide_eval.files import RunFolder, encode_png, read_rgb, run_store
from glide_eval.measure import measure
from glide_eval.sweep import load_sweep, run_sweep
from glide_eval.sweep.rerank import best_of
from glide_eval.sweep.seeds import candidate_seed
from glide_eval.sweep.sources import FakeSource
from tests.glide_eval.sweeps import RUN, images_of, manifest_of, write_images, write_sweep

CFG = '[[arms]]\nstrategy = "classifier_free"\nscales = [3]\n'
RERANK = 'rerank = {clip = "fake", best_of = 4}\n'
ARMS = CFG + CFG + RERANK + CFG + RERANK + "degrade = {blur = 1}\n"
PLAIN, BEST, BLURRED = "cfg-3", "cfg-3-best4", "cfg-3-best4-blur1"


def sweep(tmp_path, out: str = "run", **tables: str) -> tuple[RunFolder, str]:
    said: list[str] = []
    tables = {"arms": ARMS, **tables}
    result = run_sweep(load_sweep(write_sweep(tmp_path, **tables)), tmp_path / out, say=said.append)
    return result.run, "\n".join(said)


def samples_of(run: RunFolder, arm: str) -> list:
    return [sample for sample in run.samples() if sample.arm == arm]


def pixels(run: RunFolder, sample) -> np.ndarray:
    return read_rgb(run.root / sample.path)


def test_the_first_candidate_has_the_samples_own_seed_and_the_others_their_own():
    seeds = [candidate_seed(seed, k) for seed in (7, 8) for k in range(4)]
    assert (seeds[0], seeds[4]) == (7, 8)
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    # { printf '7\0candidate\0'; printf 1; } | sha256sum  →  980fa36403836919…
    assert seeds[1] == 0x980FA36403836919 >> 1


def test_the_kept_image_is_the_candidate_with_the_highest_score(tmp_path):
    run, _ = sweep(tmp_path)
    arm = next(a for a in load_sweep(tmp_path / "sweep.toml").config.expand() if a.name == BEST)
    source = FakeSource(load_sweep(tmp_path / "sweep.toml").config.generator.fake)
    plain, best = samples_of(run, PLAIN), samples_of(run, BEST)
    captions = [sample.caption for sample in plain[:4]]  # the first micro-batch
    candidates = [
        source.generate(arm, captions, [candidate_seed(s.seed, k) for s in plain[:4]])
        for k in range(4)
    ]
    for row, sample in enumerate(best[:4]):
        brightness = [float(batch[row].mean()) for batch in candidates]
        kept = int(np.argmax(brightness))
        assert sample.candidate_scores == pytest.approx(brightness, abs=1e-5)
        assert sample.seed == candidate_seed(plain[row].seed, kept)
        np.testing.assert_array_equal(pixels(run, sample), candidates[kept][row])


def test_reranked_and_plain_arms_stay_paired_on_noise(tmp_path):
    run, _ = sweep(tmp_path)
    plain, best = samples_of(run, PLAIN), samples_of(run, BEST)
    kept_first = [np.argmax(sample.candidate_scores) == 0 for sample in best]
    assert any(kept_first)
    assert not all(kept_first)
    for one, other, same in zip(plain, best, kept_first, strict=True):
        assert (one.seed == other.seed) == same
        assert (one.sha256 == other.sha256) == same


def test_images_are_reranked_first_and_degraded_after(tmp_path):
    run, _ = sweep(tmp_path)
    for best, blurred in zip(samples_of(run, BEST), samples_of(run, BLURRED), strict=True):
        assert (best.seed, best.candidate_scores) == (blurred.seed, blurred.candidate_scores)
        sharp, soft = (pixels(run, sample).astype(float) for sample in (best, blurred))
        assert np.abs(np.diff(soft, axis=0)).mean() < 0.7 * np.abs(np.diff(sharp, axis=0)).mean()
        assert abs(soft.mean() - sharp.mean()) < 2


def test_manifest_lines_of_other_arms_are_what_they_always_were(tmp_path):
    run, _ = sweep(tmp_path)
    lines = [json.loads(line) for line in run.manifest_path.read_text().splitlines()]
    assert {"candidate_scores" in line for line in lines if line["arm"] == PLAIN} == {False}
    assert {len(line["candidate_scores"]) for line in lines if line["arm"] == BEST} == {4}


def test_weights_that_choose_belong_to_the_runs_identity(tmp_path, monkeypatch):
    run, _ = sweep(tmp_path)
    story = run.provenance()
    assert story["weights"].keys() == {"fake", "fake-clip"}
    assert story["identity"][f"arms.{BEST}.rerank.best_of"] == 4
    assert story["identity"][f"arms.{BLURRED}.degrade"] == "blur 1"
    assert [(a.reranked_by, a.degraded_by) for a in run.arms()] == [
        (None, None),
        ("fake", None),
        ("fake", "blur 1"),
    ]
    run.sample_path(BEST, "p0000", 0).unlink()
    monkeypatch.setattr(FakeScorer, "fingerprint", lambda self: {"fake-clip": "0" * 64})
    with pytest.raises(RunError, match=r"`weights\.fake-clip` is"):
        sweep(tmp_path)


def test_a_run_without_these_options_needs_no_clip(tmp_path, monkeypatch):
    def refuse(self):
        raise AssertionError("loaded a CLIP that no arm needs")

    monkeypatch.setattr(FakeScorer, "fingerprint", refuse)
    run, _ = sweep(tmp_path, arms=CFG)
    assert run.provenance()["weights"].keys() == {"fake"}
    assert not any("rerank" in key or "degrade" in key for key in run.provenance()["identity"])


class Killed(BaseException):
    """Stands in for SIGKILL: nothing in the toolkit catches it."""


def test_killed_among_candidates_and_resumed_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole, _ = sweep(tmp_path, "whole")
    generate, calls = FakeSource.generate, []

    def dying(self, *arguments):
        calls.append(arguments)
        if len(calls) == at:
            raise Killed
        return generate(self, *arguments)

    for at in (4, 7, 11, 17):  # candidates of the first and second shard of either arm
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(FakeSource, "generate", dying)
            with pytest.raises(Killed):
                sweep(tmp_path, f"killed-{at}")
        resumed, _ = sweep(tmp_path, f"killed-{at}")
        assert images_of(resumed.root) == images_of(whole.root)
        assert manifest_of(resumed.root) == manifest_of(whole.root)


def test_one_damaged_image_is_made_again_from_all_its_candidates(tmp_path):
    run, _ = sweep(tmp_path)
    images, manifest = images_of(run.root), manifest_of(run.root)
    run_store.RunFolder(run.root).sample_path(BLURRED, "p0002", 0).write_bytes(b"cut short")
    again, said = sweep(tmp_path)
    assert "4 to make (1 of them missing or damaged)" in said
    assert "different from before" not in said
    assert images_of(again.root) == images
    assert manifest_of(again.root) == manifest


class Elsewhere:
    """An executor in another process, which gets pickled shards in reverse."""

    def run(self, shards, work):
        shards = [pickle.loads(pickle.dumps(shard)) for shard in shards][::-1]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield from pool.map(work, shards)


def test_shards_with_candidates_may_run_in_another_process_in_any_order(tmp_path):
    run, _ = sweep(tmp_path)
    file = load_sweep(tmp_path / "sweep.toml")
    run_sweep(file, tmp_path / "elsewhere", executor=Elsewhere(), say=lambda _: None)
    assert images_of(tmp_path / "elsewhere") == images_of(run.root)
    assert manifest_of(tmp_path / "elsewhere") == manifest_of(run.root)


IMPORTED = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'
CAPTIONS = ["a cat", "a dog"]


def test_imported_arms_are_reranked_and_degraded_too(tmp_path):
    paths = write_images(tmp_path / "images", CAPTIONS * 3, size=32)
    paths[4].write_bytes(encode_png(np.full((32, 32, 3), 250, np.uint8)))  # the brightest cat
    arms = IMPORTED + 'rerank = {clip = "fake", best_of = 3}\n' + IMPORTED + "degrade = {jpeg = 5}"
    run, _ = sweep(
        tmp_path, run=RUN + "\nsize = 32", generator="micro_batch = 4",
        prompts='captions = ["a cat", "a dog"]', arms=arms,
    )  # fmt: skip
    cat, _ = samples_of(run, "mine-best3")
    assert cat.seed is None
    assert np.argmax(cat.candidate_scores) == 2
    assert (pixels(run, cat) == 250).all()
    first, _ = samples_of(run, "mine-jpeg5")
    original = read_rgb(paths[0])[:, 4:-4].astype(int)
    assert 5 < np.abs(pixels(run, first).astype(int) - original).mean() < 100
    assert run.provenance()["weights"].keys() == {"fake-clip"}


def test_a_clip_that_chose_the_images_is_said_to_be_optimised_where_it_scores(tmp_path):
    run, said = sweep(tmp_path)
    assert f"{BEST}: the CLIP that chooses its images also gives the `clip_score`" in said
    rows = measure(run, [FakeExtractor()], ["clip_score", "guiding_clip_score"])
    notes = {(row.arm, row.metric): row.note for row in rows}
    assert "optimised, not measured" in notes[BEST, "clip_score"]
    assert "optimised, not measured" in notes[BLURRED, "clip_score"]
    assert "optimised" not in notes[PLAIN, "clip_score"] + notes[BEST, "guiding_clip_score"]
    with run.metrics_path.open() as file:
        assert any("optimised" in row["note"] for row in csv.DictReader(file))


class Given:
    """Scores laid down beforehand, a row a call."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def fingerprint(self):
        return {}

    def scores(self, images, captions):
        return np.array(self.rows.pop(0), float)


def test_of_equal_scores_the_first_candidate_is_kept():
    batches = [np.full((2, 1, 1, 3), value, np.uint8) for value in (10, 20, 30)]
    ranked = best_of(batches, ["a", "b"], Given([1, 1], [1, 3], [1 + 1e-9, 3]))
    assert ranked.chosen.tolist() == [0, 1]
    assert ranked.images[:, 0, 0, 0].tolist() == [10, 20]
    assert ranked.scores.tolist() == [[1, 1, 1], [1, 3, 3]]


@pytest.mark.parametrize("bad", [[1, np.nan], [1, np.inf], [1]])
def test_a_score_that_is_no_number_is_refused(bad):
    batches = [np.zeros((2, 1, 1, 3), np.uint8)] * 2
    with pytest.raises(FeatureError, match="candidate 1 of 2 samples"):
        best_of(batches, ["a", "b"], Given([1, 1], bad))
