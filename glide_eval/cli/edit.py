"""`glide-eval edit SKETCH --prompt …`: a picture from a sketch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from glide_eval.drawing import Images
from glide_eval.files import fit_picture, read_picture
from glide_eval.sweep import Batch, EditTable, check_prompts, height_width

from .drawing_options import Options, draw_by, drawing_options, run


@click.command()
@click.argument("sketch", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    required=True,
    help="What the picture shall show; repeat for several.",
)
@click.option(
    "--strength",
    type=float,
    default=0.6,
    show_default=True,
    help="Above 0 and at most 1: near 0 the sketch comes back, at 1 it hardly matters.",
)
@drawing_options
def command(sketch: Path, prompts: tuple[str, ...], strength: float, options: Options) -> None:
    """Draw a picture that keeps a sketch's layout and colours.

    SDEdit (Meng et al. 2022): the sketch is noised as far as --strength says, then denoised with
    the prompt. Any model can do it.

    \b
    glide-eval edit sketch.png --prompt "a large shiny red sphere" --strength 0.6
    """  # noqa: D301
    captions = check_prompts(prompts)

    from generator.editing import check_strength, from_sketch
    from glide_eval.drawing import batch_of, plan, sampling_story

    check_strength(strength)
    pixels = read_picture(sketch)
    requests = plan(captions, options.seed, options.count)
    edit = {
        "sketch": str(sketch),
        "sketch_sha256": hashlib.sha256(sketch.read_bytes()).hexdigest(),
        "strength": strength,
    }
    drawing = options.by_arm(EditTable(sketches=str(sketch), strength=strength))
    if drawing is not None:
        own = _fitted(pixels, min(height_width(drawing.source.size)), sketch)
        draw_by(
            drawing, options, requests, lambda n: Batch(batch_of(own, n), None), {"edit": edit},
            [own],
        )  # fmt: skip
        return
    sampling = options.sampling()
    source = options.load()
    fitted = _fitted(pixels, source.side, sketch)
    run(
        options,
        source,
        requests,
        lambda texts, seeds, on_step: [
            from_sketch(
                source.pipeline,
                texts,
                seeds,
                batch_of(fitted, len(texts)),
                strength,
                sampling,
                on_step=on_step,
            )
        ],
        max(1, round(strength * sampling.base_steps)) + sampling.upsampling_steps,
        {"sampling": sampling_story(sampling), "edit": edit},
        first=[fitted],
    )


def _fitted(pixels: Images, side: int, sketch: Path) -> Images:
    """Return a sketch of the model's size; say what was done to it."""
    picture = fit_picture(pixels, side, sketch)
    for note in picture.notes:
        click.echo(f"Note: {note}", err=True)
    return picture.pixels
