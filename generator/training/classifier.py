"""Training of the noised scene classifier that shows classifier guidance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.diffusion import Diffusion
from generator.tabletop.classifier import SceneClassifier, present
from generator.tabletop.dataset import reference_images, scene
from generator.tabletop.scenes import Scene, held_out

from .loop import Schedule, train

SCHEDULE = Schedule(steps=800, lr=2e-3, warmup=50, decay_from=0.2, ema=0.99, seed=17)
BATCH = 64
SHOWN = (0, 250, 500, 750)  # steps at which accuracy is told
UNSEEN = 990_002  # a seed no training scene was drawn from


def train_classifier(
    images: np.ndarray, scenes: list[Scene], work: Path, device: str, schedule: Schedule = SCHEDULE,
    identity: dict[str, Any] | None = None,
) -> SceneClassifier:  # fmt: skip
    """Train by binary cross-entropy of each pair's presence in x_t, with t uniform.

    Args:
        images: uint8 (n, 32, 32, 3).
        scenes: what they show.
        work: where the checkpoint is kept; training goes on from one that is there.
        device: a torch device.
        schedule: how long and how fast.
        identity: what must be the same when training goes on, as in `loop.train`.
    """
    torch.manual_seed(0)
    model = SceneClassifier().to(device)
    diffusion = Diffusion("squaredcos_cap_v2")
    labels = torch.stack([present(s) for s in scenes])

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        rows = rng.integers(len(images), size=BATCH)
        x = _scaled(images[rows]).to(device)
        t = torch.randint(1000, (BATCH,), generator=torch_rng, device=device)
        noise = torch.randn(x.shape, generator=torch_rng, device=device)
        logits = model(diffusion.q_sample(x, t, noise), t)
        return F.binary_cross_entropy_with_logits(logits, labels[rows].to(device))

    train(model, loss, schedule, work / "classifier.pt", identity=identity)
    return model


@torch.no_grad()
def accuracy(model: SceneClassifier, count: int = 300) -> dict[str, float]:
    """Return the share of unseen scenes whose pairs are all named right, by step (`t = 250`)."""
    seen = [i for i in range(3 * count) if not held_out(scene(UNSEEN, i))][:count]
    images = np.concatenate([reference_images(1, UNSEEN, i)[0] for i in seen])
    x = F.avg_pool2d(_scaled(images), images.shape[1] // model.image_size)
    labels = torch.stack([present(scene(UNSEEN, i)) for i in seen]).bool()
    rng, diffusion, result = torch.Generator().manual_seed(0), Diffusion("squaredcos_cap_v2"), {}
    for step in SHOWN:
        t = torch.full((len(x),), step)
        x_t = diffusion.q_sample(x, t, torch.randn(x.shape, generator=rng))
        right = (model(x_t, t) > 0) == labels
        result[f"t = {step}"] = round(float(right.all(1).float().mean()), 3)
    return result


def _scaled(images: np.ndarray) -> Tensor:
    """uint8 (n, h, w, 3) to (n, 3, h, w) in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
