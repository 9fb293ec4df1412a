"""Single pictures by an arm of a sweep, drawn as that sweep would draw them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glide_eval.errors import UsageError
from glide_eval.files import nearest
from glide_eval.sweep import (
    ArmConfig,
    Batch,
    EditTable,
    GlideSource,
    ImageSource,
    InpaintTable,
    ShardWorker,
    SourceOpener,
    SweepFile,
    check_arm,
    find_source,
    load_prompts,
    load_sweep,
    parse_sweep,
    sample_seed,
)

from .draw import Images, Request, slug

ENDING = "FILE.toml#ARM"


@dataclasses.dataclass(frozen=True)
class ArmDrawing:
    """An arm whose models are loaded.

    Attributes:
        sweep: the file.
        arm: one of its arms; it may edit pictures that the file does not name.
        worker: draws as the sweep does: candidates, degrading and all.
    """

    sweep: SweepFile
    arm: ArmConfig
    worker: ShardWorker

    @classmethod
    def open(
        cls,
        sweep: SweepFile,
        arm: ArmConfig,
        settings: Mapping[str, Any],
        editing: InpaintTable | EditTable | None = None,
    ) -> ArmDrawing:
        """Load what an arm needs.

        Args:
            sweep: the file.
            arm: see `found_arm`.
            settings: of its generator, instead of the file's.
            editing: what is done to a picture; None draws from nothing.

        Raises:
            UsageError: the arm is imported, or edits pictures where it shall draw from nothing.
            GlideEvalError or generator.errors.GeneratorError: its source can't do this.
        """
        if arm.generated is None:
            raise UsageError(
                f"Arm {arm.name} of {sweep.path} is a folder of images: nothing draws them. Name "
                "an arm that a generator draws."
            )
        if editing is None and arm.editing is not None:
            raise UsageError(
                f"Arm {arm.name} of {sweep.path} edits pictures: use glide-eval "
                f"{'inpaint' if isinstance(arm.editing, InpaintTable) else 'edit'} with --arm, and "
                "name the picture."
            )
        if editing is not None:
            key = "inpaint" if isinstance(editing, InpaintTable) else "edit"
            told = {"inpaint": None, "edit": None, key: editing}
            arm = dataclasses.replace(arm, table=arm.generated.model_copy(update=told))
        opener = SourceOpener.of(sweep)
        name = arm.generator or next(iter(opener.settings))
        opener = dataclasses.replace(
            opener,
            settings={**opener.settings, name: {**opener.settings[name], **settings}},
            arms=(arm,),
        )
        source = opener()
        check_arm(source, arm)
        worker = ShardWorker(Path(), None, opener, source=source)
        return cls(sweep, arm, worker)

    @property
    def source(self) -> ImageSource:
        """What draws."""
        assert self.worker.source is not None
        return self.worker.source

    def make(self, captions: list[str], seeds: list[int], start: Batch | None = None) -> Images:
        """Return one picture per caption and seed.

        Raises:
            GlideEvalError: see `ImageSource.generate`.
        """
        return self.worker.pictures(self.arm, captions, seeds, start)

    def requests(self, captions: Sequence[str], count: int) -> list[Request] | None:
        """Return the samples of some of the sweep's own prompts; None if one is no prompt of it."""
        known = {prompt.caption: prompt.id for prompt in load_prompts(self.sweep)}
        if any(caption not in known for caption in captions):
            return None
        seed = self.sweep.config.run.seed
        return [
            Request(
                caption,
                sample_seed(seed, known[caption], replica),
                f"{self.arm.name}-{known[caption]}-{slug(caption)}-{replica}",
            )
            for caption in captions
            for replica in range(count)
        ]

    def story(self) -> dict[str, Any]:
        """Return what decided the pictures, beside caption, seed and weights."""
        return {
            "sweep": str(self.sweep.path),
            "arm": self.arm.name,
            "settings": self.arm.settings(),
            "generator": self.sweep.config.sources[
                self.arm.generator or next(iter(self.sweep.config.sources))
            ].model_dump(mode="json", exclude_unset=True),
            **({"sources": told} if (told := self.source.facts()) else {}),
        }


def found_arm(place: str) -> tuple[SweepFile, ArmConfig]:
    """Return the arm that `FILE.toml#ARM` names.

    Raises:
        UsageError: there is no such arm.
        ConfigError: the file is missing or can't be understood.
    """
    file, mark, name = place.rpartition("#")
    if not mark or not name:
        raise UsageError(f"--arm is {place!r}, expected {ENDING}, such as sweep.toml#cfg-3.")
    sweep = load_sweep(file)
    arms = {arm.name: arm for arm in sweep.config.expand()}
    if name not in arms:
        near = nearest(name, list(arms))
        hint = f"; did you mean {near!r}?" if near else "."
        raise UsageError(f"{file} has no arm {name!r}{hint} It has {', '.join(arms)}.")
    return sweep, arms[name]


def spelled_arm(model: str, options: Mapping[str, Any]) -> tuple[SweepFile, ArmConfig]:
    """Return an arm of any model that the command line spells.

    Args:
        model: as in sweep files, relative to the current folder.
        options: what its table would say.

    Raises:
        ConfigError: the model's source does not take them.
    """
    # JSON's strings, numbers and lists are TOML's.
    said = {key: json.dumps(value, ensure_ascii=False) for key, value in options.items()}
    text = "\n".join(
        [
            '[run]\nname = "command-line"',
            f"[generator]\nmodel = {json.dumps(model, ensure_ascii=False)}",
            '[prompts]\ncaptions = ["none"]',
            "[[arms]]",
            *(f"{key} = {value}" for key, value in said.items()),
        ]
    )
    sweep = SweepFile(Path("command line"), text, parse_sweep(text, "command line"))
    return sweep, sweep.config.expand()[0]


def is_glide(model: str) -> bool:
    """Return whether a model is drawn by the `generator` package."""
    return find_source(model, Path()).source is GlideSource
