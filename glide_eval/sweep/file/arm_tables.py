"""The `[[arms]]` tables of a sweep file: what each strategy's may say.

A strategy's table is made from its record (`generator.strategies`), with the scales it takes and
the options it has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import AfterValidator, Field, PlainValidator, create_model, model_validator

from generator.errors import OptionError
from generator.samplers import DEFAULT, SAMPLERS
from generator.schedules import kept_steps
from generator.strategies import MOST, STRATEGIES, Strategy
from glide_eval.files import Name, Table, Text

from .arm_options import DegradeTable, RerankTable
from .edit_options import EditTable, InpaintTable

if TYPE_CHECKING:
    Sampler = str
else:
    Sampler = Literal[tuple(SAMPLERS)]
MOST_ARMS = 1000  # of a sweep: each is a folder, a colour and a row of every table
Fraction = Annotated[float, Field(ge=0, le=1)]


def _steps(value: Any) -> int | str:
    """Return a count of 1..1000, or a respacing string that the generator knows."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    if isinstance(value, str) and value:
        try:
            kept_steps(value)
        except OptionError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return value
    raise ValueError(
        f"found {json.dumps(value, default=str)}, expected a count from 1 to 1000 or a respacing "
        'such as "ddim50" or "27,27,27"'
    )


Steps = Annotated[int | str, PlainValidator(_steps)]


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
    """What every generated arm may say; see `generator.options.Sampling` for what each does.

    Attributes:
        strategy: says which table this is.
        name: of the arm, or what stands before the scale in the names of a table of scales.
        sampler: of the base model.
        steps: a count or a respacing string.
        upsampler_steps: likewise; 27 is GLIDE's own spacing.
        upsampler_sampler: by default DDIM on GLIDE's spacing, else `sampler`.
        eta: of DDIM.
        threshold: percentile of dynamic thresholding.
        inpaint: the pictures of which it repaints a part.
        edit: the sketches it begins from.
    """

    strategy: str
    name: Name | None = None
    sampler: Sampler = DEFAULT.name
    steps: Steps = DEFAULT.steps
    upsampler_steps: Steps = 27
    upsampler_sampler: Sampler | None = None
    eta: Fraction = 0.0
    threshold: Annotated[float, Field(gt=0, lt=100)] | None = None
    inpaint: InpaintTable | None = None
    edit: EditTable | None = None

    @model_validator(mode="after")
    def _edits_one_way(self) -> GeneratedTable:
        if self.inpaint is not None and self.edit is not None:
            raise ValueError("found `inpaint` and `edit`, expected at most one of them")
        return self

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> GeneratedTable:
        if self.eta and self.sampler != "ddim":
            raise ValueError(
                f'found `eta` with sampler = "{self.sampler}"; it is DDIM\'s: leave it out or use '
                'sampler = "ddim"'
            )
        return self

    @property
    def guided_at(self) -> list[float] | None:
        """The guidance scales, one for each arm; None if the strategy has no scale."""
        return getattr(self, "scales", None)

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Names and values of the options that differ from their defaults, beside the main ones."""
        fields = type(self).model_fields
        return tuple(
            (name, getattr(self, name))
            for name in ("upsampler_sampler", "eta", "threshold", *_OPTIONS)
            if name in fields and getattr(self, name) != fields[name].default
        )


class ImportedTable(_ArmTable):
    """`[[arms]] strategy = "imported"`: images that exist already, made by whatever you like.

    Attributes:
        name: of the arm.
        folder: of the images.
        captions: `.csv` or `.jsonl` with `file` and `caption` (or `prompt_id`); by default
            `captions.csv` or `captions.jsonl` in the folder, else `<image>.txt` beside each image.
        label: what tables and figures print; by default the name.
        rerank: its candidates are further images of the same caption in the folder.
        degrade: what is done to its images in the end.
    """

    strategy: Literal["imported"]
    name: Name
    folder: Text
    captions: Text | None = None


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"found {list(interval)}, expected [low, high] with low <= high")
    return interval


_OPTIONS: dict[str, tuple[Any, Any]] = {  # name → type and default of what some strategies have
    "interval": (
        Annotated[tuple[Fraction, Fraction], Field(strict=False), AfterValidator(_ascending)],
        (0.0, 1.0),
    ),
    "rescale": (Fraction, 0.0),
}


def _table_of(strategy: Strategy) -> type[GeneratedTable]:
    """Make the table of a strategy, one arm for each of its `scales` if it has a scale."""
    fields: dict[str, Any] = {"strategy": (Literal[strategy.name], ...)}
    if strategy.neutral is not None:
        least = Field(ge=strategy.neutral) if strategy.neutral else Field(gt=0)
        scale = Annotated[float, least, Field(lt=MOST)]
        fields["scales"] = (Annotated[list[scale], Field(min_length=1, max_length=MOST_ARMS)], ...)
    fields |= {name: _OPTIONS[name] for name in strategy.options}
    return create_model(
        f"{strategy.name.title().replace('_', '')}Table",
        __base__=GeneratedTable,
        __module__=__name__,
        __doc__=f'`[[arms]] strategy = "{strategy.name}"`.',
        **fields,
    )


TABLES = {strategy.name: _table_of(strategy) for strategy in STRATEGIES.values()}
globals().update({table.__name__: table for table in TABLES.values()})  # pickle looks there

if TYPE_CHECKING:
    ArmTable = GeneratedTable | ImportedTable
else:
    ArmTable = Annotated[
        Union[(*TABLES.values(), ImportedTable)],
        Field(discriminator="strategy"),
    ]
