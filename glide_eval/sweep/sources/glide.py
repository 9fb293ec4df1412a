"""GLIDE as an image source: the `generator` package, bundled miniature or full-size checkpoints."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from annotated_types import Interval as Bounds
from pydantic import AfterValidator, Field, PlainValidator, create_model, model_validator

from generator.errors import OptionError
from generator.models import MODELS, model_defaults
from generator.option_records import OPTIONS
from generator.samplers import DEFAULT, SAMPLERS
from generator.schedules import kept_steps
from generator.strategies import STRATEGIES
from glide_eval.errors import GlideEvalError
from glide_eval.files import Table

from .editing import Batch, EditTable, InpaintTable
from .prompt_notes import prompt_notes
from .source import DrawnArm, Images, ImageSource, Opening, Size
from .tables import ArmOptions, GeneratorTable, Scalar

if TYPE_CHECKING:
    Sampler = str
else:
    Sampler = Literal[tuple(SAMPLERS)]
NAMED = (*MODELS, "fake")  # every other model is a folder
Fraction = Annotated[float, Field(ge=0, le=1)]


class FakeTable(Table):
    """`[generator] fake = {...}`: the procedural source that stands in for a model in tests.

    Attributes:
        size: side of its images in pixels.
        seconds: how long it pretends an image takes.
    """

    size: Annotated[int, Field(ge=16, le=1024)] = 64
    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0


class GlideSettings(GeneratorTable):
    """`[generator]` of GLIDE and of the fake.

    Attributes:
        low_memory: load one network at a time, for GPUs too small for all; the images are the same.
        accelerate: see `generator.acceleration`; rounds differently, so part of the identity too.
        fake: settings of the fake model; refused with any other.
    """

    low_memory: bool = False
    accelerate: Literal["auto", "none", "graphs", "compile"] = "auto"
    fake: FakeTable | None = None

    @model_validator(mode="after")
    def _fake_settings_need_the_fake(self) -> GlideSettings:
        if self.fake is not None and self.model != "fake":
            raise ValueError(f'found settings of the fake model with model = "{self.model}"')
        return self

    def identity(self) -> dict[str, Scalar | None]:
        """See `GeneratorTable.identity`; memory does not decide images."""
        found: dict[str, Scalar | None] = {"fake.size": self.fake.size if self.fake else None}
        if self.accelerate != "auto":  # runs older than the key have none
            found["accelerate"] = self.accelerate
        return found


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


def _number(name: str) -> Any:
    """Return the type of a numeric option, from its record."""
    option = OPTIONS[name]
    kind = float if option.default is not None else float | None
    return Annotated[kind, Bounds(**option.bounds)]


if TYPE_CHECKING:
    Eta = float
    Threshold = float | None
else:
    Eta = _number("eta")
    Threshold = _number("threshold")


class GlideOptions(ArmOptions):
    """What every arm of GLIDE may say; see `generator.options.Sampling` for what each does.

    Attributes:
        sampler: of the base model.
        steps: a count or a respacing string.
        upsampler_steps: likewise; 27 is GLIDE's own spacing.
        upsampler_sampler: by default DDIM on GLIDE's spacing, else `sampler`.
        eta: of DDIM.
        threshold: percentile of dynamic thresholding.
    """

    sampler: Sampler = DEFAULT.name
    steps: Steps = DEFAULT.steps
    upsampler_steps: Steps = 27
    upsampler_sampler: Sampler | None = None
    eta: Eta = 0.0
    threshold: Threshold = None

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> GlideOptions:
        if self.eta and self.sampler != "ddim":
            raise ValueError(
                f'found `eta` with sampler = "{self.sampler}"; it is DDIM\'s: leave it out or use '
                'sampler = "ddim"'
            )
        return self

    def extras(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, beside sampler and steps."""
        fields = type(self).model_fields
        return {
            name: getattr(self, name)
            for name in ("upsampler_sampler", *_OF_STRATEGIES)
            if name in fields and getattr(self, name) != fields[name].default
        }

    def sampling(self) -> dict[str, Any]:
        """Return the fields of `generator.options.Sampling` beside strategy and scale."""
        return {**self._main(), **self.extras()}

    def identity(self) -> dict[str, Scalar]:
        """See `ArmOptions.identity`: options at their defaults are not part of it."""
        told = self.extras()
        if "interval" in told:
            told["interval"] = "{:g}..{:g}".format(*told["interval"])
        return {**self._main(), **told}

    def _main(self) -> dict[str, Scalar]:
        keys = ("sampler", "steps", "upsampler_steps")
        return {key: getattr(self, key) for key in keys}


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"found {list(interval)}, expected [low, high] with low <= high")
    return interval


_INTERVAL = Annotated[tuple[Fraction, Fraction], Field(strict=False), AfterValidator(_ascending)]
_OF_STRATEGIES: dict[str, tuple[Any, Any]] = {  # type and default of what some strategies have
    "interval": (_INTERVAL, (0.0, 1.0)),
    **{name: (_number(name), option.default) for name, option in OPTIONS.items()},
}


@functools.cache
def _options_of(strategy: str) -> type[GlideOptions]:
    """Return the options of one strategy's arms: GLIDE's, and those that the strategy has."""
    own: dict[str, Any] = {name: _OF_STRATEGIES[name] for name in STRATEGIES[strategy].options}
    title = strategy.title().replace("_", "")
    return create_model(f"{title}Options", __base__=GlideOptions, __module__=__name__, **own)


@dataclass
class GlideSource(ImageSource):
    """The `generator` package's sampling pipeline as an image source."""

    pipeline: Any
    device: str
    dtype: str
    size: Size = field(init=False)

    Settings: ClassVar[type[GeneratorTable]] = GlideSettings
    Options: ClassVar[type[ArmOptions]] = GlideOptions
    strategies = STRATEGIES

    def __post_init__(self) -> None:
        self.size = self.side

    @property
    def side(self) -> int:
        """Width and height of its images in pixels."""
        return int(self.pipeline.image_size)

    @classmethod
    def options_of(cls, strategy: str) -> type[ArmOptions]:
        """See `ImageSource.options_of`."""
        return _options_of(strategy)

    @classmethod
    def located(cls, argument: str, folder: Path) -> str:
        """See `ImageSource.located`: a folder of weights is relative to the sweep file."""
        return argument if argument in NAMED else str(folder / Path(argument).expanduser())

    @classmethod
    def defaults_of(cls, argument: str, folder: Path) -> Mapping[str, Any]:
        """See `ImageSource.defaults_of`: what the weights' notes say."""
        return model_defaults(cls.located(argument, folder))

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """See `ImageSource.open`: the networks that the arms need, and no more."""
        settings: GlideSettings = opening.settings
        used = {arm.strategy for arm in opening.arms}
        guides = tuple(s.network for s in STRATEGIES.values() if s.network and s.name in used)
        edits = [arm.editing for arm in opening.arms]
        told = any(isinstance(e, InpaintTable) and e.context != "implicit" for e in edits)
        return cls.load(
            cls.located(opening.argument, opening.folder),
            settings.device,
            settings.dtype,
            networks=("base", "upsampler", *guides),
            optional=("base_inpaint", "upsample_inpaint") if told else (),
            low_memory=settings.low_memory,
            accelerate=settings.accelerate,
        )

    @classmethod
    def load(
        cls,
        model: str,
        device: str,
        dtype: str,
        *,
        networks: Sequence[str] = ("base", "upsampler", "clip"),
        optional: Sequence[str] = (),
        low_memory: bool = False,
        accelerate: str = "auto",
    ) -> Self:
        """Load a model by name or folder.

        Args:
            model: `tabletop`, `glide`, or a folder of checkpoints.
            device: a torch device, or `auto` (`devices.checked_device`).
            dtype: `float32`, `tf32`, `bfloat16`, `float16`, or `auto` (`devices.fastest_dtype`).
            networks: the networks its arms need; their files are checked now.
            optional: those they use if the model has them.
            low_memory: one network in memory at a time.
            accelerate: one of `generator.acceleration.MODES`.

        Raises:
            generator.errors.GeneratorError: the weights are missing, corrupt or of another model,
                or the device is not there.
        """
        from generator.allocator import keep_freed_memory
        from generator.loading import load_pipeline

        keep_freed_memory()
        settings = GlideSettings.model_construct(device=device, dtype=dtype)
        device, dtype = Opening(model, Path(), settings).place()
        pipeline = load_pipeline(
            model, device, dtype, networks=networks, optional=optional, low_memory=low_memory,
            accelerate=accelerate,
        )  # fmt: skip
        return cls(pipeline, device, dtype)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name."""
        return dict(self.pipeline.weights)

    def check(self, arm: DrawnArm) -> None:
        """See `ImageSource.check`: a model context needs a model fine-tuned for inpainting."""
        if isinstance(arm.editing, InpaintTable):
            from generator.editing import base_for

            base_for(self.pipeline, arm.editing.context)

    def notes(self, captions: Sequence[str], strategies: Sequence[str] = ()) -> list[str]:
        """See `ImageSource.notes`."""
        return prompt_notes(self.pipeline, captions, "clip" in strategies)

    def generate(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`."""
        from generator.errors import SamplingError
        from generator.options import Sampling

        options = cast(GlideOptions, arm.options)
        try:
            sampling = Sampling(arm.strategy, arm.scale, **options.sampling())
            if start is not None:
                return self._edit(arm, list(captions), list(seeds), start, sampling)
            return self.pipeline.sample(list(captions), list(seeds), sampling)
        except SamplingError as error:
            raise GlideEvalError(f"Arm {arm.name}: {error}") from error

    def _edit(
        self, arm: DrawnArm, captions: list[str], seeds: list[int], start: Batch, sampling: Any
    ) -> Images:
        from generator.editing import from_sketch, inpaint

        table = arm.editing
        common = (self.pipeline, captions, seeds, start.images)
        if isinstance(table, InpaintTable) and start.known is not None:
            return inpaint(*common, start.known, sampling, context=table.context)
        assert isinstance(table, EditTable)
        return from_sketch(*common, table.strength, sampling)
