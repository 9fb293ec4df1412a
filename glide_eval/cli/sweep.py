"""`glide-eval sweep`: make images for every arm of a sweep file."""

from __future__ import annotations

from pathlib import Path

import click

from glide_eval.files import count, duration
from glide_eval.sweep import RayExecutor, load_sweep, outline, run_sweep

from .invocation import next_command, typed_command
from .shares import on_option, require_on, shard_option, share_of, workers_option


@click.command()
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG.toml")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run folder; by default the file's `run.out`, else runs/<run.name>.",
)
@shard_option
@on_option
@workers_option
@click.option("--finish", is_flag=True, help="Draw nothing; write the manifest of what tasks drew.")
@click.option(
    "--mixed",
    is_flag=True,
    help="Let tasks differ in versions, device and threads; else they are refused.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made; make and write nothing.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    config: Path,
    out: Path | None,
    shard: str | None,
    on: str | None,
    workers: int | None,
    finish: bool,
    mixed: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Make images for every arm of a sweep file; resumes where it stopped.

    Kill it at any moment and run the same command again: nothing finished is made twice, and the
    images are byte for byte those of a sweep that was never disturbed.
    """
    sweep = load_sweep(config)
    folder = out or Path(sweep.config.run.out or f"runs/{sweep.config.run.name}")
    say = _silent if quiet else click.echo
    require_on(on, workers)
    executor = None if on is None else RayExecutor(on, workers, say)
    share = None if finish or executor else share_of(shard)
    if dry_run:
        for line in outline(sweep, folder, share):
            say(line)
        return
    result = run_sweep(
        sweep,
        folder,
        command=typed_command(),
        say=say,
        executor=executor,
        share=share,
        finish=finish,
        mixed=mixed,
    )
    made = (
        f"made {result.made:,} in {duration(result.seconds)}"
        if result.made
        else "nothing was left to do"
    )
    if result.left:
        say(
            f"Task {share}: {made}. {result.left:,} of {count(result.images, 'image')} are left "
            "to other tasks; the last one in writes the manifest."
        )
        return
    say(
        f"{count(result.images, 'image')} in {folder}; {made}. "
        f"Next: {next_command('metrics', folder)}"
    )


def _silent(_: str) -> None:
    """Say nothing."""
