"""The arms of a sweep: what its `[[arms]]` tables expand to, one arm for each scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from generator.strategies import STRATEGIES as GENERATED
from generator.strategies import Strategy
from glide_eval.files import Arm
from glide_eval.sweep.sources import BESIDE, ArmOptions, EditTable, InpaintTable

from .arm_options import DegradeTable, RerankTable
from .arm_tables import ArmTable, GeneratedTable, ImportedTable

STRATEGIES = {
    **GENERATED,
    **BESIDE,
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
        varied: the option whose values its table varies, and this arm's.
    """

    name: str
    label: str
    scale: float | None
    table: ArmTable
    varied: tuple[str, float] | None = None

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
    def generator(self) -> str | None:
        """Which of several generators draws it; None if there is one, or it is imported."""
        return self.generated and self.generated.generator

    @property
    def options(self) -> ArmOptions:
        """What its source's own options are."""
        assert self.generated is not None
        return cast(ArmOptions, self.generated)

    @property
    def record(self) -> Arm:
        """The arm as reports know it."""
        series = self.table.series if isinstance(self.table, ImportedTable) else None
        return Arm(
            self.name,
            series or self.strategy,
            self.scale,
            self.label,
            getattr(self.table, "sampler", None),
            getattr(self.table, "steps", None),
            reranked_by=self.rerank.clip if self.rerank else None,
            degraded_by=self.degrade.setting if self.degrade else None,
            unguided_at=self.generated.record.neutral if self.generated else None,
            varied=self.varied and self.varied[0],
            varied_at=self.varied and self.varied[1],
        )

    @property
    def candidates(self) -> int:
        """How many images are made or read for each sample."""
        return self.rerank.best_of if self.rerank else 1

    def settings(self) -> dict[str, Any]:
        """Return all that decides its images: not its name or label. Values are JSON scalars."""
        edits = self.editing.settings() if self.editing else {}
        return {**self._origin(), **edits, **self.alterations()}

    def _origin(self) -> dict[str, Any]:
        """Return what draws its images, or where they lie."""
        told: dict[str, Any] = {"strategy": self.strategy, "scale": self.scale}
        if isinstance(self.table, ImportedTable):
            told |= {"folder": self.table.folder, "captions": self.table.captions}
        else:
            told |= {"generator": self.generator, **self.options.identity()}
        return {key: value for key, value in told.items() if value is not None}

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
    if isinstance(table, ImportedTable):
        return [_imported(table, one) for one in table.one_by_one()]
    return [arm for one in table.one_by_one() for arm in _generated(table, one)]


def _generated(whole: GeneratedTable, table: GeneratedTable) -> list[ArmConfig]:
    """Return the arms of one value of the option that varies, or of a table without one."""
    strategy = table.record
    varied = None
    if whole.vary is not None:
        varied = (whole.vary.option, float(getattr(table, whole.vary.option)))
    drawn = [table.generator] if table.generator else []
    name = table.name or "-".join([*drawn, strategy.prefix])
    arm = ArmConfig(name, table.label or ", ".join([*drawn, strategy.label]), None, table, varied)
    if table.guided_at is None:
        return [_with_options(name, arm.label, None, arm)]
    return [
        _with_options(f"{name}-{scale:g}", f"{arm.label}, s = {scale:g}", scale, arm)
        for scale in table.guided_at
    ]


def _imported(whole: ImportedTable, table: ImportedTable) -> ArmConfig:
    """Return one arm of a table of imported images."""
    name, label = table.name, table.label or table.name
    if whole.scales is not None:
        name, label = f"{name}-{table.scale:g}", f"{label}, s = {table.scale:g}"
    return _with_options(name, label, table.scale, ArmConfig(name, label, table.scale, table))


def _with_options(name: str, label: str, scale: float | None, arm: ArmConfig) -> ArmConfig:
    """Return the arm with its options told in its name and label."""
    if arm.varied:
        option, value = arm.varied
        name, label = f"{name}-{option}{value:g}", f"{label}, {option} = {value:g}"
    for option in (arm.editing, arm.rerank, arm.degrade):
        if option is not None:
            name, label = f"{name}-{option.suffix}", f"{label}, {option.words}"
    return ArmConfig(name, label, scale, arm.table, arm.varied)


def alike(a: ArmConfig, b: ArmConfig) -> bool:
    """Return whether two arms make the same images, by equal settings and pictures to edit."""
    return a.settings() == b.settings() and a.editing == b.editing
