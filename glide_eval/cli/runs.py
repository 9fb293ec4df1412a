"""`glide-eval runs …`: what is done with runs as wholes."""

from __future__ import annotations

from pathlib import Path

import click

from glide_eval.files import RunFolder, count
from glide_eval.sweep import fork_run, load_sweep

from .invocation import from_here, next_command, typed_command

PATH = click.Path(path_type=Path)


@click.group("runs")
def command() -> None:
    """Fork runs: begin a new one with what is the same."""


@command.command()
@click.argument("run", type=PATH)
@click.argument("new", type=PATH)
@click.option(
    "--config",
    type=PATH,
    required=True,
    metavar="SWEEP.toml",
    help="The sweep file of the new run.",
)
def fork(run: Path, new: Path, config: Path) -> None:
    """Begin the run NEW with all images of RUN that its sweep would draw in the same way.

    An image is taken over if seed, generator, settings of its arm and caption are the same; links
    save the space of copies. The sweep that you run next draws the rest. RUN stays as it is.

    \b
    glide-eval runs fork runs/first runs/second --config second.toml
    glide-eval sweep second.toml --out runs/second
    """  # noqa: D301
    done = fork_run(RunFolder.open(run), load_sweep(config), new, typed_command(), click.echo)
    taken = sum(done.taken.values())
    click.echo(
        f"{count(taken, 'image')} of {done.images:,} taken over into {from_here(new)} "
        f"({', '.join(f'{arm} {number:,}' for arm, number in done.taken.items())}). "
        f"Next: {next_command('sweep', config, '--out', new)}"
    )
