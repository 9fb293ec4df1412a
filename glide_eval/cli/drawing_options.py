"""What `sample`, `inpaint` and `edit` have in common: options, loading, drawing, saving."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.samplers import DEFAULT, SAMPLERS
from generator.strategies import MOST, STRATEGIES
from glide_eval.errors import UsageError
from glide_eval.files import count as counted
from glide_eval.sweep import prompt_notes

from .invocation import from_here, typed_command

if TYPE_CHECKING:
    from generator.options import Sampling
    from glide_eval.drawing import Images, Make, Request
    from glide_eval.sweep import GlideSource

CPU_BATCH, GPU_BATCH = 1, 8
DEFAULT_SCALE = 3.0


@dataclass(frozen=True)
class Options:
    """The shared options as typed."""

    model: str
    strategy: str
    scale: float | None
    sampler: str
    steps: int
    upsampler_steps: int
    seed: int
    count: int
    batch: int | None
    out: Path
    overwrite: bool
    device: str
    dtype: str

    def sampling(self) -> Sampling:
        """How to sample.

        Raises:
            UsageError: a scale this strategy can't take.
            generator.errors.OptionError: other impossible options.
        """
        from generator.options import Sampling

        sampling = Sampling(
            self.strategy, self._scale(), self.sampler, self.steps, self.upsampler_steps
        )
        sampling.check()
        return sampling

    def _scale(self) -> float | None:
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
            least = f"{strategy.neutral:g} (which is unguided)" if strategy.neutral else "above 0"
            raise UsageError(
                f"--scale is {scale:g}, expected {least} or more and below {MOST:,} for "
                f"{self.strategy} guidance. 3 is a good start."
            )
        return scale

    def load(self, optional: Sequence[str] = ()) -> GlideSource:
        """The model: the networks these options need, and optional ones where it has them.

        Raises:
            UsageError: no such kind of device.
            generator.errors.GeneratorError: weights or device are missing.
        """
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise UsageError(
                f"--device is {self.device!r}, expected auto, cpu, mps, cuda or cuda:1."
            )

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


def drawing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options; it receives them as `options`."""

    @functools.wraps(function)
    def with_options(**values: Any) -> None:
        names = [field.name for field in dataclasses.fields(Options)]
        function(options=Options(**{name: values.pop(name) for name in names}), **values)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def run(
    options: Options,
    source: GlideSource,
    requests: Sequence[Request],
    make: Make,
    steps: int,
    story: dict[str, Any],
    first: Sequence[Images] = (),
    stage_names: Sequence[str] = ("",),
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
    """
    from glide_eval.drawing import check_free, draw, save, sheet

    names = [request.name + stage for request in requests for stage in stage_names]
    several = len(names) > 1
    sheet_name = f"{requests[0].name}-sheet"
    check_free(options.out, [*names, *([sheet_name] if several else [])], options.overwrite)
    for note in prompt_notes(source.pipeline, [request.caption for request in requests]):
        click.echo(f"Note: {note}", err=True)
    batch = options.batch or (CPU_BATCH if source.device == "cpu" else GPU_BATCH)
    common = {"command": typed_command(), "model": options.model, "batch": batch, **story}
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


_OPTIONS = (
    click.option("--model", default="tabletop", show_default=True, metavar="NAME",
                 help="tabletop (bundled), glide (once fetched), or a folder of weights."),
    click.option("--strategy", type=click.Choice(list(STRATEGIES)), default="classifier_free",
                 show_default=True, help="Guidance."),
    click.option("--scale", type=float, metavar="S",
                 help="Of guidance; from 1 for classifier_free, above 0 for clip.  [default: 3]"),
    click.option("--sampler", type=click.Choice(list(SAMPLERS)), default=DEFAULT.name,
                 show_default=True),
    click.option("--steps", type=click.IntRange(1, 1000), default=DEFAULT.steps, show_default=True,
                 help="Of the base model."),
    click.option("--upsampler-steps", type=click.IntRange(1, 1000), default=27, show_default=True,
                 help="Of the upsampler; 27 takes GLIDE's own spacing."),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
                 help="Of the noise; further pictures of a prompt take the seeds after it."),
    click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True,
                 help="Pictures of each prompt."),
    click.option("--batch", type=click.IntRange(1, 1024),
                 help="Pictures drawn together; the last bits depend on it."
                 f"  [default: {CPU_BATCH} on CPU, else {GPU_BATCH}]"),
    click.option("--out", type=click.Path(path_type=Path), default=Path("pictures"),
                 show_default=True, metavar="DIR", help="Where to put the pictures."),
    click.option("--overwrite", is_flag=True, help="Replace pictures of the same name."),
    click.option("--device", default="auto", show_default=True,
                 help="cpu, cuda, cuda:1, mps; auto takes CUDA if there is one."),
    click.option("--dtype", type=click.Choice(["auto", "float32", "tf32", "bfloat16", "float16"]),
                 default="auto", show_default=True,
                 help="auto is float32 on CPU, else bfloat16, or float16 before Ampere."),
)  # fmt: skip
