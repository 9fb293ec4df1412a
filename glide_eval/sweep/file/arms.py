"""The arms of a sweep: what its `[[arms]]` tables expand to, one arm for each scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generator.strategies import STRATEGIES as GENERATED
from generator.strategies import Strategy
from glide_eval.files import Arm

from .arm_options import DegradeTable, RerankTable
from .arm_tables import ArmTable, GeneratedTable, ImportedTable
from .edit_options import EditTable, InpaintTable

STRATEGIES = {
    **GENERATED,
    "imported": Strategy(
        "imported", "Imported", "imported", "Imported images", "#1a9470", "#43bd96", "triangle-up"
    ),
}


@dataclass(frozen=True, slots=True)
class ArmConfig:
    """One arm of a sweep: its table in the file, at one scale.

    Attributes:
        name: unique in a run, safe as a folder name (`cfg-3`).
        label: what tables and figures print.
        scale: guidance scale; None if its strategy has none.
        table: everything else that the file says of it.
    """

    name: str
    label: str
    scale: float | None
    table: ArmTable

    @property
    def strategy(self) -> str:
        """A name in `STRATEGIES`."""
        return self.table.strategy

    @property
    def imported(self) -> bool:
        """Whether its images exist already."""
        return isinstance(self.table, ImportedTable)

    @property
    def generated(self) -> GeneratedTable | None:
        """Its table if a source draws its images; None if they are imported."""
        return None if isinstance(self.table, ImportedTable) else self.table

    @property
    def editing(self) -> InpaintTable | EditTable | None:
        """The pictures it inpaints or begins from; None if it draws from nothing."""
        return self.generated and (self.generated.inpaint or self.generated.edit)

    @property
    def rerank(self) -> RerankTable | None:
        """How each image is chosen among candidates; None if there is one candidate."""
        return self.table.rerank

    @property
    def degrade(self) -> DegradeTable | None:
        """What is done to the images in the end; None if nothing."""
        return self.table.degrade

    @property
    def record(self) -> Arm:
        """The arm as reports know it."""
        drawn = self.generated
        return Arm(
            self.name,
            self.strategy,
            self.scale,
            self.label,
            drawn and drawn.sampler,
            drawn and drawn.steps,
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
        assert self.generated is not None
        return {**self._main, **dict(self.generated.options)}

    @property
    def _main(self) -> dict[str, Any]:
        keys = ("sampler", "steps", "upsampler_steps", "folder", "captions")
        fields = type(self.table).model_fields
        named = {key: getattr(self.table, key) for key in keys if key in fields}
        return {"strategy": self.strategy, "scale": self.scale, **named}

    def settings(self) -> dict[str, Any]:
        """Return all that decides its images: not its name or label. Values are JSON scalars."""
        values = {key: value for key, value in self._main.items() if value is not None}
        for name, value in self.generated.options if self.generated else ():
            values[name] = f"{value[0]:g}..{value[1]:g}" if name == "interval" else value
        edits = self.editing.settings() if self.editing else {}
        return {**values, **edits, **self.alterations()}

    def alterations(self) -> dict[str, str | int]:
        """Return the part of its settings that any arm may have; empty for most."""
        found: dict[str, str | int] = {}
        if self.rerank:
            found |= {"rerank.clip": self.rerank.clip, "rerank.best_of": self.rerank.best_of}
        if self.degrade:
            found["degrade"] = self.degrade.setting
        return found


def expand(tables: Sequence[ArmTable]) -> list[ArmConfig]:
    """Return the arms of all tables, in their order."""
    return [arm for table in tables for arm in _expand_table(table)]


def _expand_table(table: ArmTable) -> list[ArmConfig]:
    strategy = STRATEGIES[table.strategy]
    name = table.name or strategy.prefix
    own = table.name if isinstance(table, ImportedTable) else strategy.label
    arm = ArmConfig(name, table.label or own, None, table)
    scales = arm.generated and arm.generated.guided_at
    if scales is None:
        return [_with_options(name, arm.label, None, arm)]
    return [
        _with_options(f"{name}-{scale:g}", f"{arm.label}, s = {scale:g}", scale, arm)
        for scale in scales
    ]


def _with_options(name: str, label: str, scale: float | None, arm: ArmConfig) -> ArmConfig:
    """Return the arm with its options told in its name and label."""
    for option in (arm.editing, arm.rerank, arm.degrade):
        if option is not None:
            name, label = f"{name}-{option.suffix}", f"{label}, {option.words}"
    return ArmConfig(name, label, scale, arm.table)


def alike(a: ArmConfig, b: ArmConfig) -> bool:
    """Return whether two arms make the same images, by equal settings and pictures to edit."""
    return a.settings() == b.settings() and a.editing == b.editing
