"""What `sample`, `inpaint` and `edit` have in common: options, loading, drawing, saving."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.models import DEFAULTED, model_defaults
from generator.option_records import OPTIONS, OptionRecord
from generator.samplers import DEFAULT, SAMPLERS
from generator.strategies import MOST, STRATEGIES
from glide_eval.errors import UsageError
from glide_eval.files import count as counted
from glide_eval.sweep import BESIDE

from .devices import device_option
from .invocation import from_here, typed_command

if TYPE_CHECKING:
    from generator.options import Sampling
    from glide_eval.drawing import ArmDrawing, Images, Make, Request
    from glide_eval.sweep import Batch, EditTable, GlideSource, ImageSource, InpaintTable

CPU_BATCH, GPU_BATCH = 1, 8
DEFAULT_SCALE = 3.0


@dataclass(frozen=True)
class Options:
    """The shared options as typed; numbers of the option records that were not typed are None."""

    model: str
    arm: str | None
    strategy: str
    scale: float | None
    sampler: str | None
    steps: int | str | None
    upsampler_steps: int | str | None
    upsampler_sampler: str | None
    interval: tuple[float, float] | None
    numbers: dict[str, float]
    seed: int
    count: int
    batch: int | None
    out: Path
    overwrite: bool
    device: str
    dtype: str
    given: frozenset[str]  # names of the options that were typed

    def sampling(self) -> Sampling:
        """How to sample.

        Raises:
            UsageError: a scale this strategy can't take.
            generator.errors.OptionError: other impossible options.
        """
        from generator.options import Sampling

        names = (*DEFAULTED, "upsampler_sampler", "interval")
        typed = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        told: dict[str, Any] = {**model_defaults(self.model), **typed, **self.numbers}
        sampling = Sampling(self.strategy, self._scale(), **told)
        sampling.check()
        return sampling

    def _scale(self) -> float | None:
        if self.strategy not in STRATEGIES:
            raise UsageError(
                f"--strategy {self.strategy} is not GLIDE's, which has {', '.join(STRATEGIES)}. "
                "Name a --model of diffusers."
            )
        if STRATEGIES[self.strategy].neutral is None:
            if self.scale is not None:
                raise UsageError(
                    f"--scale {self.scale:g} has no meaning with --strategy {self.strategy}. "
                    "Leave it out, or choose a guided strategy."
                )
            return None
        scale = DEFAULT_SCALE if self.scale is None else self.scale
        strategy = STRATEGIES[self.strategy]
        if not strategy.takes(scale):
            least = f"{strategy.least:g} or more" if strategy.neutral else "above 0"
            raise UsageError(
                f"--scale is {scale:g}, expected {least} and below {MOST:,} for {self.strategy} "
                "guidance. 3 is a good start."
            )
        return scale

    def load(self, optional: Sequence[str] = ()) -> GlideSource:
        """The model: the networks these options need, and optional ones where it has them.

        Raises:
            generator.errors.GeneratorError: weights or device are missing.
        """
        from glide_eval.sweep import GlideSource

        network = STRATEGIES[self.strategy].network
        guide = (network,) if network else ()
        return GlideSource.load(
            self.model,
            self.device,
            self.dtype,
            networks=("base", "upsampler", *guide),
            optional=optional,
        )

    @property
    def elsewhere(self) -> bool:
        """Whether an arm of a sweep, or another source than GLIDE, draws."""
        from glide_eval.drawing import is_glide

        return self.arm is not None or not is_glide(self.model)

    def by_arm(self, editing: InpaintTable | EditTable | None = None) -> ArmDrawing | None:
        """Load the arm of a sweep that these options name or spell; None if GLIDE draws by itself.

        Args:
            editing: what is done to a picture; None draws from nothing.

        Raises:
            UsageError: no such arm, or options beside --arm that the arm decides.
            ConfigError: the model's source does not take the options.
            GlideEvalError: its source can't edit.
        """
        from glide_eval.drawing import ArmDrawing, found_arm, spelled_arm

        if not self.elsewhere:
            return None
        settings = {key: getattr(self, key) for key in ("device", "dtype") if key in self.given}
        if self.arm is not None:
            if decided := [name for name in _OF_THE_ARM if name in self.given]:
                flags = ", ".join(f"--{name.replace('_', '-')}" for name in decided)
                raise UsageError(f"The arm decides {flags}: leave it out, or leave out --arm.")
            return ArmDrawing.open(*found_arm(self.arm), settings, editing)
        told: dict[str, Any] = {
            name: getattr(self, name)
            for name in (*DEFAULTED, "upsampler_sampler", "interval")
            if name in self.given
        }
        told |= {"strategy": self.strategy, **self.numbers}
        if (scale := self._scale_elsewhere()) is not None:
            told["scales"] = [scale]
        return ArmDrawing.open(*spelled_arm(self.model, told), settings, editing)

    def _scale_elsewhere(self) -> float | None:
        """Return the scale for a source of its own rules, which refuses what it can't do."""
        strategy = STRATEGIES.get(self.strategy)
        unscaled = strategy is not None and strategy.neutral is None
        return self.scale if unscaled or self.scale is not None else DEFAULT_SCALE

    def batch_of(self, source: ImageSource, by_arm: ArmDrawing | None = None) -> int:
        """How many pictures are drawn together."""
        if self.batch is None and self.arm is not None and by_arm is not None:
            return by_arm.sweep.config.micro_batch(by_arm.arm)
        return self.batch or (CPU_BATCH if source.device == "cpu" else GPU_BATCH)


def drawing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options; it receives them as `options`."""

    @functools.wraps(function)
    def with_options(**values: Any) -> None:
        context = click.get_current_context()
        by_default = click.core.ParameterSource.DEFAULT
        given = {name for name in values if context.get_parameter_source(name) != by_default}
        numbers = {name: values.pop(name) for name in OPTIONS}
        own: dict[str, Any] = {
            "numbers": {name: value for name, value in numbers.items() if value is not None},
            "given": frozenset(given),
        }
        names = [field.name for field in dataclasses.fields(Options) if field.name not in own]
        typed = {name: values.pop(name) for name in names}
        function(options=Options(**typed, **own), **values)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def draw_by(
    drawing: ArmDrawing,
    options: Options,
    requests: Sequence[Request],
    start: Callable[[int], Batch] | None = None,
    story: dict[str, Any] | None = None,
    first: Sequence[Images] = (),
) -> None:
    """Draw the requests by an arm of a sweep, and save them.

    Args:
        drawing: the arm.
        options: as typed.
        requests: what to draw.
        start: so many times the picture to edit.
        story: what decided the pictures beside the arm.
        first: see `run`.
    """

    def make(texts: list[str], seeds: list[int], on_step: Callable[[int, Any], None]) -> Any:
        made = drawing.make(texts, seeds, None if start is None else start(len(texts)))
        on_step(0, None)
        return [made]

    run(
        options, drawing.source, requests, make, 1, {**drawing.story(), **(story or {})},
        first=first, batch=options.batch_of(drawing.source, drawing),
        strategy=drawing.arm.strategy,
    )  # fmt: skip


def run(
    options: Options,
    source: ImageSource,
    requests: Sequence[Request],
    make: Make,
    steps: int,
    story: dict[str, Any],
    first: Sequence[Images] = (),
    stage_names: Sequence[str] = ("",),
    batch: int | None = None,
    strategy: str = "",
) -> None:
    """Draw the requests, save each picture, and a sheet if there are several.

    Args:
        options: as typed.
        source: the loaded model.
        requests: what to draw.
        make: see `drawing.draw`.
        steps: on_step calls of one `make`.
        story: what decided the pictures, beside caption, seed and the model.
        first: pictures at the head of the sheet's rows, such as the source.
        stage_names: ending of each stage's files.
        batch: how many are drawn together; by default as typed, or as fits the device.
        strategy: for notes on what its networks will not read.
    """
    from glide_eval.drawing import check_free, draw, save, sheet

    names = [request.name + stage for request in requests for stage in stage_names]
    several = len(names) > 1
    sheet_name = f"{requests[0].name}-sheet"
    check_free(options.out, [*names, *([sheet_name] if several else [])], options.overwrite)
    captions = list(dict.fromkeys(request.caption for request in requests))
    for note in source.notes(captions, [strategy or options.strategy]):
        click.echo(f"Note: {note}", err=True)
    batch = batch or options.batch_of(source)
    model = {} if options.arm else {"model": options.model}
    common = {"command": typed_command(), **model, "batch": batch, **story}
    rows: dict[str, list[Images]] = {}
    for request, stages in draw(requests, make, batch, steps):
        own = {"caption": request.caption, "seed": request.seed, **common}
        for ending, pixels in zip(stage_names, stages, strict=True):
            save(options.out, request.name + ending, pixels, source, own)
        key = str(request.seed) if len(stage_names) > 1 else request.caption
        rows.setdefault(key, list(first)).extend(stages)
    if several:
        own = {"pictures": [f"{name}.png" for name in names], **common}
        save(options.out, sheet_name, sheet(list(rows.values())), source, own)
    shown = f"{sheet_name}.png shows them all" if several else f"{names[0]}.png"
    click.echo(f"{counted(len(names), 'picture')} in {from_here(options.out)}: {shown}.")


def _steps(text: str | int) -> int | str:
    """A count of steps, or a respacing string; what no sampler can do is refused with all else."""
    return int(text) if str(text).isdecimal() else text


def _interval(text: str) -> tuple[float, float]:
    """Two fractions, `LOW,HIGH`."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no interval: expected LOW,HIGH such as 0.2,0.8."
        ) from None
    return low, high


def _number(option: OptionRecord) -> Callable[..., Any]:
    only = f" Of {', '.join(option.strategies)}." if 0 < len(option.strategies) < 3 else ""
    return click.option(f"--{option.name.replace('_', '-')}", type=float, help=option.help + only)


_OPTIONS = (
    click.option("--model", default="tabletop", show_default=True, metavar="NAME",
                 help="tabletop (bundled), glide (once fetched), a folder of weights, diffusers: "
                 "and a folder or repo id, or package.module:Class."),
    click.option("--arm", metavar="FILE.toml#ARM",
                 help="Draw as this arm of this sweep file would, with all of its options."),
    click.option("--strategy", type=click.Choice([*STRATEGIES, *BESIDE]), metavar="NAME",
                 default="classifier_free", show_default=True,
                 help=f"Guidance: {', '.join(STRATEGIES)}; of diffusers also {', '.join(BESIDE)}."),
    click.option("--scale", type=float, metavar="S",
                 help="Of guidance; 1 is none for classifier_free, 0 for clip.  [default: 3]"),
    click.option("--sampler", type=click.Choice(list(SAMPLERS)),
                 help=f"[default: the model's, else {DEFAULT.name}]"),
    click.option("--steps", type=_steps, metavar="N|SPACING",
                 help="Of the base model: a count of 1 to 1000, or a spacing such as ddim50 or "
                 f"27,27,27.  [default: the model's, else {DEFAULT.steps}]"),
    click.option("--upsampler-steps", type=_steps, metavar="N|SPACING",
                 help="Of the upsampler; 27 takes GLIDE's own spacing.  [default: the model's, "
                 "else 27]"),
    click.option("--upsampler-sampler", type=click.Choice(list(SAMPLERS)),
                 help="[default: ddim on GLIDE's own spacing, else --sampler]"),
    click.option("--interval", type=_interval, metavar="LOW,HIGH",
                 help="Guide only at these noise levels, 0 to 1; 0 is the clean end."),
    *map(_number, OPTIONS.values()),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
                 help="Of the noise; further pictures of a prompt take the seeds after it. With "
                 "--arm, prompts of the sweep have the sweep's own seeds by default."),
    click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True,
                 help="Pictures of each prompt."),
    click.option("--batch", type=click.IntRange(1, 1024),
                 help="Pictures drawn together; the last bits depend on it."
                 f"  [default: {CPU_BATCH} on CPU, else {GPU_BATCH}; with --arm, its micro-batch]"),
    click.option("--out", type=click.Path(path_type=Path), default=Path("pictures"),
                 show_default=True, metavar="DIR", help="Where to put the pictures."),
    click.option("--overwrite", is_flag=True, help="Replace pictures of the same name."),
    device_option(),
    click.option("--dtype", type=click.Choice(["auto", "float32", "tf32", "bfloat16", "float16"]),
                 default="auto", show_default=True,
                 help="auto is float32 on CPU, else bfloat16, or float16 before Ampere."),
)  # fmt: skip
_OF_THE_ARM = (
    "model", "strategy", "scale", *DEFAULTED, "upsampler_sampler", "interval", *OPTIONS,
)  # fmt: skip
