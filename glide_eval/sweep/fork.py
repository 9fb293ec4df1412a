"""A new run that takes over what another one has in common with a sweep.

Images are linked, or copied to another file system, after their SHA-256 was compared. The sweep of
the new run then draws what is missing, as in any run.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glide_eval.errors import RunError, StorageError
from glide_eval.files import (
    RunFolder,
    Sample,
    count,
    file_sha256,
    partial_path,
    progress,
    sample_place,
    write_text,
)

from . import provenance
from .file.arms import ArmConfig
from .file.sweep_file import SweepFile
from .identity import ARMS, Extent, Identity, of_models
from .plan import Plan
from .records import Key, read_records

READERS = 8  # threads


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork took over.

    Attributes:
        taken: how many samples, by arm.
        images: how many the whole run will have.
    """

    taken: Counter[str]
    images: int


def fork_run(
    old: RunFolder,
    sweep: SweepFile,
    out: Path,
    command: str = "",
    say: Callable[[str], None] = print,
) -> Fork:
    """Make a run of a sweep, with all samples that another run drew for it already.

    A sample is taken over if seed, generator, settings of its arm and caption are the same, and its
    file is what the manifest says. Imported images are read anew, which is quick.

    Args:
        old: the run to take from, finished or not.
        sweep: of the new run.
        out: the new run's folder, which must not be there or be empty.
        command: as typed, for provenance.
        say: takes one line of news at a time.

    Raises:
        ConfigError: a file that the sweep names is missing or damaged.
        ImageError: an imported image is.
        RunError: `out` holds something, `old` is no run, or nothing could be taken over.
        StorageError: the disk is full; nothing of the new run is left.
    """
    plan, story = Plan.of(sweep), provenance.read_provenance(old)
    if story is None:
        raise RunError(f"{old.root} holds no run: expected a run.json in it. Name another folder.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is not empty. Nothing was changed. Choose another folder.")
    same = _same(plan, story["identity"], read_records(old).samples)
    part = RunFolder(partial_path(out))
    try:
        hashed = plan.is_hashed(None)
        taken = _taken(old, part, same, hashed)
        if damaged := len(same) - len(taken):
            say(f"{count(damaged, 'image')} not taken over: missing, or changed after the sweep.")
        if not taken:
            raise RunError(
                f"{old.root} has no image that {sweep.path} would draw in the same way: seed, "
                "generator, arms or prompts all differ. Draw it anew: glide-eval sweep "
                f"{sweep.path} --out {out}"
            )
        for arm in dict.fromkeys(sample.arm for sample in taken):
            _link_features(old, part, arm)
        write_text(part.manifest_path, "".join(f"{sample.to_json()}\n" for sample in taken))
        write_text(part.config_path, sweep.text)
        told = _story(plan, old, story, taken, command)
        if hashed:
            told["layout"] = "hashed"
        provenance.write_provenance(part, told)
        part.root.replace(out)
    except OSError as error:
        raise StorageError(
            f"Could not write {out}: {error.strerror or error}. Free space or choose another "
            "folder, then run the command again."
        ) from error
    finally:
        shutil.rmtree(part.root, ignore_errors=True)
    return Fork(Counter(sample.arm for sample in taken), plan.images)


def _same(plan: Plan, recorded: Identity, samples: Mapping[Key, Sample]) -> list[Sample]:
    """Return the samples that the plan would draw in the same way, in its order."""
    captions = {prompt.id: prompt.caption for prompt in plan.extent.prompts}
    kept = {key: s for key, s in samples.items() if captions.get(key[1]) == s.caption}
    alike = {arm.name for arm in plan.arms if _drawn_alike(plan, arm, recorded, kept)}
    return [kept[key] for key in plan.extent.keys if key in kept and key[0] in alike]


def _drawn_alike(
    plan: Plan, arm: ArmConfig, recorded: Identity, kept: Mapping[Key, Sample]
) -> bool:
    """Return whether a run drew an arm of this name by the same seed, generator and settings."""
    if arm.imported or arm.name not in _arms(recorded):
        return False
    # The pictures of an editing arm are compared for the run's prompts, or not at all.
    ids = {prompt_id for name, prompt_id, _ in kept if name == arm.name}
    prompts = tuple(prompt for prompt in plan.extent.prompts if prompt.id in ids)
    now = plan.identity(Extent((arm.name,), prompts, 1))
    place = _place(_generator(plan, arm))

    def told(identity: Identity) -> tuple[Any, Identity, Identity]:
        return (
            identity["run.seed"],
            _of_arm(arm.name, identity),
            {k: v for k, v in identity.items() if k.startswith(place) and not of_models(k)},
        )

    return told(now) == told(recorded)


def _arms(identity: Identity) -> list[str]:
    return str(identity[ARMS]).split(", ")


def _of_arm(name: str, identity: Identity) -> Identity:
    # `arms.cfg-1.5.scale` is of the arm `cfg-1.5`, not of `cfg-1`.
    longer = tuple(f"arms.{other}." for other in _arms(identity) if other.startswith(f"{name}."))
    return {
        key: value
        for key, value in identity.items()
        if key.startswith(f"arms.{name}.") and not (longer and key.startswith(longer))
    }


def _generator(plan: Plan, arm: ArmConfig) -> str:
    """Return the name of what draws an arm; empty where there is one generator."""
    return arm.generator or next(iter(plan.sweep.config.sources))


def _place(generator: str) -> str:
    """Return where a generator stands in identities."""
    return f"generators.{generator}." if generator else "generator."


def _taken(old: RunFolder, new: RunFolder, samples: Sequence[Sample], hashed: bool) -> list[Sample]:
    """Link or copy the files of those samples that are whole; return these at their new places."""

    def take(sample: Sample) -> Sample | None:
        file = old.root / sample.path
        if file_sha256(str(file)) != sample.sha256:
            return None
        place = sample_place(*sample.key, hashed=hashed)
        _link(file, new.root / place)
        return dataclasses.replace(sample, path=place)

    found: list[Sample] = []
    with (
        ThreadPoolExecutor(READERS) as pool,
        progress(len(samples), "Taking over") as update,
    ):
        for sample in pool.map(take, samples):
            update(1)
            if sample is not None:
                found.append(sample)
    return found


def _link(file: Path, place: Path) -> None:
    """Link a file, or copy it to another file system. Runs replace files and never change them."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _link_features(old: RunFolder, new: RunFolder, arm: str) -> None:
    """Take over what extractors saw in an arm: they know each image by its bytes."""
    for file in old.features_dir.glob(f"*/{arm}/*.npz"):
        _link(file, new.root / file.relative_to(old.root))


def _story(
    plan: Plan, old: RunFolder, story: Mapping[str, Any], taken: Sequence[Sample], command: str
) -> dict[str, Any]:
    """Return `run.json` of the fork: what it was drawn with so far is what the old run says."""
    arms = {sample.arm for sample in taken}
    names = {_generator(plan, arm) for arm in plan.arms if arm.name in arms}
    starts = tuple(
        start
        for name in names
        for start in (_place(name), f"weights.{name}/" if name else "weights.")
    )
    models = {k: v for k, v in story["identity"].items() if of_models(k) and k.startswith(starts)}
    told = provenance.begin(
        None,
        plan.sweep,
        {**plan.identity(), **models},
        provenance.nobodys_facts(dict(story)),
        command,
    )
    forked = {
        "run": str(old.root.resolve()),
        "config_sha256": story["config_sha256"],
        "samples": len(taken),
        "workers": story.get("workers", []),
    }
    return provenance.end_session({**told, "forked": forked}, 0)
