"""`glide-eval models train CONFIG.toml`: train or fine-tune a model on captioned pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from glide_eval.files import count, some

from .devices import device_option


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG.toml")
@device_option()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Output folder; by default the file's `output.folder`.",
)
def command(config: Path, device: str, out: Path | None) -> None:
    """Train or fine-tune a model on captioned pictures; resumes where it stopped.

    Writes model.safetensors, state.pt, loss.csv and loss.svg. Kill it at any moment and run the
    same command again: it goes on from the state saved last, and ends with the same weights. On
    several GPUs: torchrun --nproc-per-node 8 -m glide_eval models train CONFIG.toml
    """
    from generator.devices import checked_device
    from generator.training.processes import joined
    from generator.training.run import CURVE, train_model
    from glide_eval.sweep import commit
    from glide_eval.training import draw_loss_curve, load_training

    training = load_training(config)
    folder = out or Path(training.output.folder)
    with joined(str(checked_device(device))) as (processes, place):
        first = processes.rank == 0
        pictures = training.pictures(config.parent)
        recipe = training.recipe(config.parent)
        if first:
            for note in pictures.notes:
                click.echo(note, err=True)
            click.echo(f"{count(len(pictures), 'picture')}, on {place}.")
        try:
            with _Progress(recipe.schedule.steps, silent=not first) as progress:
                trained = train_model(
                    recipe, pictures, folder, place, processes, progress.line, progress.update,
                    {"commit": commit()},
                )  # fmt: skip
        finally:
            if first and (folder / CURVE).is_file():
                draw_loss_curve(folder / CURVE, folder / "loss.svg")
    if not first:
        return
    if trained.skipped:
        told = [f"{name} ({why})" for name, why in trained.skipped.items()]
        click.echo(
            f"{count(len(told), 'picture')} left out as unreadable: {some(told, 3, '; ')}.",
            err=True,
        )
    click.echo(f"At the end: {trained.last.words}. Written to {trained.path}.")


class _Progress:
    """A bar with time left on a terminal; elsewhere a line at each point of the loss curve."""

    def __init__(self, steps: int, silent: bool):
        self._bar = tqdm(
            total=steps, desc="Training", unit="step", disable=True if silent else None
        )
        self._silent = silent

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def line(self, text: str) -> None:
        """A point of the loss curve."""
        if not self._silent and self._bar.disable:
            click.echo(text)

    def update(self, state: Any) -> None:
        """After a step, or on resuming."""
        if self._bar.disable:
            return
        self._bar.update(state.step - self._bar.n)
        if state.history:
            self._bar.set_postfix_str(state.history[-1].words, refresh=False)
