"""A sweep: every arm's image of every prompt, into a run folder that can always be resumed.

    config ─▶ prompts, imported folders ─▶ shards ─▶ executor ─▶ samples/, .shards/ ─▶ manifest

Kill it at any moment and run it again: finished shards are recognised by their records and their
images' SHA-256, unfinished ones are made whole, and the images come out byte for byte the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from glide_eval.errors import ConfigError, ImageError, RunError, StorageError
from glide_eval.extractors import SCORERS, CaptionScorer, load_scorer
from glide_eval.files import Prompt, RunFolder, Sample, count, held, read_file, write_text

from . import provenance
from .degrade import degrading_weights
from .edited_arms import EditedPictures, match_pictures
from .executor import Executor, LocalExecutor
from .file.arms import ArmConfig
from .file.prompts import load_prompts
from .file.sweep_file import SweepFile
from .identity import (
    Identity,
    check_same,
    config_identity,
    size_words,
    source_identity,
    weights_identity,
)
from .imported_arms import ImportedFolder, match_folder
from .opening import SeveralSources, SourceOpener, check_arm
from .shards import RECORDS, Shard, ShardWorker, plan_shards
from .sources import ImageSource, Size, height_width

SHOWN = 5  # notes on prompts
LOCK = ".lock"  # in a run folder, while a sweep writes there
IMPORTED_SIZE = 256  # pixels, where no generator says otherwise: what the paper's raters saw

Key = tuple[str, str, int]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a call of `run_sweep` did.

    Attributes:
        run: the finished run.
        images: how many it holds.
        made: how many of them this call made.
        seconds: this call's wall time.
    """

    run: RunFolder
    images: int
    made: int
    seconds: float


def run_sweep(
    sweep: SweepFile,
    out: Path,
    *,
    command: str = "",
    executor: Executor | None = None,
    open_source: Callable[[], ImageSource] | None = None,
    open_scorer: Callable[[str], CaptionScorer] = load_scorer,
    say: Say = print,
) -> SweepResult:
    """Make every image of a sweep that is not there yet.

    Args:
        sweep: what to run.
        out: the run folder, made if missing.
        command: as typed, for provenance.
        executor: who runs the shards; this process by default.
        open_source: loads the generator; by default the one the sweep file names.
        open_scorer: loads a CLIP that reranks, by its name.
        say: takes one line of news at a time.

    Raises:
        ConfigError: a file the sweep names is missing or damaged.
        ImageError: an imported image is.
        RunError: the folder holds another config's run, or another sweep is writing there.
        StorageError: the disk is full; what was made is kept.
    """
    started = time.perf_counter()
    plan = _plan(sweep)
    run = RunFolder(out)
    with _held(run.root):
        previous = provenance.read_provenance(run)
        if previous:
            check_same(run.root, previous["identity"], plan.identity, whole=False)
        _remove_partial_files(run.root)
        recorded = _recorded(run)
        # By digest and not by presence, so that a truncated or edited image is made again.
        whole = {key for key, sample in recorded.items() if _is_whole(run, sample)}
        todo = [shard for shard in plan.shards if not whole.issuperset(shard.sample_keys())]
        made = sum(len(shard.items) for shard in todo)
        say(_outline(plan, run, made, damaged=len(recorded) - len(whole)))
        # The source is loaded last: everything that can be refused was refused before.
        opener = open_source or SourceOpener.of(sweep)
        if todo:
            source = opener() if plan.generates else None
            scorers = {name: open_scorer(name) for name in plan.clips}
            story = _begin(plan, run, previous, source, scorers, command, say)
            worker = ShardWorker(
                run.root, story["image_size"], opener, source, open_scorer, scorers
            )
            fresh = _execute(executor or LocalExecutor(), worker, todo, plan)
            _compare(recorded, fresh, say)
            recorded.update(fresh)
        else:
            story = {**(previous or {}), **provenance.config_fields(sweep)}
        _write_manifest(run, plan.shards, recorded)
        if todo or story["ended"] is None:
            story = provenance.end(story, made)
        if story != previous:
            write_text(run.config_path, sweep.text)
            provenance.write_provenance(run, story)
    return SweepResult(run, plan.images, made, time.perf_counter() - started)


def outline(sweep: SweepFile, out: Path) -> list[str]:
    """Return what a sweep would make, one line per fact; nothing is loaded, made or written.

    Args:
        sweep: what would run.
        out: the run folder, which need not be there.

    Raises:
        ConfigError: a file that the sweep names is missing or damaged.
        ImageError: an imported image is.
        RunError: the folder holds the run of another config.
    """
    plan, run = _plan(sweep), RunFolder(out)
    previous = provenance.read_provenance(run)
    if previous:
        check_same(run.root, previous["identity"], plan.identity, whole=False)
    recorded = _recorded(run) if previous else {}
    whole = {key for key, sample in recorded.items() if _is_whole(run, sample)}
    todo = [shard for shard in plan.shards if not whole.issuperset(shard.sample_keys())]
    made = sum(len(shard.items) for shard in todo)
    images = {arm.name: 0 for arm in plan.arms}
    for shard in plan.shards:
        images[shard.arm.name] += len(shard.items) * shard.arm.candidates
    return [
        _outline(plan, run, made, damaged=len(recorded) - len(whole)),
        *(f"{name}: {count(number, 'image')} to draw or read" for name, number in images.items()),
    ]


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is known, and was checked, before a generator is loaded."""

    sweep: SweepFile
    arms: Sequence[ArmConfig]
    prompts: Sequence[Prompt]
    imports: Mapping[str, ImportedFolder]
    edits: Mapping[str, EditedPictures]
    shards: Sequence[Shard]
    identity: Identity

    @property
    def images(self) -> int:
        return sum(len(shard.items) for shard in self.shards)

    @property
    def generates(self) -> bool:
        return any(not arm.imported for arm in self.arms)

    @property
    def clips(self) -> list[str]:
        """Names of the CLIPs that rerank."""
        return sorted({arm.rerank.clip for arm in self.arms if arm.rerank})


def _plan(sweep: SweepFile) -> _Plan:
    prompts, arms = load_prompts(sweep), sweep.config.expand()
    imports = {arm.name: match_folder(sweep, arm, prompts) for arm in arms if arm.imported}
    edits = {arm.name: match_pictures(sweep, arm, prompts) for arm in arms if arm.editing}
    shards = plan_shards(sweep.config, prompts, imports, edits)
    identity = config_identity(sweep.config, prompts, imports, edits)
    return _Plan(sweep, arms, prompts, imports, edits, shards, identity)


@contextlib.contextmanager
def _held(root: Path) -> Generator[None]:
    """The run folder, made if missing, and ours alone until the block (or the process) ends.

    Raises:
        RunError: it holds something that is no run, or another sweep is at work in it.
        StorageError: it can't be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        # A killed sweep may leave a lock and partial files before run.json is there.
        strange = [p for p in root.iterdir() if p.suffix != ".part" and p.stem != LOCK]
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{root}: expected a folder, found a file. Choose another --out.") from error
    except OSError as error:
        raise StorageError(
            f"{root}: the run folder can't be made or read ({error.strerror}). "
            "Choose another --out."
        ) from error
    if strange and not (root / "run.json").exists():
        raise RunError(
            f"{root} is neither empty nor a run folder (found {strange[0].name}, expected "
            "run.json). Nothing was changed. Choose another --out."
        )

    def busy(who: str) -> RunError:
        return RunError(
            f"{root}: another sweep is writing there now ({who}). Wait for it or choose another "
            "--out."
        )

    try:
        with held(root / LOCK, busy):
            yield
    finally:
        with contextlib.suppress(OSError):
            root.rmdir()  # only if nothing came of it


def _remove_partial_files(root: Path) -> None:
    """Temporary files that a killed sweep left behind; those of other commands stay."""
    for folder in (root, *(root / "samples").glob("*/"), root / RECORDS):
        for path in folder.glob(".*.part"):
            path.unlink(missing_ok=True)


def _recorded(run: RunFolder) -> dict[Key, Sample]:
    """Samples made so far by the word of the manifest and of the shards' records."""
    recorded: dict[Key, Sample] = {}
    # Records come last and win: they are newer than a manifest of an earlier, finished sweep.
    for path in (run.manifest_path, *sorted((run.root / RECORDS).glob("*.jsonl"))):
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(RunError):  # an edited line: its image is made again
                sample = Sample.from_json(line)
                recorded[sample.key] = sample
    return recorded


def _is_whole(run: RunFolder, sample: Sample) -> bool:
    """Return whether a sample's file is there, byte for byte as its record says."""
    try:
        content = read_file(run.sample_path(*sample.key))
    except ImageError:
        return False
    return hashlib.sha256(content).hexdigest() == sample.sha256


def _outline(plan: _Plan, run: RunFolder, made: int, damaged: int) -> str:
    text = f"{count(plan.images, 'image')} of {count(len(plan.arms), 'arm')} for {run.root}"
    if made == plan.images:
        return f"{text}."
    state = f"{plan.images - made:,} are there, {made:,} to make" if made else "all are there"
    repair = f" ({damaged:,} of them missing or damaged)" if damaged else ""
    return f"{text}: {state}{repair}."


def _begin(
    plan: _Plan,
    run: RunFolder,
    previous: dict[str, Any] | None,
    source: ImageSource | None,
    scorers: Mapping[str, CaptionScorer],
    command: str,
    say: Say,
) -> dict[str, Any]:
    """Write `run.json` and `sweep.toml`, so that the folder is a run before its first image."""
    for arm in plan.arms:
        if source is not None and not arm.imported:
            check_arm(source, arm)
    weights = _weights(plan, source, scorers)
    identity = {
        **plan.identity,
        **(source_identity(source) if source else {}),
        **weights_identity(weights),
    }
    if previous:
        check_same(run.root, previous["identity"], identity, whole=True)
    size = _image_size(plan.sweep, source)
    story = provenance.begin(previous, plan.sweep, identity, source, weights, size, command)
    for name, folder in [*plan.imports.items(), *plan.edits.items()]:
        for note in folder.notes(min(height_width(size))):
            say(f"{name}: {note}")
    for note in _unread(plan, source):
        say(note)
    for arm in plan.arms:
        if note := _flattered(arm):
            say(f"{arm.name}: {note}")
    if previous and (changed := provenance.changes(previous, story)):
        say(
            f"Since this run began: {', '.join(changed)}. Images made from here may differ in "
            "their last bits from what an undisturbed run would hold."
        )
    provenance.write_provenance(run, story)
    write_text(run.config_path, plan.sweep.text)
    return story


def _weights(
    plan: _Plan, source: ImageSource | None, scorers: Mapping[str, CaptionScorer]
) -> dict[str, str]:
    """SHA-256 of every weights file that makes, chooses or degrades an image, by name."""
    found = dict(source.fingerprint()) if source else {}
    for scorer in scorers.values():
        found |= scorer.fingerprint()
    for arm in plan.arms:
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


def _unread(plan: _Plan, source: ImageSource | None) -> list[str]:
    """Return what the generator will not read of the prompts, the first few."""
    if source is None:
        return []
    used = sorted({arm.strategy for arm in plan.arms})
    notes = source.notes([prompt.caption for prompt in plan.prompts], used)
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
    executor: Executor, worker: ShardWorker, todo: Sequence[Shard], plan: _Plan
) -> dict[Key, Sample]:
    """Run the shards, imported ones first since they are quick to fail; progress on a terminal."""
    # The sort is stable, so generated shards keep the plan's order.
    ordered = sorted(todo, key=lambda shard: not shard.arm.imported)
    drawn = {arm.name: arm.candidates for arm in plan.arms}  # images for each one kept
    total, left = (
        sum(drawn[arm] for shard in shards for arm, _, _ in shard.sample_keys())
        for shards in (plan.shards, todo)
    )
    fresh: dict[Key, Sample] = {}
    with tqdm(
        total=total,
        initial=total - left,
        desc=plan.sweep.config.run.name,
        unit="image",
        disable=None,
    ) as progress:
        for samples in executor.run(ordered, worker):
            fresh.update({sample.key: sample for sample in samples})
            progress.update(sum(drawn[sample.arm] for sample in samples))
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


def _write_manifest(run: RunFolder, shards: Sequence[Shard], samples: Mapping[Key, Sample]) -> None:
    """Merge the records, in the config's order; only then do they go."""
    keys = [key for shard in shards for key in shard.sample_keys()]
    text = "".join(samples[key].to_json() + "\n" for key in keys)
    # An unchanged manifest is not touched, so that a repeated sweep changes no file.
    if not run.manifest_path.is_file() or run.manifest_path.read_bytes() != text.encode():
        write_text(run.manifest_path, text)
    shutil.rmtree(run.root / RECORDS, ignore_errors=True)
