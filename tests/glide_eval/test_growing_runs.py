"""What can be added to a run, what can't, and what a fork takes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from glide_eval.extractors import FakeExtractor
from glide_eval.files import RunFolder, Share
from glide_eval.measure import measure
from glide_eval.sweep import load_sweep, run_sweep
from glide_eval.sweep.sources import FakeSource, FakeTable
from tests.glide_eval.sweeps import (
    ARMS,
    PROMPTS,
    RUN,
    everything_in,
    glide_eval,
    images_of,
    manifest_of,
    write_images,
    write_sweep,
)
from tests.glide_eval.test_shares import Elsewhere
from tests.glide_eval.test_sweep_killed import SLOW, kill_after

MORE_PROMPTS = PROMPTS.replace("]", ', "a hat", "two hats", "a mug"]')
MORE_ARMS = ARMS.replace("[1.5, 3]", "[1.5, 2, 3]")
FAST = SLOW.replace("0.03", "0.0")
TWICE = RUN + "\nreplicas = 2"


def sweep(folder: Path, out: str, **tables: str):
    said: list[str] = []
    options = {key: tables.pop(key) for key in ("share", "executor") if key in tables}
    config = load_sweep(write_sweep(folder, **tables))
    result = run_sweep(config, folder / out, say=said.append, **options)
    return result, "\n".join(said)


@pytest.fixture
def drawn(monkeypatch):
    """Captions of all images that the fake source draws, without padding."""
    batches: list[tuple[str, tuple[str, int]]] = []
    generate = FakeSource.generate

    def counted(self, arm, captions, seeds, start=None):
        batches.extend(
            (arm.name, pair) for pair in dict.fromkeys(zip(captions, seeds, strict=True))
        )
        return generate(self, arm, captions, seeds, start)

    monkeypatch.setattr(FakeSource, "generate", counted)
    return batches


ADDITIONS = {
    "arm": ({"arms": MORE_ARMS}, 6, {"arms": ["cfg-2"]}),
    "prompts": ({"prompts": MORE_PROMPTS}, 9, {"prompts": ["p0006", "p0007", "p0008"]}),
    "replica": ({"run": TWICE}, 18, {"replicas": 1}),
    "all": (
        {"run": TWICE, "prompts": MORE_PROMPTS, "arms": MORE_ARMS},
        54,
        {"arms": ["cfg-2"], "prompts": ["p0006", "p0007", "p0008"], "replicas": 1},
    ),
}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_only_what_was_added_is_drawn_and_the_run_equals_one_made_at_once(
    tmp_path, drawn, addition
):
    tables, new, told = ADDITIONS[addition]
    run = sweep(tmp_path, "run")[0].run
    before, files = images_of(run.root), {p: p.stat() for p in run.samples_dir.rglob("*.png")}
    drawn.clear()
    result, said = sweep(tmp_path, "run", **tables)
    assert result.made == len(drawn) == new
    assert "Added to the run" in said
    assert {p: (s.st_ino, s.st_mtime_ns) for p, s in files.items()} == {
        p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in files
    }
    assert images_of(run.root).items() >= before.items()
    at_once = sweep(tmp_path, "at-once", **tables)[0].run
    assert images_of(run.root) == images_of(at_once.root)
    assert manifest_of(run.root) == manifest_of(at_once.root)
    story = run.provenance()
    assert story["identity"] == at_once.provenance()["identity"]
    assert [session.get("added") for session in story["sessions"]] == [None, told]
    drawn.clear()
    assert sweep(tmp_path, "run", **tables)[0].made == len(drawn) == 0


def test_a_prompt_may_come_before_the_others_if_ids_are_given(tmp_path, drawn):
    for name, first in (("old", ""), ("new", "hat,a hat\n")):
        (tmp_path / f"{name}.csv").write_text(f"id,caption\n{first}cup,a cup\ncone,a cone\n")
    run = sweep(tmp_path, "run", prompts='file = "old.csv"')[0].run
    drawn.clear()
    assert sweep(tmp_path, "run", prompts='file = "new.csv"')[0].made == 3
    assert {caption for _, (caption, _) in drawn} == {"a hat"}
    assert [s.prompt_id for s in run.samples()[:3]] == ["hat", "cup", "cone"]


def test_an_imported_arm_and_its_images_may_come_to_a_run(tmp_path):
    captions = ["a red cube", "a blue ball", "a cone", "two cones", "a green ball", "a cup"]
    write_images(tmp_path / "images", captions * 2)
    imported = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'
    sweep(tmp_path, "run")
    assert sweep(tmp_path, "run", arms=ARMS + imported)[0].made == 6
    assert sweep(tmp_path, "run", arms=ARMS + imported, run=TWICE)[0].made == 24


def test_an_addition_that_is_killed_ends_with_the_same_bytes(tmp_path):
    tables = {"run": TWICE, "prompts": MORE_PROMPTS, "arms": MORE_ARMS}
    slow = write_sweep(tmp_path / "slow", generator=SLOW, **tables)
    fast = write_sweep(tmp_path / "fast", generator=FAST, **tables)
    small = write_sweep(tmp_path / "small", generator=FAST)
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    for file, out in ((small, grown), (fast, whole)):
        run_sweep(load_sweep(file), out, say=lambda _: None)
    before = {path: path.stat().st_ino for path in grown.glob("samples/*/*.png")}
    kill_after(slow, grown, len(before) + 7, 0.02)
    run_sweep(load_sweep(fast), grown, say=lambda _: None)
    assert {path: path.stat().st_ino for path in before} == before
    assert images_of(grown) == images_of(whole)
    assert manifest_of(grown) == manifest_of(whole)


def test_tasks_add_to_a_run_side_by_side(tmp_path):
    sweep(tmp_path, "run")
    tables = {"run": TWICE, "prompts": MORE_PROMPTS}
    left = [sweep(tmp_path, "run", share=Share(n, 2), **tables)[0].left for n in (1, 2)]
    assert left[0] > left[1] == 0
    at_once = sweep(tmp_path, "at-once", **tables)[0].run
    assert images_of(tmp_path / "run") == images_of(at_once.root)
    assert manifest_of(tmp_path / "run") == manifest_of(at_once.root)


def with_a_clip() -> FakeSource:
    """A source of one weights file more; made where the shards are drawn."""
    weights = {**FakeSource.fingerprint(FakeSource()), "clip": "c" * 64}
    FakeSource.fingerprint = lambda _: weights
    return FakeSource(FakeTable(size=32))


def test_workers_elsewhere_add_to_a_run_with_models_that_it_had_no_need_of(tmp_path):
    run = sweep(tmp_path, "run")[0].run
    tables = {"prompts": MORE_PROMPTS, "arms": MORE_ARMS}
    config = load_sweep(write_sweep(tmp_path, **tables))
    quiet = {"executor": Elsewhere(), "open_source": with_a_clip, "say": lambda _: None}
    assert run_sweep(config, run.root, **quiet).made == 18
    at_once = sweep(tmp_path, "at-once", **tables)[0].run
    assert images_of(run.root) == images_of(at_once.root)
    assert manifest_of(run.root) == manifest_of(at_once.root)
    story = run.provenance()
    assert story["weights"].keys() == {"fake", "clip"}
    assert [worker["images"] for worker in story["workers"]] == [18, 18]


def test_metrics_of_a_grown_run_look_at_new_images_alone(tmp_path, capsys, monkeypatch):
    looked: list[int] = []
    embed = FakeExtractor.embed

    def counted(self, prepared, captions=None):
        looked.append(len(prepared))
        return embed(self, prepared, captions)

    monkeypatch.setattr(FakeExtractor, "embed", counted)

    def looks(run: Path) -> int:
        looked.clear()
        measure(RunFolder.open(run), [FakeExtractor()], ["clip_score"])
        return sum(looked)

    sweep(tmp_path, "run")
    assert looks(tmp_path / "run") == 18
    sweep(tmp_path, "run", prompts=MORE_PROMPTS, arms=MORE_ARMS)
    assert looks(tmp_path / "run") == 36 - 18
    arms = ARMS.replace("1.5, 3", "3, 4")
    fork(capsys, tmp_path, arms=arms, prompts=MORE_PROMPTS)
    sweep(tmp_path, "new", arms=arms, prompts=MORE_PROMPTS)
    assert looks(tmp_path / "new") == 9


REFUSALS = {
    "another scale": ({"arms": ARMS.replace("1.5, 3", "1.5, 4")}, "without cfg-3"),
    "another sampler": (
        {"arms": ARMS.replace("scales", 'sampler = "ddim"\nscales')},
        "`arms.cfg-1.5.sampler` is ddpm there and ddim here",
    ),
    "an option less": (
        {"arms": MORE_ARMS},
        "`arms.cfg-1.5.rescale` is 0.5 there and absent here",
    ),
    "another text": (
        {"prompts": PROMPTS.replace("a cone", "a tall cone")},
        "prompt p0002 is 'a cone' there and 'a tall cone' here",
    ),
    "a prompt less": ({"prompts": PROMPTS.replace(', "a cup"', "")}, "without p0005"),
    "fewer replicas": ({"run": RUN}, "`run.replicas` is 2 there and 1 here"),
}


@pytest.mark.parametrize("change", REFUSALS)
def test_what_a_run_has_can_neither_go_nor_change_and_a_fork_is_named(tmp_path, capsys, change):
    tables, part = REFUSALS[change]
    first = {
        "fewer replicas": {"run": TWICE},
        "an option less": {"arms": ARMS.replace("scales", "rescale = 0.5\nscales")},
    }
    run = sweep(tmp_path, "run", **first.get(change, {}))[0].run
    before = everything_in(run.root)
    config = write_sweep(tmp_path, **tables)
    status, _, error = glide_eval(capsys, "sweep", config, "--out", run.root)
    assert status == 1
    assert part in error
    assert f"glide-eval runs fork {run.root} NEW --config {config}" in error
    assert everything_in(run.root) == before


def test_prompts_come_to_finished_runs_only(tmp_path, capsys):
    sweep(tmp_path, "run", share=Share(1, 2))
    config = write_sweep(tmp_path, prompts=MORE_PROMPTS)
    status, _, error = glide_eval(capsys, "sweep", config, "--out", tmp_path / "run")
    assert status == 1
    assert "is not finished" in error
    assert sweep(tmp_path, "run", arms=MORE_ARMS)[0].left == 0


def test_an_arm_of_other_weights_may_come_and_old_weights_may_not_change(tmp_path, monkeypatch):
    run = sweep(tmp_path, "run")[0].run
    one = FakeSource.fingerprint(FakeSource())
    monkeypatch.setattr(FakeSource, "fingerprint", lambda _: {**one, "clip": "c" * 64})
    sweep(tmp_path, "run", arms=MORE_ARMS)
    assert run.provenance()["weights"] == {**one, "clip": "c" * 64}
    monkeypatch.setattr(FakeSource, "fingerprint", lambda _: {"fake": "0" * 64})
    with pytest.raises(Exception, match=r"`weights.fake` is"):
        sweep(tmp_path, "run", arms=MORE_ARMS.replace("2, 3", "2, 3, 4"))


def fork(capsys, folder: Path, **tables: str) -> tuple[int, str, str]:
    config = write_sweep(folder, **tables)
    return glide_eval(capsys, "runs", "fork", folder / "run", folder / "new", "--config", config)


def test_a_fork_draws_only_what_changed_and_equals_a_run_made_at_once(tmp_path, capsys, drawn):
    run = sweep(tmp_path, "run", run=TWICE)[0].run
    before = everything_in(run.root)
    arms = ARMS.replace("1.5, 3", "3, 4").replace('"unguided"\n', '"unguided"\nsteps = 9\n')
    changed = {"arms": arms, "prompts": MORE_PROMPTS.replace("a cone", "a tall cone")}
    status, said, _ = fork(capsys, tmp_path, **changed)
    assert status == 0
    assert "5 images of 27 taken over" in said
    assert "cfg-3 5" in said
    new = RunFolder.open(tmp_path / "new")
    place = ("cfg-3", "p0000", 0)
    assert new.sample_path(*place).samefile(run.sample_path(*place))
    drawn.clear()
    assert sweep(tmp_path, "new", **changed)[0].made == len(drawn) == 22
    at_once = sweep(tmp_path, "at-once", **changed)[0].run
    assert images_of(new.root) == images_of(at_once.root)
    assert manifest_of(new.root) == manifest_of(at_once.root)
    assert new.provenance()["forked"]["samples"] == 5
    assert new.provenance()["forked"]["run"] == str(run.root)
    assert new.provenance()["ended"]
    assert everything_in(run.root) == before


def test_a_fork_of_fewer_arms_is_finished_without_a_generator(tmp_path, capsys, drawn):
    sweep(tmp_path, "run")
    arms = ARMS.replace("1.5, 3", "3")
    assert fork(capsys, tmp_path, arms=arms)[0] == 0
    drawn.clear()
    new = sweep(tmp_path, "new", arms=arms)[0].run
    assert drawn == []
    assert [arm.name for arm in new.arms()] == ["unguided", "cfg-3"]
    assert new.provenance()["ended"]


def test_a_damaged_image_is_not_taken_over(tmp_path, capsys):
    run = sweep(tmp_path, "run")[0].run
    run.sample_path("cfg-3", "p0001", 0).write_bytes(b"no image")
    status, said, _ = fork(capsys, tmp_path)
    assert status == 0
    assert "1 image not taken over" in said
    assert not (tmp_path / "new" / "samples" / "cfg-3" / "p0001-0.png").exists()


@pytest.mark.parametrize("change", ["seed", "not empty", "no run"])
def test_a_fork_that_can_take_nothing_leaves_nothing(tmp_path, capsys, change):
    if change != "no run":
        sweep(tmp_path, "run")
    if change == "not empty":
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "thesis.txt").write_text("mine")
    there = set(tmp_path.iterdir())
    status, _, error = fork(capsys, tmp_path, run='name = "a"\nseed = 9')
    assert status == (2 if change == "no run" else 1)
    part = {"seed": "would draw in the same way", "not empty": "is not empty"}
    assert part.get(change, "run.json") in error
    assert set(tmp_path.iterdir()) - {tmp_path / "sweep.toml"} == there - {tmp_path / "sweep.toml"}


def test_a_worker_that_would_draw_a_forks_rest_otherwise_is_refused(tmp_path, capsys, monkeypatch):
    sweep(tmp_path, "run")
    fork(capsys, tmp_path, arms=MORE_ARMS)
    monkeypatch.setattr(FakeSource, "fingerprint", lambda _: {"fake": "0" * 64})
    config = tmp_path / "sweep.toml"
    status, _, error = glide_eval(capsys, "sweep", config, "--out", tmp_path / "new")
    assert status == 1
    assert "`weights.fake` is" in error
