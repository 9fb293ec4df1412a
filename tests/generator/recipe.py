"""The golden data's weight and input recipe: numpy and an entry's name fix every value."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

GOLDEN = Path(__file__).parent / "golden"
_EMBEDDINGS = ("positional_embedding", "padding_embedding", "token_embedding.weight",
               "w_voc", "w_pos", "w_t", "pred_state")  # fmt: skip


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def entry(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    z = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if name.endswith(_EMBEDDINGS):
        return z * np.float32(0.02)
    if len(shape) >= 2:
        return z * np.float32(1 / math.sqrt(math.prod(shape[1:])))
    if name.endswith(("weight", ".g")):
        return np.float32(1) + np.float32(0.02) * z
    return np.float32(0.02) * z


def with_recipe_weights(module: nn.Module) -> nn.Module:
    state = {
        name: torch.from_numpy(entry(name, tuple(value.shape)))
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def random_input(seed: int, shape: tuple[int, ...], scale: float = 1.0) -> torch.Tensor:
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))


class Draws:
    """The reference's noise: every draw takes the next normals of one generator."""

    def __init__(self, seed: int):
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def __call__(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(self._rng.standard_normal(shape, dtype=np.float32))
