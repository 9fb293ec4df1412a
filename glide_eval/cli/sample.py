"""`glide-eval sample PROMPT...`: pictures of prompts."""

from __future__ import annotations

from pathlib import Path

import click

from glide_eval.errors import UsageError
from glide_eval.sweep import check_prompts, read_prompts

from .drawing_options import Options, draw_by, drawing_options, run


@click.command()
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option(
    "--prompts",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .txt with one prompt per line, or .csv or .jsonl with `caption`.",
)
@drawing_options
def command(prompts: tuple[str, ...], file: Path | None, options: Options) -> None:
    """Draw pictures of prompts.

    Writes a PNG and a JSON that says how it was made for each, and a sheet of all if there are
    several. The same prompt, seed and options give the same picture.

    \b
    glide-eval sample "a large shiny red sphere" "a small matte blue cube" --count 4
    glide-eval sample --prompts prompts.txt --scale 3 --rescale 0.5 --steps 27,27,27
    glide-eval sample "a large shiny red sphere" --arm sweep.toml#cfg-3
    """  # noqa: D301
    if bool(prompts) == (file is not None):
        raise UsageError("Expected PROMPT, one or more, or --prompts FILE; found " + (
            "both." if file else "neither."
        ))  # fmt: skip
    read = [prompt.caption for prompt in read_prompts(file)] if file else prompts
    captions = check_prompts(read)

    from glide_eval.drawing import plan, sampling_story

    requests = plan(captions, options.seed, options.count)
    drawing = options.by_arm()
    if drawing is not None:
        own = None if "seed" in options.given else drawing.requests(captions, options.count)
        draw_by(drawing, options, own or requests)
        return
    sampling = options.sampling()
    source = options.load()
    run(
        options,
        source,
        requests,
        lambda texts, seeds, on_step: [
            source.pipeline.sample(texts, seeds, sampling, on_step=on_step)
        ],
        sampling.base_steps + sampling.upsampling_steps,
        {"sampling": sampling_story(sampling)},
    )
