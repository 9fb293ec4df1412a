"""A training file (`train.toml`): its tables and what each key may hold.

    [model]       kind, start | like, config
    [data]        source, path, captions, seed, crop, flip, workers
    [training]    steps, batch, micro_batch, lr, warmup, ... (see `TrainingTable`)
    [output]      folder

Paths are relative to the training file, except `output.folder`, which is relative to where the
command runs.
"""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from generator.config import GLIDE_BASE, GLIDE_CLIP, GLIDE_UPSAMPLE, ClipConfig, UNetConfig
from generator.training.loop import Schedule
from generator.training.pictures import Pictures
from generator.training.run import Recipe
from generator.training.sources import Tabletop, coco, folder
from generator.training.tabletop import BASE, NOISED_CLIP, UPSAMPLE
from generator.training.tars import Tars
from glide_eval.errors import ConfigError
from glide_eval.files import describe, nearest

_LIKE: dict[str, dict[str, UNetConfig | ClipConfig]] = {
    "tabletop": {"upsampler": UPSAMPLE, "noised_clip": NOISED_CLIP, "": BASE},
    "glide": {"upsampler": GLIDE_UPSAMPLE, "noised_clip": GLIDE_CLIP, "": GLIDE_BASE},
}
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Table(BaseModel):
    """A TOML table: no unknown keys, no silent conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelTable(_Table):
    """`[model]`.

    Attributes:
        kind: of training (see `generator.training.kinds`).
        start: weights to go on from: `tabletop`, or a weights file.
        like: begin with random weights, in the sizes of `tabletop` or `glide`.
        config: sizes that differ from those of `like`.
    """

    kind: Literal["base", "classifier_free", "inpainting", "upsampler", "noised_clip"]
    start: Text | None = None
    like: Literal["tabletop", "glide"] | None = None
    config: dict[str, int | float | str | bool | list[int]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _start_or_like(self) -> ModelTable:
        if (self.start is None) == (self.like is None):
            found = "none of them" if self.start is None else "both"
            raise ValueError(f"expected one of `start` and `like`, found {found}")
        if self.config and self.like is None:
            raise ValueError(
                "`config` changes the sizes of `like`; weights to `start` from have their own"
            )
        known = [field.name for field in dataclasses.fields(self._like())] if self.like else []
        for key in self.config:
            if key not in known:
                near = nearest(key, known)
                hint = f"; did you mean `{near}`?" if near else ""
                raise ValueError(f"`config.{key}` is not a size of this model{hint}")
        return self

    def _like(self) -> UNetConfig | ClipConfig:
        sizes = _LIKE[self.like or "tabletop"]
        return sizes.get(self.kind, sizes[""])

    def sizes(self) -> UNetConfig | ClipConfig | None:
        """Return the config of a model with random weights; None where weights are gone on from."""
        if self.like is None:
            return None
        changed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.config.items()
        }
        return dataclasses.replace(self._like(), **changed)


class DataTable(_Table):
    """`[data]`.

    Attributes:
        source: `folder` of pictures and captions, `coco` captions JSON, WebDataset `tars`, or
            rendered `tabletop` shards.
        path: the folder of pictures; for tars one tar, a folder of them or a pattern.
        captions: COCO's JSON; for a folder its table, by default captions.csv or captions.jsonl in
            it, else a text file beside each picture.
        seed: that the tabletop shards were rendered with.
        crop: `center` or `random` squares.
        flip: mirror half of the pictures; not where captions speak of left and right.
        workers: threads that read pictures ahead.
    """

    source: Literal["folder", "coco", "tars", "tabletop"]
    path: Text
    captions: Text | None = None
    seed: Annotated[int, Field(ge=0)] = 1
    crop: Literal["center", "random"] = "center"
    flip: bool = False
    workers: Annotated[int, Field(ge=0, le=64)] = 2

    @model_validator(mode="after")
    def _captions_where_they_belong(self) -> DataTable:
        if self.source == "coco" and self.captions is None:
            raise ValueError("`captions` is missing: the JSON of captions in COCO's form")
        if self.source in ("tars", "tabletop") and self.captions is not None:
            raise ValueError(f"`captions` is not used with source = {self.source!r}: remove it")
        return self


class TrainingTable(_Table):
    """`[training]`.

    Attributes:
        steps: optimiser steps.
        batch: pictures a step, over all processes.
        micro_batch: pictures computed at once; by default the whole batch.
        lr: peak learning rate.
        warmup: steps over which it rises.
        decay_from: share of the steps after which it falls to 0 along a cosine.
        ema: decay of the moving average of the weights, which is what is written.
        weight_decay: of matrices and convolutions.
        optimiser: `adamw` or `muon`.
        clip: largest norm of the gradient.
        precision: `float32`, `bfloat16` or `float16` (with loss scaling).
        empty_captions: share of captions emptied; by default 0.2 for classifier_free and
            inpainting, else 0.
        max_weight: cap of the 1/SNR weight in the loss; 1 is the paper's loss.
        max_bound: most nats of the variational bound for a pixel that trains the variance.
        noise_spread: relative standard deviation of the noise's strength about what t says.
        patch: side of the squares that an upsampler is trained on.
        seed: of order, crops, noise and random weights.
        save_seconds: between saved states.
        log_every: steps between points of the loss curve.
    """

    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    lr: Annotated[float, Field(gt=0, le=1)]
    warmup: Annotated[int, Field(ge=0)] = 100
    decay_from: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    optimiser: Literal["adamw", "muon"] = "adamw"
    clip: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    empty_captions: Share | None = None
    max_weight: Annotated[float, Field(ge=1)] = 1.0
    max_bound: Annotated[float, Field(gt=0)] = 1.0
    noise_spread: Annotated[float, Field(ge=0, le=0.3)] = 0.0
    patch: Annotated[int, Field(ge=16)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    save_seconds: Annotated[float, Field(ge=0)] = 120.0
    log_every: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _whole_parts(self) -> TrainingTable:
        if self.micro_batch and self.batch % self.micro_batch:
            raise ValueError(
                f"`batch` = {self.batch} is not a multiple of `micro_batch` = {self.micro_batch}"
            )
        return self


class OutputTable(_Table):
    """`[output]`.

    Attributes:
        folder: where model.safetensors, state.pt, loss.csv and loss.svg go.
    """

    folder: Text


class TrainConfig(_Table):
    """A whole training file."""

    model: ModelTable
    data: DataTable
    training: TrainingTable
    output: OutputTable

    def recipe(self, where: Path) -> Recipe:
        """Return what `generator.training.run.train_model` needs; `where` the file lies."""
        t = self.training
        start = self.model.start
        if start not in (None, "tabletop", "glide"):
            start = str(where / Path(start).expanduser())
        schedule = Schedule(
            t.steps, t.lr, t.warmup, t.decay_from, t.ema, t.weight_decay, t.optimiser, t.seed,
            parts=t.batch // (t.micro_batch or t.batch), clip=t.clip,
            loss_scaling=t.precision == "float16", log_every=t.log_every,
        )  # fmt: skip
        return Recipe(
            self.model.kind, schedule, t.batch, start, self.model.sizes(), self.data.crop,
            self.data.flip, t.precision, t.empty_captions, t.max_weight, t.patch,
            self.data.workers, t.save_seconds, t.noise_spread, t.max_bound,
        )  # fmt: skip

    def pictures(self, where: Path) -> Pictures:
        """Open the data; `where` the file lies.

        Raises:
            DataError: they are missing or nothing in them is captioned.
        """
        path = where / Path(self.data.path).expanduser()
        captions = self.data.captions and where / Path(self.data.captions).expanduser()
        if self.data.source == "coco" and captions:
            return coco(captions, path)
        if self.data.source == "tars":
            return Tars(_tars(path))
        if self.data.source == "tabletop":
            return Tabletop(path, self.data.seed)
        return folder(path, captions or None)


def load_training(path: Path) -> TrainConfig:
    """Read a training file.

    Raises:
        ConfigError: it is missing, not TOML, or says something no training can do.
    """
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such training file. Name one that exists, such as "
            "examples/train/captioned-folder.toml."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path}: expected a training file (TOML in UTF-8), found a mistake: {error}. Mend it "
            "and run the command again."
        ) from error
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe(error, TrainConfig, str(path), "a training file")) from error


def _tars(path: Path) -> list[Path]:
    """Return one tar, those of a folder, or those a pattern such as `shards/*.tar` matches."""
    if path.is_dir():
        return sorted(path.glob("*.tar"))
    return [path] if path.is_file() else sorted(path.parent.glob(path.name))
