"""The `[[arms]]` tables of a sweep file: what each strategy's may say."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator, model_validator

from generator.errors import OptionError
from generator.schedules import kept_steps
from glide_eval.files import Name, Table, Text

from .arm_options import DegradeTable, RerankTable
from .edit_options import EditTable, InpaintTable

Sampler = Literal["ddpm", "ddim", "dpm++2m", "plms"]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _steps(value: Any) -> int | str:
    """A count of 1..1000, or a respacing string that the generator knows."""
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


class _GeneratedTable(_ArmTable):
    """What every generated arm may say; see `generator.options.Sampling` for what each does.

    Attributes:
        name: of the arm, or what stands before the scale in the names of a table of scales.
        sampler: of the base model.
        steps: a count or a respacing string.
        upsampler_steps: likewise; 27 is GLIDE's own spacing.
        upsampler_sampler: by default DDIM on GLIDE's spacing, else `sampler`.
        eta: of DDIM.
        threshold: percentile of dynamic thresholding.
    """

    name: Name | None = None
    sampler: Sampler = "ddpm"
    steps: Steps = 100
    upsampler_steps: Steps = 27
    upsampler_sampler: Sampler | None = None
    eta: Fraction = 0.0
    threshold: Annotated[float, Field(gt=0, lt=100)] | None = None
    inpaint: InpaintTable | None = None
    edit: EditTable | None = None

    @model_validator(mode="after")
    def _edits_one_way(self) -> _GeneratedTable:
        if self.inpaint is not None and self.edit is not None:
            raise ValueError("found `inpaint` and `edit`, expected at most one of them")
        return self

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> _GeneratedTable:
        if self.eta and self.sampler != "ddim":
            raise ValueError(
                f'found `eta` with sampler = "{self.sampler}"; it is DDIM\'s: leave it out or use '
                'sampler = "ddim"'
            )
        return self

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Names and values of the options that differ from their defaults, beside the main ones."""
        names = ("upsampler_sampler", "eta", "threshold", "interval", "rescale")
        fields = type(self).model_fields
        return tuple(
            (name, getattr(self, name))
            for name in names
            if name in fields and getattr(self, name) != fields[name].default
        )


class UnguidedTable(_GeneratedTable):
    """`[[arms]] strategy = "unguided"`: the conditional model as it is."""

    strategy: Literal["unguided"]


class _GuidedTable(_GeneratedTable):
    """Arms with a scale.

    Attributes:
        interval: guide only in this part of the noise levels, 0 (clean) to 1.
    """

    interval: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.0, 1.0)

    @field_validator("interval")
    @classmethod
    def _interval_ascends(cls, interval: tuple[float, float]) -> tuple[float, float]:
        if interval[0] > interval[1]:
            raise ValueError(f"found {list(interval)}, expected [low, high] with low <= high")
        return interval


class ClassifierFreeTable(_GuidedTable):
    """`[[arms]] strategy = "classifier_free"`: one arm a scale, each at least 1 (1 is unguided).

    Attributes:
        scales: guidance scales.
        rescale: φ of guidance rescale.
    """

    strategy: Literal["classifier_free"]
    scales: Annotated[list[Annotated[float, Field(ge=1, lt=10_000)]], Field(min_length=1)]
    rescale: Fraction = 0.0


class ClipTable(_GuidedTable):
    """`[[arms]] strategy = "clip"`: one arm a scale, each above 0."""

    strategy: Literal["clip"]
    scales: Annotated[list[Annotated[float, Field(gt=0, lt=10_000)]], Field(min_length=1)]


class ClassifierTable(_GuidedTable):
    """`[[arms]] strategy = "classifier"`: the tabletop classifier guides; scales above 0."""

    strategy: Literal["classifier"]
    scales: Annotated[list[Annotated[float, Field(gt=0, lt=10_000)]], Field(min_length=1)]


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


ArmTable = Annotated[
    UnguidedTable | ClassifierFreeTable | ClipTable | ClassifierTable | ImportedTable,
    Field(discriminator="strategy"),
]
