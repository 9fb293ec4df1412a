"""`glide-eval sample PROMPT...`: pictures of prompts."""

from __future__ import annotations

import click

from glide_eval.sweep import check_prompts

from .drawing_options import Options, drawing_options, run


@click.command()
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@drawing_options
def command(prompts: tuple[str, ...], options: Options) -> None:
    """Draw pictures of prompts.

    Writes a PNG and a JSON that says how it was made for each, and a sheet of all if there are
    several. The same prompt, seed and options give the same picture.

    \b
    glide-eval sample "a large shiny red sphere" "a small matte blue cube" --count 4
    """  # noqa: D301
    captions = check_prompts(prompts)
    sampling = options.sampling()

    from glide_eval.drawing import plan, sampling_story

    source = options.load()
    run(
        options,
        source,
        plan(captions, options.seed, options.count),
        lambda texts, seeds, on_step: [
            source.pipeline.sample(texts, seeds, sampling, on_step=on_step)
        ],
        sampling.base_steps + sampling.upsampling_steps,
        {"sampling": sampling_story(sampling)},
    )
