"""The `[[arms]]` tables of a sweep file: what each strategy's may say.

A strategy's table is made of what every arm may say, of the scales that its record takes, and of
the options that the arm's source lets it choose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, ValidationError, create_model, model_validator

from generator.strategies import MOST, Strategy
from glide_eval.files import Name, Table, Text, nearest
from glide_eval.sweep.sources import (
    ArmOptions,
    EditTable,
    Found,
    InpaintTable,
    find_source,
)

from .arm_options import DegradeTable, RerankTable, VaryTable

LABEL_PATTERN = r"^[A-Za-z][A-Za-z0-9 _-]*$"
MOST_ARMS = 1000  # of a sweep: each is a folder, a colour and a row of every table


class _ArmTable(Table):
    """What any arm may say, imported ones too.

    Attributes:
        label: what tables and figures print.
        rerank: how each image is chosen among candidates.
        degrade: what is done to the images in the end.
    """

    label: Text | None = None
    rerank: RerankTable | None = None
    degrade: DegradeTable | None = None


class GeneratedTable(_ArmTable):
    """What every generated arm may say, beside its source's own options.

    Attributes:
        strategy: says which table this is.
        generator: which of `[generators]` draws it; needed where there are several.
        name: of the arm, or what stands before the scale in the names of a table of scales.
        inpaint: the pictures of which it repaints a part.
        edit: the sketches it begins from.
        vary: a numeric option, of whose values each makes an arm.
    """

    strategy: str
    generator: Text | None = None
    name: Name | None = None
    inpaint: InpaintTable | None = None
    edit: EditTable | None = None
    vary: VaryTable | None = None

    record: ClassVar[Strategy]
    origin: ClassVar[tuple[str, Path]]

    @model_validator(mode="after")
    def _edits_one_way(self) -> GeneratedTable:
        if self.inpaint is not None and self.edit is not None:
            raise ValueError("found `inpaint` and `edit`, expected at most one of them")
        return self

    @model_validator(mode="after")
    def _varies_a_number(self) -> GeneratedTable:
        self.one_by_one()
        return self

    def one_by_one(self) -> list[GeneratedTable]:
        """Return a table for each value of the option that varies, or itself.

        Raises:
            ValueError: there is no such option, it has a value beside, or it can't be a value.
        """
        if self.vary is None:
            return [self]
        option = self.vary.option
        names = cast("type[ArmOptions]", type(self)).own_keys or ()
        if option not in names:
            near = nearest(option, names)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(
                f"found `vary` of {option!r}, expected a numeric option of this arm: "
                f"{', '.join(names)}{hint}"
            )
        if option in self.model_fields_set:
            raise ValueError(f"found `{option}` and `vary` of it, expected one of them")
        given = {k: getattr(self, k) for k in self.model_fields_set if k != "vary"}
        return [self._with(given, option, value) for value in self.vary.values]

    def _with(self, given: dict[str, Any], option: str, value: float) -> GeneratedTable:
        try:
            return type(self).model_validate({**given, option: value})
        except ValidationError as error:
            raise ValueError(
                f"found {value:g} among the values that `vary` gives `{option}`: "
                f"{error.errors()[0]['msg']}"
            ) from error

    @property
    def guided_at(self) -> list[float] | None:
        """The guidance scales, one for each arm; None if the strategy has no scale."""
        return getattr(self, "scales", None)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class was made here; elsewhere it is made again, of the same source.
        told = (*self.origin, self.strategy, self.model_fields_set)
        return _restored, (*told, dict(self))


def _restored(
    model: str, folder: Path, strategy: str, given: set[str], values: dict[str, Any]
) -> GeneratedTable:
    return arm_tables(find_source(model, folder))[strategy].model_construct(given, **values)


class ImportedTable(_ArmTable):
    """`[[arms]] strategy = "imported"`: images that exist already, made by whatever you like.

    Attributes:
        name: of the arm.
        folder: of the images; with `scales` it has `{scale}` in it, where each stands.
        scale: the guidance scale that made them, so that the arm is a point of a curve.
        scales: one arm for each.
        strategy_label: what curves call the guidance that made them; arms of one share a curve.
        captions: `.csv` or `.jsonl` with `file` and `caption` (or `prompt_id`); by default
            `captions.csv` or `captions.jsonl` in the folder, else `<image>.txt` beside each image;
            `embedded` reads the prompts that the images hold (`embedded_caption`).
        label: what tables and figures print; by default the name.
        rerank: its candidates are further images of the same caption in the folder.
        degrade: what is done to its images in the end.
    """

    strategy: Literal["imported"]
    name: Name
    folder: Text
    captions: Text | None = None
    scale: Annotated[float, Field(ge=0, lt=MOST)] | None = None
    scales: (
        Annotated[
            list[Annotated[float, Field(ge=0, lt=MOST)]],
            Field(min_length=1, max_length=MOST_ARMS),
        ]
        | None
    ) = None
    strategy_label: Annotated[str, Field(pattern=LABEL_PATTERN, max_length=40)] | None = None

    @model_validator(mode="after")
    def _scales_stand_in_the_folder(self) -> ImportedTable:
        if self.scale is not None and self.scales is not None:
            raise ValueError("found `scale` and `scales`, expected at most one of them")
        if (self.scales is not None) != ("{scale}" in self.folder):
            found = "`scales` and none" if self.scales else "it without `scales`"
            raise ValueError(
                "expected `{scale}` in `folder` where there are `scales`, such as "
                f'folder = "out/cfg-{{scale}}"; found {found}'
            )
        if self.strategy_label and self.scale is None and self.scales is None:
            raise ValueError("found `strategy_label` without `scale` or `scales` to draw it over")
        return self

    @property
    def series(self) -> str | None:
        """The name of its curve's strategy; None for images without a scale."""
        return self.strategy_label and self.strategy_label.replace(" ", "_")

    def one_by_one(self) -> list[ImportedTable]:
        """Return a table for each of its scales, or itself."""
        return [self] if self.scales is None else [self._at(scale) for scale in self.scales]

    def _at(self, scale: float) -> ImportedTable:
        told = {
            key: value.replace("{scale}", f"{scale:g}")
            for key, value in (("folder", self.folder), ("captions", self.captions))
            if value is not None
        }
        return self.model_copy(update={**told, "scale": scale, "scales": None})


ArmTable = GeneratedTable | ImportedTable


def arm_tables(found: Found) -> dict[str, type[GeneratedTable]]:
    """Return the tables of a source's arms, one for each strategy it knows."""
    source = found.source
    return {
        name: _table_of(source.options_of(name), record, found.origin)
        for name, record in source.strategies.items()
    }


def _table_of(
    options: type[ArmOptions], strategy: Strategy, origin: tuple[str, Path]
) -> type[GeneratedTable]:
    """Return the table of a strategy with these options, whichever source had it first."""
    if (options, strategy) not in _MADE:
        _MADE[options, strategy] = _made(options, strategy, origin)
    return _MADE[options, strategy]


_MADE: dict[tuple[type[ArmOptions], Strategy], type[GeneratedTable]] = {}


def _made(
    options: type[ArmOptions], strategy: Strategy, origin: tuple[str, Path]
) -> type[GeneratedTable]:
    """Make the table of a strategy, one arm for each of its `scales` if it has a scale."""
    fields: dict[str, Any] = {"strategy": (Literal[strategy.name], ...)}
    if strategy.neutral is not None:
        least = Field(ge=strategy.least) if strategy.neutral else Field(gt=0)
        scale = Annotated[float, least, Field(lt=MOST)]
        fields["scales"] = (Annotated[list[scale], Field(min_length=1, max_length=MOST_ARMS)], ...)
    table = cast(
        "type[GeneratedTable]",
        create_model(
            f"{strategy.name.title().replace('_', '')}Table",
            __base__=(options, GeneratedTable),
            __module__=__name__,
            __doc__=f'`[[arms]] strategy = "{strategy.name}"`.',
            **fields,
        ),
    )
    table.record, table.origin = strategy, origin
    cast("type[ArmOptions]", table).own_keys = tuple(options.model_fields)
    return table
