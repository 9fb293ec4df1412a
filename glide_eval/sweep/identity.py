"""What makes a run the run it is: everything that decides its images, and nothing else.

A run's name, labels, comments and place may change; its seed, prompts, arms, micro-batch and
weights may not, or resuming would mix images of two experiments in one folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from glide_eval.errors import RunError
from glide_eval.files import Prompt, some

from .edited_arms import EditedPictures
from .file.sweep_file import SweepConfig
from .imported_arms import ImportedFolder
from .opening import SeveralSources
from .sources import GeneratorTable, ImageSource, Size

Identity = dict[str, str | int | float | None]
SHOWN = 5


def config_identity(
    config: SweepConfig,
    prompts: Sequence[Prompt],
    imports: Mapping[str, ImportedFolder],
    edits: Mapping[str, EditedPictures],
) -> Identity:
    """Return the part known before any weights are loaded: flat, key path → value."""
    arms = config.expand()
    digest = hashlib.sha256(
        json.dumps([(prompt.id, prompt.caption) for prompt in prompts]).encode()
    ).hexdigest()
    identity: Identity = {
        "run.seed": config.run.seed,
        "run.replicas": config.run.replicas,
        "run.size": config.run.size,
        **_micro_batches(config),
        "prompts.count": len(prompts),
        "prompts.sha256": digest,
        "arms": ", ".join(arm.name for arm in arms),
    }
    if any(not arm.imported for arm in arms):
        for name, table in config.sources.items():
            identity |= _generator(table, f"{_place(name)}.")
    for arm in arms:
        if arm.imported:
            identity[f"arms.{arm.name}.images.sha256"] = imports[arm.name].sha256
        if arm.editing is not None:
            identity[f"arms.{arm.name}.pictures.sha256"] = edits[arm.name].sha256
        for key, value in (arm.alterations() if arm.imported else arm.settings()).items():
            identity[f"arms.{arm.name}.{key}"] = value
    return identity


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


def check_same(root: Path, recorded: Identity, now: Identity, whole: bool) -> None:
    """Refuse to resume a run that another config or other weights made.

    Args:
        root: the run folder.
        recorded: its identity.
        now: the identity of the sweep that wants to write there.
        whole: whether `now` is complete, so that a key only recorded is a difference too.

    Raises:
        RunError: they differ; names the keys, the values there and here.
    """
    keys = [*now, *(key for key in recorded if whole and key not in now)]
    differing = [key for key in keys if recorded.get(key) != now.get(key)]
    if "arms" in differing:  # it names arms only one side has; their settings add nothing
        both = recorded.keys() & now.keys()
        differing = [key for key in differing if not key.startswith("arms.") or key in both]
    if not differing:
        return
    told = [
        f"`{key}` is {_show(recorded.get(key))} there and {_show(now.get(key))} here"
        for key in differing
    ]
    raise RunError(
        f"{root} was made by another config: {some(told, SHOWN, '; ')}. Nothing was changed in "
        f"it. Choose another --out, or go back to the config it was made with "
        f"({root / 'sweep.toml'})."
    )


def _show(value: str | int | float | None) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"
