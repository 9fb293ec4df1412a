"""A sweep: every arm's image of every prompt, into a run folder that can always be resumed.

    config ─▶ prompts, imported folders ─▶ shards ─▶ executor ─▶ samples/, .shards/ ─▶ manifest

Kill it at any moment and run it again: finished shards are recognised by their records and their
images' SHA-256, unfinished ones are made whole, and the images come out byte for byte the same.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glide_eval.errors import ConfigError, RunError
from glide_eval.extractors import SCORERS, CaptionScorer, load_scorer
from glide_eval.files import (
    PART,
    RunFolder,
    Sample,
    Share,
    count,
    file_sha256,
    held,
    left_behind,
    progress,
    sample_place,
    write_text,
)

from . import provenance
from .degrade import degrading_weights
from .executor import Executor, LocalExecutor
from .file.arms import ArmConfig
from .file.sweep_file import SweepFile
from .growth import added, told
from .identity import Identity, check_models, size_words, source_identity, weights_identity
from .opening import SeveralSources, SourceOpener, check_arm
from .plan import Plan
from .records import (
    RECORDS,
    Facts,
    Key,
    Recorded,
    read_records,
    require_run,
    summed_up,
)
from .shards import Shard, ShardWorker
from .sharing import JOIN, WAIT, writing
from .sources import ImageSource, Size, height_width

SHOWN = 5  # notes on prompts
READERS = 8  # threads
IMPORTED_SIZE = 256  # pixels, where no generator says otherwise: what the paper's raters saw

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a call of `run_sweep` did.

    Attributes:
        run: the run; finished, unless `left` is above 0.
        images: how many it holds when it is finished.
        made: how many of them this call made.
        seconds: this call's wall time.
        left: how many other tasks have still to make.
    """

    run: RunFolder
    images: int
    made: int
    seconds: float
    left: int = 0


def run_sweep(
    sweep: SweepFile,
    out: Path,
    *,
    command: str = "",
    executor: Executor | None = None,
    open_source: Callable[[], ImageSource] | None = None,
    open_scorer: Callable[[str], CaptionScorer] = load_scorer,
    say: Say = print,
    share: Share | None = None,
    finish: bool = False,
    mixed: bool = False,
) -> SweepResult:
    """Make every image of a sweep, or of a share of it, that is not there yet.

    Args:
        sweep: what to run.
        out: the run folder, made if missing.
        command: as typed, for provenance.
        executor: who runs the shards, with models of its own; by default this process.
        open_source: loads the generator; by default the one the sweep file names.
        open_scorer: loads a CLIP that reranks, by its name.
        say: takes one line of news at a time.
        share: the part to draw beside other tasks; the last of them writes the manifest.
        finish: draw nothing, and write the manifest of what tasks drew.
        mixed: let workers differ in versions, device and threads; else they are refused.

    Raises:
        ConfigError: a file the sweep names is missing or damaged.
        ImageError: an imported image is.
        RunError: the folder holds another config's run, another sweep is writing there, a worker
            differs from those before it, or `finish` finds images missing.
        StorageError: the disk is full; what was made is kept.
    """
    started = time.perf_counter()
    plan = Plan.of(sweep)
    run = RunFolder(out)
    with writing(run.root, share) as writer:
        previous = provenance.read_provenance(run)
        before = read_records(run, plan.origin)
        if previous and (new := added(run, previous, plan, before)):
            say(told(new))
        if before.foreign:
            say(_foreign(run, before.foreign))
        _remove_partial_files(run.root)
        hashed = plan.is_hashed(previous)
        shards = plan.shards(before.listed)
        todo = [] if finish else _todo(plan, run, shards, before.samples, share, hashed, say)
        made = sum(len(shard.items) for shard in todo)
        if todo:
            # The source is loaded last: everything that can be refused was refused before.
            worker = _worker(plan, run, open_source, open_scorer, mixed, hashed)
            here = executor is None
            crew = _crew(plan, worker) if here else None
            with writer.alone():
                worker.facts = _begin(plan, run, before, crew, command, share, mixed, say)
            name = sweep.config.run.name
            fresh = _execute(executor or LocalExecutor(), worker, todo, shards, name)
            _compare(before.samples, fresh, say)
        alone = not todo and share is None  # then nobody has written since
        with writer.alone():
            recorded = before if alone else read_records(run, plan.origin)
            left = _end(plan, run, recorded, made, share, begun=bool(todo))
    if left and share is None:
        raise RunError(
            f"{run.root}: {left:,} of {count(plan.images, 'image')} are missing, so there is no "
            "manifest yet. Run the missing tasks again, or the sweep without --finish."
        )
    return SweepResult(run, plan.images, made, time.perf_counter() - started, left)


def _todo(
    plan: Plan,
    run: RunFolder,
    shards: Sequence[Shard],
    recorded: Mapping[Key, Sample],
    share: Share | None,
    hashed: bool,
    say: Say,
) -> list[Shard]:
    """Return the shards of a share that are not whole, and say how many images that is.

    A shard counts by its images' digests, so that a truncated or edited one is made again.
    """
    shards = share.of_items(shards) if share else shards
    keys = [key for shard in shards for key in shard.sample_keys()]
    listed = [recorded[key] for key in keys if key in recorded]
    whole = _whole(run, listed, hashed)
    todo = [shard for shard in shards if not whole.issuperset(shard.sample_keys())]
    made = sum(len(shard.items) for shard in todo)
    part = f", task {share} of them" if share else ""
    say(_outline(plan, run, len(keys), made, len(listed) - len(whole), part))
    return todo


def _worker(
    plan: Plan,
    run: RunFolder,
    open_source: Callable[[], ImageSource] | None,
    open_scorer: Callable[[str], CaptionScorer],
    mixed: bool,
    hashed: bool,
) -> ShardWorker:
    return ShardWorker(
        run.root,
        None,
        open_source or SourceOpener.of(plan.sweep),
        open_scorer=open_scorer,
        join=Joining(run.root, plan.sweep, mixed),
        generates=plan.generates,
        clips=plan.clips,
        hashed=hashed,
        digests=plan.origin.arms,
    )


def _crew(plan: Plan, worker: ShardWorker) -> _Crew:
    """Load the models into a worker of this process."""
    if plan.generates:
        worker.source = worker.open_source()
    worker.scorers = {name: worker.open_scorer(name) for name in plan.clips}
    crew = _Crew.of(plan.sweep, plan.arms, worker.source, worker.scorers)
    worker.size = crew.facts["image_size"]
    return crew


def _end(
    plan: Plan, run: RunFolder, recorded: Recorded, made: int, share: Share | None, begun: bool
) -> int:
    """End this session, and the run if no image is missing; how many are.

    `run.json` is read anew: other tasks and workers write there, too.
    """
    keys = plan.extent.keys
    left = sum(key not in recorded.samples for key in keys)
    previous = provenance.read_provenance(run)
    story = {**(previous or {}), **provenance.config_fields(plan.sweep)}
    if begun:
        story = provenance.end_session(story, made, str(share or ""))
    if not left:
        if recorded.workers or story["ended"] is None:
            story["workers"] = summed_up(story.get("workers", []), recorded.workers)
            story = provenance.end(story)
        # An unchanged manifest is not touched, so that a repeated sweep changes no file.
        if not (recorded.intact and list(recorded.samples) == keys):
            _write_manifest(run, keys, recorded.samples)
    if previous and story != previous:
        write_text(run.config_path, plan.sweep.text)
        provenance.write_provenance(run, story)
    if not left:  # last: until here the records alone know who drew
        shutil.rmtree(run.root / RECORDS, ignore_errors=True)
    return left


def outline(sweep: SweepFile, out: Path, share: Share | None = None) -> list[str]:
    """Return what a sweep would make, one line per fact; nothing is loaded, made or written.

    Args:
        sweep: what would run.
        out: the run folder, which need not be there.
        share: the part that would be drawn; None is all of it.

    Raises:
        ConfigError: a file that the sweep names is missing or damaged.
        ImageError: an imported image is.
        RunError: the folder holds the run of another config.
    """
    plan, run = Plan.of(sweep), RunFolder(out)
    previous = provenance.read_provenance(run)
    recorded = read_records(run, plan.origin) if previous else Recorded()
    said: list[str] = []
    if previous and (new := added(run, previous, plan, recorded)):
        said.append(told(new))
    shards = plan.shards(recorded.listed)
    _todo(plan, run, shards, recorded.samples, share, plan.is_hashed(previous), said.append)
    images = {arm.name: 0 for arm in plan.arms}
    for shard in share.of_items(shards) if share else shards:
        images[shard.arm.name] += len(shard.items) * shard.arm.candidates
    return [
        *said,
        *(f"{name}: {count(number, 'image')} to draw or read" for name, number in images.items()),
    ]


def _foreign(run: RunFolder, images: int) -> str:
    return (
        f"{count(images, 'image')} in {run.root / RECORDS} belong to another config and don't "
        "count. A run folder that was merged with another config's has lost its own images there: "
        "they are drawn again."
    )


def _remove_partial_files(root: Path) -> None:
    """Temporary files that a killed process left behind; those of a living one stay."""
    made = [os.walk(root / folder) for folder in ("samples", RECORDS)]
    found = [(root, [path.name for path in root.glob(f".*{PART}")])]
    found += [(Path(folder), names) for folder, _, names in itertools.chain(*made)]
    for folder, names in found:
        for name in names:
            if name.endswith(PART) and left_behind(folder / name):
                (folder / name).unlink(missing_ok=True)


def _whole(run: RunFolder, samples: Sequence[Sample], hashed: bool) -> set[Key]:
    """Return the keys of samples whose files are there, byte for byte as their records say."""
    root = f"{run.root}{os.sep}"

    def of(some: Sequence[Sample]) -> list[Key]:
        places = ((sample, sample_place(*sample.key, hashed=hashed)) for sample in some)
        return [s.key for s, place in places if file_sha256(root + place) == s.sha256]

    # Threads, since a network file system answers late; parts, since a file takes microseconds.
    parts = [samples[first : first + 500] for first in range(0, len(samples), 500)]
    with ThreadPoolExecutor(READERS) as pool:
        return {key for keys in pool.map(of, parts) for key in keys}


def _outline(
    plan: Plan, run: RunFolder, images: int, made: int, damaged: int, part: str = ""
) -> str:
    text = f"{count(images, 'image')} of {count(len(plan.arms), 'arm')} for {run.root}{part}"
    if made == images:
        return f"{text}."
    state = f"{images - made:,} are there, {made:,} to make" if made else "all are there"
    repair = f" ({damaged:,} of them missing or damaged)" if damaged else ""
    return f"{text}: {state}{repair}."


def _begin(
    plan: Plan,
    run: RunFolder,
    before: Recorded,
    crew: _Crew | None,
    command: str,
    share: Share | None,
    mixed: bool,
    say: Say,
) -> Facts | None:
    """Write `run.json` and `sweep.toml`, so that the folder is a run before its first image.

    Args:
        plan: all of it.
        run: where.
        before: what it has.
        crew: what this process draws with; None if others draw, who will say so themselves.
        command: as typed.
        share: the part that is drawn beside other tasks.
        mixed: see `run_sweep`.
        say: takes a line of news.

    Returns:
        Facts of this process.
    """
    previous = provenance.read_provenance(run)
    recorded: Identity = previous["identity"] if previous else {}
    new = added(run, previous, plan, before) if previous else {}
    if crew is None:
        identity, facts = {**recorded, **plan.identity()}, provenance.nobodys_facts(previous)
    else:
        identity, facts = {**plan.identity(), **crew.identity}, crew.facts
        if previous and _was_joined(previous):
            size = facts["image_size"]
            grown = {**previous, "sessions": [*previous["sessions"], {"added": new}]}
            check_models(run.root, grown if new else previous, crew.identity, size)
            _compare_workers(previous, facts, share is not None and not mixed, say)
        _say_notes(plan, crew, say)
    story = provenance.begin(previous, plan.sweep, identity, facts, command, str(share or ""), new)
    if plan.is_hashed(previous):
        story["layout"] = "hashed"
    provenance.write_provenance(run, story)
    write_text(run.config_path, plan.sweep.text)
    return crew.facts if crew else None


def _say_notes(plan: Plan, crew: _Crew, say: Say) -> None:
    for name, folder in [*plan.imports.items(), *plan.edits.items()]:
        for note in folder.notes(min(height_width(crew.facts["image_size"]))):
            say(f"{name}: {note}")
    for note in _unread(plan, crew.source):
        say(note)
    for arm in plan.arms:
        if note := _flattered(arm):
            say(f"{arm.name}: {note}")


def _was_joined(story: Mapping[str, Any]) -> bool:
    """Return whether any worker has said yet what it draws with."""
    return story.get("device") is not None


def _compare_workers(
    story: dict[str, Any], facts: Facts, strict: bool, say: Say | None = None
) -> None:
    """Refuse a worker that differs from those before it, or say how it does.

    Raises:
        RunError: it differs, and `strict`.
    """
    changed = provenance.changes(story, facts)
    if changed and strict:
        raise RunError(
            f"The worker on {platform.node()} differs from those that drew before: "
            f"{', '.join(changed)}. Its images could differ in their last bits, so it was refused "
            "before it drew any. Give it the same packages, the same device and the same "
            "OMP_NUM_THREADS, or allow it with --mixed."
        )
    if changed and say:
        say(
            f"Since this run began: {', '.join(changed)}. Images made from here may differ in "
            "their last bits from what an undisturbed run would hold."
        )


@dataclass(frozen=True)
class _Crew:
    """Models that are loaded in this process.

    Attributes:
        source: the generator; None if every arm is imported.
        identity: the part of a run's identity that they add.
        facts: what `run.json` and each shard's record hold of them.
    """

    source: ImageSource | None
    identity: Identity
    facts: Facts

    @classmethod
    def of(
        cls,
        sweep: SweepFile,
        arms: Sequence[ArmConfig],
        source: ImageSource | None,
        scorers: Mapping[str, CaptionScorer],
    ) -> _Crew:
        for arm in arms:
            if source is not None and not arm.imported:
                check_arm(source, arm)
        weights = _weights(arms, source, scorers)
        size = _image_size(sweep, source)
        identity = {**(source_identity(source) if source else {}), **weights_identity(weights)}
        return cls(source, identity, provenance.facts_of(source, weights, size))


@dataclass(frozen=True)
class Joining:
    """Compares what a worker elsewhere draws with to its run; the first one there decides.

    Attributes:
        root: the run folder.
        sweep: what runs.
        mixed: see `run_sweep`.
    """

    root: Path
    sweep: SweepFile
    mixed: bool = False

    def __call__(self, source: ImageSource | None, scorers: Mapping[str, CaptionScorer]) -> Facts:
        """Return the worker's facts.

        Raises:
            RunError: it differs from those before it.
        """
        require_run(self.root)
        crew = _Crew.of(self.sweep, self.sweep.config.expand(), source, scorers)
        run = RunFolder(self.root)
        with held(run.root / JOIN, _busy_joining, wait=WAIT):
            story = run.provenance()
            recorded: Identity = story["identity"]
            identity = {**recorded, **crew.identity}
            if _was_joined(story):
                check_models(run.root, story, crew.identity, crew.facts["image_size"])
                _compare_workers(story, crew.facts, strict=not self.mixed)
                if identity != recorded:  # models that only added arms need
                    weights = {**story["weights"], **crew.facts["weights"]}
                    provenance.write_provenance(
                        run, {**story, "weights": weights, "identity": identity}
                    )
            else:
                provenance.write_provenance(run, {**story, **crew.facts, "identity": identity})
        return crew.facts


def _busy_joining(who: str) -> RunError:
    return RunError(f"{who} has been comparing itself with the run for minutes. Run it again.")


def _weights(
    arms: Sequence[ArmConfig], source: ImageSource | None, scorers: Mapping[str, CaptionScorer]
) -> dict[str, str]:
    """SHA-256 of every weights file that makes, chooses or degrades an image, by name."""
    found = dict(source.fingerprint()) if source else {}
    for scorer in scorers.values():
        found |= scorer.fingerprint()
    for arm in arms:
        if arm.degrade:
            found |= degrading_weights(arm.degrade)
    return found


def _flattered(arm: ArmConfig) -> str:
    """Return a warning, if the CLIP that reranks also scores."""
    extractor = SCORERS[arm.rerank.clip].extractor if arm.rerank else ""
    return extractor and (
        f"the CLIP that chooses its images also gives the `clip_score` of `--extractor {extractor}`"
        ", which will be optimised rather than measured."
    )


def _unread(plan: Plan, source: ImageSource | None) -> list[str]:
    """Return what the generator will not read of the prompts, the first few."""
    if source is None:
        return []
    used = sorted({arm.strategy for arm in plan.arms})
    notes = source.notes([prompt.caption for prompt in plan.extent.prompts], used)
    more = [f"And {len(notes) - SHOWN} more such notes."] if len(notes) > SHOWN else []
    return notes[:SHOWN] + more


def _image_size(sweep: SweepFile, source: ImageSource | None) -> Size:
    """Return the size of imported images; that of the generator's, if there is one."""
    asked = sweep.config.run.size
    if source is None:
        return asked or IMPORTED_SIZE
    if asked is not None and isinstance(source, SeveralSources):
        return asked
    if asked not in (None, source.size):
        raise ConfigError(
            f"{sweep.path}: `run.size` is {asked}, but the generator makes images of "
            f"{size_words(source.size)} px, and every arm's must be alike. Leave `run.size` out."
        )
    return source.size


def _execute(
    executor: Executor,
    worker: ShardWorker,
    todo: Sequence[Shard],
    shards: Sequence[Shard],
    name: str,
) -> dict[Key, Sample]:
    """Run the shards, imported ones first since they are quick to fail; progress on a terminal."""
    # The sort is stable, so generated shards keep the plan's order.
    ordered = sorted(todo, key=lambda shard: not shard.arm.imported)
    drawn = {shard.arm.name: shard.arm.candidates for shard in shards}  # for each one kept
    total, left = (
        sum(drawn[shard.arm.name] * len(shard.items) for shard in some) for some in (shards, todo)
    )
    fresh: dict[Key, Sample] = {}
    with progress(total, name, initial=total - left) as update:
        for samples in executor.run(ordered, worker):
            fresh.update({sample.key: sample for sample in samples})
            update(sum(drawn[sample.arm] for sample in samples))
    return fresh


def _compare(recorded: Mapping[Key, Sample], fresh: Mapping[Key, Sample], say: Say) -> None:
    """Images made again must be what they were."""
    both = recorded.keys() & fresh.keys()
    moved = sum(recorded[key].sha256 != fresh[key].sha256 for key in both)
    if moved:
        say(
            f"{count(moved, 'image')} made again came out different from before, though config "
            "and weights are the same: library versions, the device or the number of threads "
            "changed. For strictly equal conditions sweep into a new folder."
        )


def _write_manifest(run: RunFolder, keys: Sequence[Key], samples: Mapping[Key, Sample]) -> None:
    """Merge the records, in the config's order."""
    text = "".join(samples[key].to_json() + "\n" for key in keys)
    # An unchanged manifest is not touched, so that a repeated sweep changes no file.
    if not run.manifest_path.is_file() or run.manifest_path.read_bytes() != text.encode():
        write_text(run.manifest_path, text)
