"""Training of the tabletop autoencoder, which softens an arm's images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.tabletop.autoencoder import STRIDE, Autoencoder, AutoencoderNetwork
from generator.tabletop.dataset import reference_images

from .loop import Schedule, train

SCHEDULE = Schedule(steps=2500, lr=2e-3, decay_from=0.3, weight_decay=0.0, seed=17)
BATCH = 16
CROP = 64
UNSEEN_SEED = 1_000_017  # a stream of scenes that no model was trained on


def train_autoencoder(
    images: np.ndarray, work: Path, schedule: Schedule = SCHEDULE, device: str = "cpu",
    identity: dict[str, Any] | None = None,
) -> AutoencoderNetwork:  # fmt: skip
    """Train on random crops of uint8 images (n, h, w, 3), mirrored half of the time.

    The loss is the mean absolute error, the likelihood of a Laplace distribution of one width (its
    logistic cousin is DALL-E's, Ramesh et al. 2021, appendix A.3). `identity` as in `loop.train`.
    """
    torch.manual_seed(0)
    network = AutoencoderNetwork().to(device)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        crops = torch.from_numpy(_crops(images, rng)).to(device)
        x = crops.permute(0, 3, 1, 2).float() / 127.5 - 1
        return F.l1_loss(network(x), x)

    train(network, loss, schedule, work / "autoencoder.pt", identity=identity)
    return network


def psnr(images: np.ndarray, others: np.ndarray) -> float:
    """Return the mean peak signal-to-noise ratio in dB of uint8 images (n, h, w, 3) and others."""
    error = (images.astype(np.float64) - others) ** 2
    return float(np.mean(10 * np.log10(255**2 / error.mean(axis=(1, 2, 3)))))


def unseen_psnr(network: AutoencoderNetwork, count: int = 200) -> float:
    """Return the mean PSNR, in dB, of the reconstructions of unseen pictures."""
    unseen, _ = reference_images(count, UNSEEN_SEED)
    return psnr(unseen, Autoencoder(network).reconstruct(unseen))


def _crops(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut uint8 (BATCH, CROP, CROP, 3) anywhere, so that the network learns no grid of blocks."""
    side = min(CROP, images.shape[1] // STRIDE * STRIDE)
    crops = []
    for index in rng.integers(len(images), size=BATCH):
        top, left = rng.integers(images.shape[1] - side + 1, size=2)
        crop = images[index, top : top + side, left : left + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(crops)
