"""Training of the tabletop autoencoder: `python -m generator.training.autoencoder --data DIR
--work DIR`.

Data comes from `python -m generator.tabletop.dataset DIR --shards 0:8`. It stops and resumes at
will and writes `WORK/autoencoder.safetensors` with what it reached in its metadata.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.checkpoints import save
from generator.tabletop.autoencoder import STRIDE, Autoencoder, AutoencoderNetwork
from generator.tabletop.dataset import RenderedScenes, reference_images

from .loop import Schedule, train

SCHEDULE = Schedule(steps=2500, lr=2e-3, decay_from=0.3, weight_decay=0.0, seed=17)
BATCH = 16
CROP = 64
UNSEEN_SEED = 1_000_017  # a stream of scenes that no model was trained on


def train_autoencoder(
    images: np.ndarray, work: Path, schedule: Schedule = SCHEDULE, device: str = "cpu"
) -> AutoencoderNetwork:
    """Train on random crops of uint8 images (n, h, w, 3), mirrored half of the time.

    The loss is the mean absolute error, the likelihood of a Laplace distribution of one width (its
    logistic cousin is DALL-E's, Ramesh et al. 2021, appendix A.3).
    """
    torch.manual_seed(0)
    network = AutoencoderNetwork().to(device)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        crops = torch.from_numpy(_crops(images, rng)).to(device)
        x = crops.permute(0, 3, 1, 2).float() / 127.5 - 1
        return F.l1_loss(network(x), x)

    train(network, loss, schedule, work / "autoencoder.pt")
    return network


def psnr(images: np.ndarray, others: np.ndarray) -> float:
    """Mean peak signal-to-noise ratio in dB of uint8 images (n, h, w, 3) against others."""
    error = (images.astype(np.float64) - others) ** 2
    return float(np.mean(10 * np.log10(255**2 / error.mean(axis=(1, 2, 3)))))


def _crops(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (BATCH, CROP, CROP, 3): places anywhere, so that no grid of blocks is learned."""
    side = min(CROP, images.shape[1] // STRIDE * STRIDE)
    crops = []
    for index in rng.integers(len(images), size=BATCH):
        top, left = rng.integers(images.shape[1] - side + 1, size=2)
        crop = images[index, top : top + side, left : left + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(crops)


def _notes(network: AutoencoderNetwork, work: Path, pictures: int) -> dict[str, Any]:
    """What the weights file says of itself."""
    state = torch.load(work / "autoencoder.pt", weights_only=True)
    unseen, _ = reference_images(200, UNSEEN_SEED)
    return {
        "schedule": dataclasses.asdict(SCHEDULE),
        "batch": BATCH,
        "pictures": pictures,
        "steps_done": state["step"],
        "final_loss": state["history"][-1][1],
        "psnr_unseen": psnr(unseen, Autoencoder(network).reconstruct(unseen)),
    }


def main() -> None:
    """Train the autoencoder of the miniature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of rendered shards")
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and result")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    images = RenderedScenes(options.data, seed=1).load()
    network = train_autoencoder(images, options.work, device=options.device).to("cpu")
    notes = _notes(network, options.work, len(images))
    save(options.work / "autoencoder.safetensors", network, None, notes)
    print(f"PSNR of 200 unseen pictures: {notes['psnr_unseen']:.2f} dB")


if __name__ == "__main__":
    main()
