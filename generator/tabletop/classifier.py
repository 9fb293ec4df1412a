"""A noised classifier of tabletop pictures: it tells which of 18 colour-shape pairs are in x_t.

It guides as in Dhariwal & Nichol 2021 §4: its gradient of log p(y | x_t) is a `cond_fn` like any
other. It takes no part in judging pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.checkpoints import WEIGHTS, fill, read
from generator.errors import CheckpointError, OptionError
from generator.layers import GroupNorm32, timestep_embedding, zeroed
from generator.steps import beside

from .captions import parse
from .evaluator import CLASSES
from .scenes import Scene

FILE = "classifier.safetensors"
_GROUPS = 8  # as in the miniature's base model: a group of one channel would erase its mean


class _Residual(nn.Module):
    """Two convolutions; the timestep scales and shifts the second norm."""

    def __init__(self, channels: int, out: int, embedding: int):
        super().__init__()
        self.first = nn.Sequential(
            GroupNorm32(_GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.film = nn.Linear(embedding, 2 * out)
        self.norm = GroupNorm32(_GROUPS, out)
        self.second = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.film(embedding)[..., None, None].chunk(2, dim=1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(F.silu(h))


class SceneClassifier(nn.Module):
    """Gives the logits that each colour-shape pair is somewhere in a noised 32 px picture.

    Each cell of an 8 x 8 grid votes; a soft maximum over cells is the picture's logit, so the
    gradient acts where the object is, or might be.
    """

    image_size = 32
    _WIDTH = 64

    def __init__(self) -> None:
        super().__init__()
        width, embedding = self._WIDTH, 4 * self._WIDTH
        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU())
        self.stem = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.fine = nn.ModuleList([_Residual(width, width, embedding)])
        self.coarse = nn.ModuleList(
            [_Residual(width, 2 * width, embedding), _Residual(2 * width, 2 * width, embedding)]
        )
        self.head = nn.Sequential(
            GroupNorm32(_GROUPS, 2 * width), nn.SiLU(), nn.Conv2d(2 * width, len(CLASSES), 1)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return logits in the order of `evaluator.CLASSES`.

        Args:
            x: (batch, 3, 32, 32), a picture in -1..1 noised by the base model's schedule.
            t: (batch,) of 0..999.

        Returns:
            (batch, 18).
        """
        embedding = self.time_embed(timestep_embedding(t, self._WIDTH))
        h = self.stem(x)
        for block in self.fine:
            h = block(h, embedding)
        h = F.avg_pool2d(h, 2)
        for block in self.coarse:
            h = block(h, embedding)
        return self.head(h).flatten(2).logsumexp(-1)

    def gradient(
        self, captions: Sequence[str], scale: float | Tensor
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Return s ∇_x Σ log p(pair | x_t) over a caption's pairs: guidance to its objects.

        Args:
            captions: of the tabletop grammar.
            scale: s, one or (batch,).

        Returns:
            `cond_fn(x, t)`: (batch, 3, 32, 32) and (batch,) to a gradient like x.

        Raises:
            OptionError: a caption that is not of the grammar names no class.
        """
        place = self.stem.weight.device
        named = torch.stack([_named(caption) for caption in captions]).to(place)
        weight = torch.as_tensor(scale, dtype=torch.float32).to(place).expand(len(named))

        def cond_fn(x: Tensor, t: Tensor) -> Tensor:
            with torch.enable_grad():
                x = x.detach().requires_grad_(True)
                log_p = (F.logsigmoid(self(x, beside(t, x))) * named).sum(-1)
                return torch.autograd.grad((weight * log_p).sum(), x)[0]

        return cond_fn


def load_classifier(path: Path | None = None) -> SceneClassifier:
    """Load the bundled classifier, or one trained elsewhere, in eval mode on the CPU.

    Raises:
        CheckpointError: missing, corrupt or another model's file.
    """
    path = path or WEIGHTS / FILE
    state, metadata = read(path)
    if metadata["class"] != "SceneClassifier":
        raise CheckpointError(
            f"Weights {path} hold a {metadata['class']}, expected a SceneClassifier. "
            "Name another file."
        )
    return fill(SceneClassifier(), state, path)


def present(scene: Scene) -> Tensor:
    """Return which pairs a scene holds: float32 (18,), 0 or 1."""
    return _marked([f"{o.color} {o.shape}" for o in scene.objects])


def _named(caption: str) -> Tensor:
    claim = parse(caption)
    if claim is None:
        raise OptionError(
            f"Classifier guidance can't read the caption {caption!r}: expected the tabletop "
            'grammar, such as "a red cube to the left of a small blue cone". Use such captions, '
            "or another strategy."
        )
    return _marked([f"{m.color} {m.shape}" for m in claim.mentions])


def _marked(names: Sequence[str]) -> Tensor:
    marks = torch.zeros(len(CLASSES))
    marks[[CLASSES.index(name) for name in names]] = 1
    return marks
