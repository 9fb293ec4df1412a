"""What makes a run the run it is: everything that decides its images, and nothing else.

A run's name, labels, comments and place may change, and arms, prompts and replicas may come to it
(`growth`). Its seed, micro-batch, weights, and what it has of arms and prompts may not, or resuming
would mix images of two experiments in one folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glide_eval.errors import RunError
from glide_eval.files import Prompt, some

from .edited_arms import EditedPictures
from .file.arms import ArmConfig
from .file.sweep_file import SweepConfig
from .imported_arms import ImportedFolder
from .opening import SeveralSources
from .sources import GeneratorTable, ImageSource, Size

Identity = dict[str, str | int | float | None]
ARMS, REPLICAS = "arms", "run.replicas"  # keys that say how far a run goes
IMAGES = ".images.sha256"  # ends the key of an imported arm's images
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a sweep goes: what may be added to a run, since no seed and no image depends on it.

    Attributes:
        arms: their names.
        prompts: in order.
        replicas: images of each prompt in each arm.
    """

    arms: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    replicas: int

    @property
    def keys(self) -> list[tuple[str, str, int]]:
        """(arm, prompt id, replica) of every sample, in the order of the manifest."""
        pairs = self.pairs
        return [(arm, prompt_id, replica) for arm in self.arms for prompt_id, replica in pairs]

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """(prompt id, replica) of every sample of an arm."""
        return [(prompt.id, r) for prompt in self.prompts for r in range(self.replicas)]


def config_identity(
    config: SweepConfig,
    extent: Extent,
    imports: Mapping[str, ImportedFolder],
    edits: Mapping[str, EditedPictures],
) -> Identity:
    """Return the part known before any weights are loaded: flat, key path → value.

    Args:
        config: the sweep.
        extent: all of it, or a part.
        imports: by name, the folder of each imported arm.
        edits: by name, the pictures of each editing arm.
    """
    by_name = {arm.name: arm for arm in config.expand()}
    arms = [by_name[name] for name in extent.arms]
    digest = hashlib.sha256(
        json.dumps([(prompt.id, prompt.caption) for prompt in extent.prompts]).encode()
    ).hexdigest()
    identity: Identity = {
        "run.seed": config.run.seed,
        REPLICAS: extent.replicas,
        "run.size": config.run.size,
        **_micro_batches(config),
        "prompts.count": len(extent.prompts),
        "prompts.sha256": digest,
        ARMS: ", ".join(extent.arms),
    }
    if any(not arm.imported for arm in arms):
        for name, table in config.sources.items():
            identity |= _generator(table, f"{_place(name)}.")
    for arm in arms:
        if arm.imported:
            identity[f"arms.{arm.name}{IMAGES}"] = imports[arm.name].sha256_of(extent.pairs)
        if arm.editing is not None:
            ids = [prompt.id for prompt in extent.prompts]
            identity[f"arms.{arm.name}.pictures.sha256"] = edits[arm.name].sha256_of(ids)
        for key, value in (arm.alterations() if arm.imported else arm.settings()).items():
            identity[f"arms.{arm.name}.{key}"] = value
    return identity


def arm_digest(config: SweepConfig, arm: ArmConfig) -> str:
    """Return a digest of what decides an arm's images, apart from prompts, pictures and models."""
    told: Identity = {"run.seed": config.run.seed, "run.size": config.run.size}
    if arm.imported:
        told |= arm.alterations()
    else:
        name = arm.generator or next(iter(config.sources))
        told |= {**_generator(config.sources[name], ""), **arm.settings()}
    told["micro_batch"] = config.micro_batch(arm)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _micro_batches(config: SweepConfig) -> Identity:
    return {f"{_place(name)}.micro_batch": t.micro_batch for name, t in config.sources.items()}


def _generator(table: GeneratorTable, place: str) -> Identity:
    told = {"model": table.model, **table.identity()}
    return {place + key: value for key, value in told.items()}


def _place(name: str) -> str:
    """Return where a generator stands in the sweep file."""
    return f"generators.{name}" if name else "generator"


def source_identity(source: ImageSource) -> Identity:
    """Return the part an opened image source knows: device, precision, size."""
    opened = source.sources if isinstance(source, SeveralSources) else {"": source}
    return {
        f"{_place(name)}.{key}": value
        for name, one in opened.items()
        for key, value in (
            ("device", one.device),
            ("dtype", one.dtype),
            ("image_size", size_words(one.size)),
        )
    }


def size_words(size: Size) -> int | str:
    """Return a size as records hold it: the side of a square, or `768x512`."""
    return size if isinstance(size, int) else f"{size[0]}x{size[1]}"


def weights_identity(weights: Mapping[str, str]) -> Identity:
    """Return the part that loaded weights add: SHA-256 by file name."""
    return {f"weights.{name}": digest for name, digest in weights.items()}


def of_models(key: str) -> bool:
    """Return whether a key is of what loaded models say: weights, device, precision, size."""
    place, _, last = key.rpartition(".")
    return key.startswith("weights.") or (
        place.startswith("generator") and last in ("device", "dtype", "image_size")
    )


def differences(recorded: Identity, now: Identity) -> list[str]:
    """Return how two identities differ, one line per key."""
    keys = dict.fromkeys([*now, *recorded])
    return [
        f"`{key}` is {_show(recorded.get(key))} there and {_show(now.get(key))} here"
        for key in keys
        if recorded.get(key) != now.get(key)
    ]


def check_models(root: Path, story: Mapping[str, Any], now: Identity, size: Size) -> None:
    """Refuse models that are not those of the run.

    What a run that grew or was forked had no need of before is new, or is needed no more.

    Args:
        root: the run folder.
        story: its `run.json`.
        now: `source_identity` and `weights_identity` of the loaded models.
        size: of the images in pixels, which imported ones are fitted to.

    Raises:
        RunError: they differ; names the keys, the values there and here.
    """
    recorded = {key: value for key, value in story["identity"].items() if of_models(key)}
    if "forked" in story or any("added" in session for session in story["sessions"]):
        both = recorded.keys() & now.keys()
        recorded, now = ({k: v for k, v in one.items() if k in both} for one in (recorded, now))
    if any(key.endswith(IMAGES) for key in story["identity"]):
        there = story["image_size"]
        recorded["image_size"] = there if isinstance(there, int) else size_words(tuple(there))
        now = {**now, "image_size": size_words(size)}
    if told := differences(recorded, now):
        raise another_config(root, told)


def another_config(root: Path, told: Sequence[str], way_out: str = "") -> RunError:
    """Return the refusal of a sweep that would mix two experiments in one folder."""
    return RunError(
        f"{root} was made by another config: {some(told, SHOWN, '; ')}. Nothing was changed in "
        f"it. Choose another --out, or go back to the config it was made with "
        f"({root / 'sweep.toml'}).{way_out}"
    )


def _show(value: str | int | float | None) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"
