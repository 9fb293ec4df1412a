"""A whole training: from captioned pictures and a model to start from to a weights file."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from generator.atomic import replacing
from generator.checkpoints import save, sha256
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.diffusion import Diffusion
from generator.errors import OptionError
from generator.text_unet import TextUNet

from .kinds import KINDS, Batch, clip_batch, clip_loss, unet_batch, unet_loss
from .loop import Drawn, Schedule, train
from .pictures import Framing, Pictures, Shuffled
from .processes import ALONE, Processes
from .start import start_model, start_paths, tokenizer_of
from .state import Entry, State, read_state

MODEL, STATE, CURVE = "model.safetensors", "state.pt", "loss.csv"


@dataclass(frozen=True)
class Recipe:
    """All that decides a training, except its pictures and where it runs.

    Attributes:
        kind: a name in `KINDS`.
        start: `tabletop`, a weights file, or None to begin with random weights.
        config: the model's, where it begins with random weights.
        schedule: how long and how fast; `parts` micro-batches per step.
        batch: pictures per step, over all parts and processes.
        crop: `center` or `random`; `flip` mirrors half of the pictures (see `Framing`).
        precision: `float32`, `bfloat16` or `float16`; weights stay float32.
        empty_captions: share of captions emptied; None takes the kind's.
        max_weight: cap of the loss's 1/SNR weight; 1 is the paper's (see `diffusion_loss`).
        patch: side of the squares an upsampler is trained on; None takes whole pictures.
        workers: threads that read pictures ahead.
        save_every: seconds between saved states.
        noise_spread: relative spread of the noise's strength around that of t (see `unet_loss`).
        max_bound: most nats of the bound for a pixel that trains the variance (see
            `diffusion_loss`): without a cap a picture at t = 999 outweighs all others in the
            gradient's norm, which is clipped.
    """

    kind: str
    schedule: Schedule
    batch: int
    start: str | None = None
    config: UNetConfig | ClipConfig | None = None
    crop: str = "center"
    flip: bool = False
    precision: str = "bfloat16"
    empty_captions: float | None = None
    max_weight: float = 1.0
    patch: int | None = None
    workers: int = 2
    save_every: float = 120.0
    noise_spread: float = 0.0
    max_bound: float = 1.0


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        path: the weights.
        last: the last point of the loss curve.
        skipped: pictures that could not be read -> why.
    """

    path: Path
    last: Entry
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The mean loss of the last stretch of steps; of a UNet the square error of ε alone."""
        return self.last.loss


def train_model(
    recipe: Recipe,
    pictures: Pictures,
    out: Path,
    device: str = "cpu",
    processes: Processes = ALONE,
    log: Callable[[str], None] = print,
    on_step: Callable[[State], None] = lambda state: None,
    notes: dict[str, Any] | None = None,
) -> Trained:
    """Train, or continue a training, and write `model.safetensors`, `state.pt` and `loss.csv`.

    Args:
        recipe: what to do.
        pictures: what to learn from.
        out: the folder to write to; a training whose state lies in it is continued.
        device: of this process.
        processes: those that train together; the first writes.
        log: gets a line at every entry of the loss curve.
        on_step: called after every step.
        notes: more JSON values for the weights' metadata.

    Raises:
        OptionError: the recipe asks for what the model can't do.
        CheckpointError, DataError, TrainingError: see where they come from.
    """
    torch.manual_seed(recipe.schedule.seed)
    start = start_model(recipe.kind, recipe.start, recipe.config)
    model = start.requires_grad_(True).to(device)
    if isinstance(model, TextUNet):
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    size = model.config.image_size
    _check_patch(recipe, size)
    per_part = recipe.batch // recipe.schedule.parts
    framing = Framing(size, recipe.crop, recipe.flip)
    source = Shuffled(pictures, framing, per_part, recipe.schedule.seed)
    about = _identity(recipe, pictures, model)
    first = processes.rank == 0

    def after(state: State) -> None:
        if first and state.history and state.history[-1].step == state.step:
            write_curve(out / CURVE, state.history)
        on_step(state)

    out.mkdir(parents=True, exist_ok=True)
    trained = train(
        model, _loss(recipe, model, source), recipe.schedule, out / STATE, recipe.save_every,
        log, on_step=after, processes=processes, identity=about,
    )  # fmt: skip
    last = Entry(*read_state(out / STATE)["history"][-1])
    if first:
        told = {
            **about,
            "schedule": dataclasses.asdict(recipe.schedule),
            "pictures": len(pictures),
            "steps_done": last.step,
            "final_loss": last.loss,
            **({} if last.bound is None else {"final_bound": last.bound}),
            **(notes or {}),
        }
        save(out / MODEL, trained.to("cpu"), model.config, told)
    return Trained(out / MODEL, last, source.skipped)


def write_curve(path: Path, history: Sequence[Entry]) -> None:
    """Write the loss curve as CSV: step, mean loss since the row before, learning rate.

    A UNet's has the loss in two columns, `mse` and `bound`; the bound is empty in rows of version
    0.1, whose `mse` is the sum of both.
    """
    apart = any(entry.bound is not None for entry in history)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", *(("mse", "bound") if apart else ("loss",)), "learning_rate"))
    for entry in history:
        bound = ("" if entry.bound is None else f"{entry.bound:.6g}",) if apart else ()
        writer.writerow((entry.step, f"{entry.loss:.6g}", *bound, f"{entry.rate:.6g}"))
    with replacing(path) as part:
        part.write_text(text.getvalue(), "utf-8")


def _loss(recipe: Recipe, model: TextUNet | Clip, source: Shuffled) -> Drawn[Batch]:
    tokenizer = tokenizer_of(model.config)
    kind = KINDS[recipe.kind]
    dtype = getattr(torch, recipe.precision)
    device = next(model.parameters()).device
    if isinstance(model, Clip):
        diffusion = Diffusion("squaredcos_cap_v2")  # the base model's, whose x_t it judges
        return Drawn(
            lambda rng, number: clip_batch(model, tokenizer, *source.draw(rng, number)),
            lambda batch, rng: clip_loss(model, diffusion, batch.to(device), rng, dtype),
            recipe.workers,
        )
    empty = kind.empty_captions if recipe.empty_captions is None else recipe.empty_captions
    diffusion = Diffusion(model.config.noise_schedule)
    return Drawn(
        lambda rng, number: unet_batch(
            model, tokenizer, *source.draw(rng, number), rng, empty, recipe.patch
        ),
        lambda batch, rng: unet_loss(
            model,
            diffusion,
            batch.to(device),
            rng,
            dtype,
            recipe.max_weight,
            recipe.noise_spread,
            max_bound=recipe.max_bound,
        ),
        recipe.workers,
    )


def _identity(recipe: Recipe, pictures: Pictures, model: TextUNet | Clip) -> dict[str, Any]:
    """Return what a state must share with the recipe to be continued; all else may change."""
    digests = [sha256(path) for path in start_paths(recipe.kind, recipe.start)]
    start = " ".join(digests) or None
    return {"kind": recipe.kind, "start": start, "config": _plain(model.config.to_dict()),
            "data": pictures.digest(), "batch": recipe.batch, "parts": recipe.schedule.parts,
            "optimiser": recipe.schedule.optimiser, "precision": recipe.precision,
            "seed": recipe.schedule.seed}  # fmt: skip


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _check_patch(recipe: Recipe, size: int) -> None:
    if recipe.patch and (recipe.patch > size or recipe.patch % 16):
        raise OptionError(
            f"patch = {recipe.patch} must be a multiple of 16 and at most the model's {size} px."
        )
