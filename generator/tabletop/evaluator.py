"""The tabletop evaluator: features, class probabilities and a scene reader, and CLIPs that score.

None of these networks takes part in making images, except `GuidingCLIP`, which shows the score that
CLIP guidance optimises; it must not be used to compare arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.checkpoints import WEIGHTS, fill, load_clip, read, sha256
from generator.clip import Clip
from generator.errors import CheckpointError, OptionError
from generator.tabletop.words import WordTokenizer
from generator.tokenizer import ended

from .scenes import COLORS, MATERIALS, SHAPES, SIZES

FEATURES = 64  # width of the features of FID and precision/recall
CLASSES = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
GRID, STRIDE = 16, 8  # the reader looks at 16 x 16 cells of 8 pixels
_PRESENT = 0.4  # a cell holds an object's centre when its heat is above this
NAMES = {"shape": SHAPES, "color": COLORS, "size": SIZES, "material": MATERIALS}
_HEADS = {"heat": 1, "place": 2, **{name: len(values) for name, values in NAMES.items()}}


@dataclass(frozen=True, slots=True)
class ReadObject:
    """An object that the scene reader saw: the fields of `scenes.Object`, and a confidence."""

    shape: str
    color: str
    size: str
    material: str
    x: float
    y: float
    confidence: float


class EvaluatorOutput(NamedTuple):
    """(batch, FEATURES) features, (batch, classes) logits, and maps (batch, channels, 16, 16)."""

    features: Tensor
    logits: Tensor
    maps: dict[str, Tensor]


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels), _convolution(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class EvaluatorNetwork(nn.Module):
    """One trunk over 128 px images, with a grid of object detectors and a classifier on top.

    The classifier names the colour and shape of the object that looks largest: 18 classes, so the
    Inception Score means what it means with Inception: each image is clear, and all are varied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _convolution(3, 24, 2), _convolution(24, 48, 2), _convolution(48, 48),
            _convolution(48, 96, 2), _Residual(96), _Residual(96),
        )  # fmt: skip
        self.grid = nn.ModuleDict({k: nn.Conv2d(96, n, 1) for k, n in _HEADS.items()})
        self.embed = nn.Sequential(_convolution(96, 96, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                   nn.Linear(96, FEATURES), nn.ReLU())  # fmt: skip
        self.classify = nn.Linear(FEATURES, len(CLASSES))

    def forward(self, images: Tensor) -> EvaluatorOutput:
        """Return the outputs for images (batch, 3, 128, 128) in -1..1."""
        h = self.trunk(images)
        features = self.embed(h)
        maps = {name: head(h) for name, head in self.grid.items()}
        return EvaluatorOutput(features, self.classify(features), maps)


class Evaluator:
    """The trained network behind plain arrays."""

    def __init__(self, network: EvaluatorNetwork, fingerprint: str = ""):
        self.network, self.fingerprint = network.eval(), fingerprint

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Load the bundled evaluator, or one trained elsewhere.

        Raises:
            CheckpointError: missing, corrupt or another model's file.
        """
        path = path or WEIGHTS / "evaluator.safetensors"
        state, metadata = read(path)
        if metadata["class"] != "EvaluatorNetwork":
            raise CheckpointError(
                f"Weights {path} hold a {metadata['class']}, expected an EvaluatorNetwork."
            )
        return cls(fill(EvaluatorNetwork(), state, path), sha256(path))

    def features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 features (n, 64) and class logits (n, 18) of uint8 (n, 128, 128, 3)."""
        outputs = [self.network(batch) for batch in _batches(images, 128)]
        if not outputs:
            return np.zeros((0, FEATURES), np.float32), np.zeros((0, len(CLASSES)), np.float32)
        return (
            torch.cat([o.features for o in outputs]).numpy(),
            torch.cat([o.logits for o in outputs]).numpy(),
        )

    def read_scenes(self, images: np.ndarray) -> list[list[ReadObject]]:
        """Return the objects seen in each image of uint8 (n, 128, 128, 3), from left to right."""
        return [
            objects
            for batch in _batches(images, 128)
            for objects in _decode(self.network(batch).maps)
        ]


def _decode(maps: dict[str, Tensor]) -> list[list[ReadObject]]:
    """Return the objects at local maxima of the heat map."""
    heat = maps["heat"][:, 0].sigmoid()
    peaks = (heat == F.max_pool2d(heat[:, None], 3, 1, 1)[:, 0]) & (heat > _PRESENT)
    result: list[list[ReadObject]] = [[] for _ in heat]
    for i, row, column in peaks.nonzero().tolist():
        here = {name: values[i, :, row, column] for name, values in maps.items()}
        x, y = here["place"].tolist()
        named = {name: values[int(here[name].argmax())] for name, values in NAMES.items()}
        result[i].append(ReadObject(**named, x=x, y=y, confidence=float(heat[i, row, column])))
    return [sorted(objects, key=lambda o: o.x) for objects in result]


class _ScoringCLIP:
    """A CLIP behind plain arrays; images are reduced to its size by averaging."""

    filename: str
    t: int | None = None  # the timestep a noised CLIP is told: 0, its cleanest

    def __init__(self, model: Clip, fingerprint: str = ""):
        self.model, self.fingerprint = model.eval(), fingerprint
        self.logit_scale = model.logit_scale

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Load the bundled model; raise CheckpointError as `checkpoints.load_clip` does."""
        path = path or WEIGHTS / cls.filename
        return cls(load_clip(path), sha256(path))

    @torch.no_grad()
    def image_embeddings(self, images: np.ndarray) -> np.ndarray:
        """Return unit float32 (n, n_embd) embeddings of images uint8 (n, 128, 128, 3)."""
        size = self.model.config.image_size
        parts = []
        for batch in _batches(images, 128):
            small = F.avg_pool2d(batch, batch.shape[-1] // size)
            t = None if self.t is None else torch.full((len(small),), self.t)
            parts.append(self.model.image_embeddings(small, t))
        return (torch.cat(parts) if parts else torch.zeros(0, self.model.config.n_embd)).numpy()

    @torch.no_grad()
    def text_embeddings(self, captions: Sequence[str]) -> np.ndarray:
        """Return unit float32 (n, n_embd) embeddings of captions."""
        tokens, lengths = ended(WordTokenizer(), captions, self.model.config.max_text_len)
        return self.model.text_embeddings(tokens, lengths).numpy()


class CleanCLIP(_ScoringCLIP):
    """The CLIP that scores; the generator never uses it."""

    filename = "clean-clip.safetensors"


class GuidingCLIP(_ScoringCLIP):
    """The noised CLIP that guides, to show how far guidance overfits it."""

    filename = "noised-clip.safetensors"
    t = 0


@torch.no_grad()
def _batches(images: np.ndarray, size: int, batch: int = 64) -> Iterator[Tensor]:
    """uint8 (n, size, size, 3) as (≤ batch, 3, size, size) in -1..1.

    Raises:
        OptionError: another shape or dtype.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
        raise OptionError(
            f"The tabletop evaluator needs uint8 images (n, {size}, {size}, 3); found "
            f"{images.dtype} {images.shape}. Resize them, or measure with another extractor."
        )
    for i in range(0, len(images), batch):
        part = torch.from_numpy(np.ascontiguousarray(images[i : i + batch]))
        yield part.permute(0, 3, 1, 2).float() / 127.5 - 1
