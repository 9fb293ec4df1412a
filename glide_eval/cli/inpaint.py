"""`glide-eval inpaint IMAGE --mask MASK --prompt …`: repaint a part of a picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from glide_eval.drawing import Images, OnStep, SceneFile, load_scene
from glide_eval.errors import UsageError
from glide_eval.files import (
    Picture,
    box_mask,
    check_box,
    fit_mask,
    fit_picture,
    known_from,
    read_mask,
    read_picture,
)
from glide_eval.sweep import Batch, InpaintTable, check_prompts, height_width

from .drawing_options import Options, draw_by, drawing_options, run

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("image", required=False, type=FILE)
@click.option("--prompt", "prompts", multiple=True,
              help="What the whole picture shall show; repeat for several.")  # fmt: skip
@click.option("--mask", type=FILE,
              help="Image of the same size: WHITE is repainted, BLACK is kept.")  # fmt: skip
@click.option("--invert-mask", is_flag=True, help="BLACK is repainted, WHITE is kept.")
@click.option("--box", metavar="L,T,R,B",
              help="Instead of a mask: repaint inside, as fractions of the picture, such as "
              "0.5,0,1,1 for its right half.")  # fmt: skip
@click.option("--steps-file", type=FILE, metavar="SCENE.toml",
              help="A scene: a list of prompts and masks, each on the last result.")  # fmt: skip
@click.option("--context", type=click.Choice(["auto", "model", "implicit"]), default="auto",
              show_default=True,
              help="model: a network trained to inpaint sees what is kept. implicit: any base "
              "model sees it through noise. auto: model if there is one.")  # fmt: skip
@drawing_options
def command(
    image: Path | None,
    prompts: tuple[str, ...],
    mask: Path | None,
    invert_mask: bool,
    box: str | None,
    steps_file: Path | None,
    context: str,
    options: Options,
) -> None:
    """Repaint a part of a picture by a prompt, once or step by step.

    In a mask WHITE is repainted and BLACK is kept (--invert-mask turns that round). What is kept
    comes back pixel for pixel. The prompt tells the whole picture, not just the part.

    \b
    glide-eval inpaint photo.png --mask mask.png --prompt "a large matte red cube"
    glide-eval inpaint photo.png --box 0.5,0,1,1 --prompt "a large matte red cube"
    glide-eval inpaint --steps-file scene.toml
    """  # noqa: D301
    if steps_file is not None:
        if prompts or mask or box or invert_mask:
            raise UsageError(
                "--steps-file holds prompts and masks of its own: leave out --prompt, --mask, "
                "--invert-mask and --box."
            )
        _scene(load_scene(steps_file), image, context, options)
        return
    if image is None or not prompts:
        missing = "IMAGE" if image is None else "--prompt"
        raise UsageError(
            f"{missing} is missing: expected IMAGE, --prompt and either --mask or --box, or a "
            "--steps-file."
        )
    if (mask is None) == (box is None) or (invert_mask and mask is None):
        raise UsageError(
            "Expected one of --mask and --box to say where to paint (--invert-mask goes with "
            f"--mask); found {'both' if mask and box else 'no --mask'}."
        )
    _once(image, check_prompts(prompts), mask, invert_mask, _edges(box), context, options)


def _once(
    image: Path,
    captions: list[str],
    mask: Path | None,
    invert: bool,
    box: list[float] | None,
    context: str,
    options: Options,
) -> None:
    from glide_eval.drawing import plan

    pixels = read_picture(image)
    paint = None if mask is None else read_mask(mask, pixels.shape, invert)
    edit = {
        "source": _file(image),
        "mask": _file(mask) if mask else None,
        "invert_mask": invert,
        "box": box,
        "context": context,
    }
    requests = plan(captions, options.seed, options.count)
    drawing = options.by_arm(
        InpaintTable.model_validate(
            {
                "images": str(image),
                "masks": str(mask) if mask else None,
                "invert_mask": invert,
                "box": box,
                "context": context,
            }
        )
    )
    if drawing is not None:
        side = min(height_width(drawing.source.size))
        begin = _Begin.of(fit_picture(pixels, side, image), paint, box, mask)
        draw_by(drawing, options, requests, begin.batch, {"edit": edit}, begin.shown)
        return
    sampling = options.sampling()

    from generator.editing import inpaint
    from glide_eval.drawing import sampling_story

    source = options.load(_networks(context))
    begin = _Begin.of(fit_picture(pixels, source.side, image), paint, box, mask)

    def make(texts: list[str], seeds: list[int], on_step: OnStep) -> list[Images]:
        start = begin.batch(len(texts))
        assert start.known is not None
        return [
            inpaint(
                source.pipeline, texts, seeds, start.images, start.known, sampling,
                context=context, on_step=on_step,
            )
        ]  # fmt: skip

    steps = sampling.base_steps + sampling.upsampling_steps
    story = {"sampling": sampling_story(sampling), "edit": edit}
    run(options, source, requests, make, steps, story, first=begin.shown)


@dataclass(frozen=True)
class _Begin:
    """A picture to repaint, of the model's size.

    Attributes:
        pixels: uint8 (side, side, 3).
        known: bool (side, side), True where it is kept.
    """

    pixels: Images
    known: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        picture: Picture,
        paint: NDArray[np.bool_] | None,
        box: list[float] | None,
        mask: Path | None,
    ) -> _Begin:
        side = len(picture.pixels)
        fitted = box_mask(box or [], side) if paint is None else fit_mask(paint, side)
        known, notes = known_from(fitted, mask or "--box")
        _tell([*picture.notes, *notes])
        return cls(picture.pixels, known)

    def batch(self, count: int) -> Batch:
        return Batch(np.stack([self.pixels] * count), np.stack([self.known] * count))

    @property
    def shown(self) -> list[Images]:
        return [self.pixels, _shown(self.pixels, self.known)]


def _scene(scene: SceneFile, image: Path | None, context: str, options: Options) -> None:
    if options.elsewhere:
        raise UsageError(
            "--steps-file is drawn by GLIDE's models alone: leave out --arm, and name a --model of "
            "GLIDE."
        )
    sampling = options.sampling()
    captions = check_prompts([step.prompt for step in scene.config.steps])
    start = image or scene.source

    from generator.editing import SceneStep, build_scene
    from glide_eval.drawing import plan, sampling_story

    pixels = None if start is None else read_picture(start)
    source = options.load(_networks(context))
    shape = (source.side, source.side) if pixels is None else pixels.shape
    picture = Picture(np.empty(0, np.uint8), ())
    if pixels is not None and start is not None:
        picture = fit_picture(pixels, source.side, start)
    masks, notes = scene.known(source.side, shape)
    _tell([*picture.notes, *notes])
    steps = [SceneStep(*pair) for pair in zip(captions, masks, strict=True)]
    begin = None if pixels is None else picture.pixels
    edit = {
        "source": _file(start) if start else None,
        "scene": _file(scene.path),
        "prompts": captions,
        "context": context,
    }
    run(
        options,
        source,
        plan([captions[-1]], options.seed, options.count),
        lambda _, seeds, on_step: list(
            build_scene(
                source.pipeline, steps, seeds, begin, sampling, context=context, on_step=on_step
            )
        ),
        len(steps) * (sampling.base_steps + sampling.upsampling_steps),
        {"sampling": sampling_story(sampling), "edit": edit},
        first=[] if begin is None else [begin],
        stage_names=[f"-step{number}" for number in range(1, len(steps) + 1)],
    )


def _networks(context: str) -> tuple[str, ...]:
    """What inpainting uses besides the usual, where the model has it."""
    return () if context == "implicit" else ("base_inpaint", "upsample_inpaint")


def _edges(box: str | None) -> list[float] | None:
    if box is None:
        return None
    try:
        edges = [float(edge) for edge in box.split(",")]
    except ValueError:
        edges = []
    check_box(edges)
    return edges


def _file(path: Path) -> dict[str, Any]:
    return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _tell(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"Note: {note}", err=True)


def _shown(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The source with what is to be painted in white, for the sheet."""
    return np.where(known[..., None], pixels, np.uint8(255))
