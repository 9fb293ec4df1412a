"""Training of the tabletop evaluator: object detection on a grid, and naming the largest object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.tabletop.evaluator import CLASSES, GRID, NAMES, EvaluatorNetwork, EvaluatorOutput
from generator.tabletop.render import EYE, project
from generator.tabletop.scenes import Scene

from .loop import Schedule, train

SCHEDULE = Schedule(steps=2400, lr=2e-3, decay_from=0.1, seed=16)
BATCH = 32


class Targets:
    """What the network should say of each scene, as arrays: at most three objects per image."""

    def __init__(self, scenes: list[Scene]):
        n = len(scenes)
        self.present = np.zeros((n, 3), bool)
        self.cell = np.zeros((n, 3, 2), np.int64)
        self.centre = np.zeros((n, 3, 2), np.float32)
        self.place = np.zeros((n, 3, 2), np.float32)
        self.attribute = {name: np.zeros((n, 3), np.int64) for name in NAMES}
        self.largest = np.zeros(n, np.int64)
        for i, scene in enumerate(scenes):
            for j, o in enumerate(scene.objects):
                u, v = project(o.x, o.y, o.radius)
                self.present[i, j] = True
                self.centre[i, j] = (v * GRID - 0.5, u * GRID - 0.5)
                self.cell[i, j] = np.clip((v * GRID, u * GRID), 0, GRID - 1)
                self.place[i, j] = (o.x, o.y)
                for name, values in NAMES.items():
                    self.attribute[name][i, j] = values.index(getattr(o, name))
            self.largest[i] = CLASSES.index(_largest(scene))


def _largest(scene: Scene) -> str:
    """Return colour and shape of the object that looks largest, by radius over distance."""

    def apparent(i: int) -> float:
        o = scene.objects[i]
        return o.radius / float(np.linalg.norm(np.subtract((o.x, o.y, o.radius), EYE)))

    o = scene.objects[max(range(len(scene.objects)), key=apparent)]
    return f"{o.color} {o.shape}"


def evaluator_loss(output: EvaluatorOutput, targets: Targets, rows: np.ndarray) -> Tensor:
    """Return focal loss of the heat map (Zhou et al. 2019, eq. 1) plus the losses at centres.

    At each object's centre these are cross-entropies of its attributes and the error of its place.
    """
    device = output.logits.device
    present = torch.from_numpy(targets.present[rows]).to(device)
    heat = output.maps["heat"][:, 0]
    wanted = _heat(targets, rows).to(device)
    log_p, log_q = F.logsigmoid(heat), F.logsigmoid(-heat)
    p = heat.sigmoid()
    positive = wanted == 1
    focal = torch.where(
        positive, -((1 - p) ** 2) * log_p, -((1 - wanted) ** 4) * p**2 * log_q
    ).sum() / present.sum().clamp(min=1)
    image, slot = present.nonzero(as_tuple=True)
    cells = torch.from_numpy(targets.cell[rows]).to(device)[image, slot]
    at = {k: m[image, :, cells[:, 0], cells[:, 1]] for k, m in output.maps.items()}
    total = focal + F.cross_entropy(
        output.logits, torch.from_numpy(targets.largest[rows]).to(device)
    )
    for name in NAMES:
        label = torch.from_numpy(targets.attribute[name][rows]).to(device)[image, slot]
        total = total + F.cross_entropy(at[name], label)
    place = torch.from_numpy(targets.place[rows]).to(device)[image, slot]
    return total + F.l1_loss(at["place"], place)


def _heat(targets: Targets, rows: np.ndarray) -> Tensor:
    """Return a map that is 1 at each object's cell and falls off as a Gaussian of 0.8 cells."""
    axis = np.arange(GRID, dtype=np.float32)
    centre = targets.centre[rows]  # (batch, 3, 2)
    dv = axis[None, None, :] - centre[..., :1]
    du = axis[None, None, :] - centre[..., 1:]
    heat = np.exp(-(dv[..., :, None] ** 2 + du[..., None, :] ** 2) / (2 * 0.8**2)) * 0.99
    heat = (heat * targets.present[rows][..., None, None]).max(1)
    image, slot = targets.present[rows].nonzero()
    cells = targets.cell[rows][image, slot]
    heat[image, cells[:, 0], cells[:, 1]] = 1
    return torch.from_numpy(heat.astype(np.float32))


def degrade(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Add a little noise to a third of the images and blur a third, to read imperfect ones."""
    strength = rng.uniform(0, 0.08, (len(x), 1, 1, 1)) * (rng.random((len(x), 1, 1, 1)) < 0.33)
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    blurred = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    blur = torch.from_numpy((rng.random((len(x), 1, 1, 1)) < 0.33).astype(np.float32)).to(x)
    x = x + blur * (blurred - x)
    return x + torch.from_numpy(strength.astype(np.float32) * noise).to(x)


def train_evaluator(
    images: np.ndarray, scenes: list[Scene], work: Path, device: str,
    identity: dict[str, Any] | None = None,
) -> EvaluatorNetwork:  # fmt: skip
    """Train on uint8 images (n, 128, 128, 3) of these scenes; `identity` as in `loop.train`."""
    torch.manual_seed(0)
    model = EvaluatorNetwork().to(device)
    targets = Targets(scenes)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        rows = rng.integers(len(images), size=BATCH)
        x = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        x = degrade(x, rng).to(device, memory_format=torch.channels_last)
        return evaluator_loss(model(x), targets, rows)

    train(model, loss, SCHEDULE, work / "evaluator.pt", identity=identity)
    return model
