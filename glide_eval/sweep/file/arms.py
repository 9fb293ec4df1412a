"""The arms of a sweep: what its `[[arms]]` tables expand to, one arm a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from glide_eval.files import Arm, Strategy

from .arm_options import DegradeTable, RerankTable
from .arm_tables import ArmTable, ImportedTable, Sampler, UnguidedTable
from .edit_options import EditTable, InpaintTable

STRATEGY_LABELS = {
    "unguided": "Unguided",
    "classifier_free": "Classifier-free",
    "clip": "CLIP",
    "classifier": "Classifier",
    "imported": "Imported",
}
STRATEGY_NAMES = {
    "unguided": "unguided",
    "classifier_free": "cfg",
    "clip": "clip",
    "classifier": "classifier",
}


@dataclass(frozen=True, slots=True)
class ArmConfig:
    """One arm after expansion; what an image source needs to make its images.

    Attributes:
        name, strategy, scale, label, sampler, steps: as in `records.Arm`.
        upsampler_steps: the upsampler's denoising steps; None when imported.
        folder: of imported images, as written; None when generated.
        captions: their captions file, as written; None when generated or not given.
        rerank: how each image is chosen among candidates; None if there is but one.
        degrade: what is done to the images in the end; None if nothing.
        options: names and values of further fields of `generator.options.Sampling`, only those that
            differ from their defaults, so that arms without them keep their identity.
        editing: the pictures it inpaints or begins from; None if it draws from nothing.
    """

    name: str
    strategy: Strategy
    scale: float | None
    label: str
    sampler: Sampler | None = None
    steps: int | str | None = None
    upsampler_steps: int | str | None = None
    folder: str | None = None
    captions: str | None = None
    rerank: RerankTable | None = None
    degrade: DegradeTable | None = None
    options: tuple[tuple[str, Any], ...] = ()
    editing: InpaintTable | EditTable | None = None

    @property
    def imported(self) -> bool:
        """Whether its images exist already."""
        return self.strategy == "imported"

    @property
    def record(self) -> Arm:
        """The arm as reports know it."""
        return Arm(
            self.name,
            self.strategy,
            self.scale,
            self.label,
            self.sampler,
            self.steps,
            reranked_by=self.rerank.clip if self.rerank else None,
            degraded_by=self.degrade.setting if self.degrade else None,
        )

    @property
    def candidates(self) -> int:
        """How many images are made or read for each sample."""
        return self.rerank.best_of if self.rerank else 1

    @property
    def sampling(self) -> dict[str, Any]:
        """The fields of the `generator.options.Sampling` of a generated arm."""
        keys = ("strategy", "scale", "sampler", "steps", "upsampler_steps")
        return {**{key: getattr(self, key) for key in keys}, **dict(self.options)}

    def settings(self) -> dict[str, Any]:
        """All that decides its images: not its name or label. Values are JSON scalars."""
        keys = ("strategy", "scale", "sampler", "steps", "upsampler_steps", "folder", "captions")
        values = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        for name, value in self.options:
            values[name] = f"{value[0]:g}..{value[1]:g}" if name == "interval" else value
        edits = self.editing.settings() if self.editing else {}
        return {**values, **edits, **self.alterations()}

    def alterations(self) -> dict[str, str | int]:
        """The part of its settings that any arm may have; empty for most."""
        found: dict[str, str | int] = {}
        if self.rerank:
            found |= {"rerank.clip": self.rerank.clip, "rerank.best_of": self.rerank.best_of}
        if self.degrade:
            found["degrade"] = self.degrade.setting
        return found


def expand(tables: Sequence[ArmTable]) -> list[ArmConfig]:
    """The arms of all tables, in their order."""
    return [_with_options(arm, table) for table in tables for arm in _expand_table(table)]


def _with_options(arm: ArmConfig, table: ArmTable) -> ArmConfig:
    """The arm with what any arm may ask for, which its name and label say."""
    editing = None if isinstance(table, ImportedTable) else table.inpaint or table.edit
    for option in (editing, table.rerank, table.degrade):
        if option is not None:
            name, label = f"{arm.name}-{option.suffix}", f"{arm.label}, {option.words}"
            arm = replace(arm, name=name, label=label)
    return replace(arm, rerank=table.rerank, degrade=table.degrade, editing=editing)


def _expand_table(table: ArmTable) -> list[ArmConfig]:
    label = table.label or STRATEGY_LABELS[table.strategy]
    if isinstance(table, ImportedTable):
        label = table.label or table.name
        return [
            ArmConfig(
                table.name, "imported", None, label, folder=table.folder, captions=table.captions
            )
        ]
    name = table.name or STRATEGY_NAMES[table.strategy]
    sampling = (table.sampler, table.steps, table.upsampler_steps)
    if isinstance(table, UnguidedTable):
        return [ArmConfig(name, "unguided", None, label, *sampling, options=table.options)]
    return [
        ArmConfig(
            f"{name}-{scale:g}", table.strategy, scale, f"{label}, s = {scale:g}", *sampling,
            options=table.options,
        )
        for scale in table.scales
    ]  # fmt: skip


def alike(a: ArmConfig, b: ArmConfig) -> bool:
    """Whether two arms make the same images: equal settings, and the same pictures to edit."""
    return a.settings() == b.settings() and a.editing == b.editing
