"""What an inpainting fine-tune adds (GLIDE §2.4): input channels, and regions erased at random."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from generator.errors import OptionError
from generator.text_unet import TextUNet

# How often each kind of region is erased; an object to be painted anew may be of any shape.
REGIONS = {"rectangle": 0.3, "ellipse": 0.25, "strokes": 0.25, "frame": 0.1, "everything": 0.1}


def grown(model: TextUNet) -> TextUNet:
    """Return the UNet with four more input channels, masked image and mask, of zero weights.

    It predicts what `model` does until it is trained further. The new channels stand after x's
    three and, in an upsampler, before the low-resolution picture's.

    Raises:
        OptionError: the model inpaints already.
    """
    if model.config.inpaint:
        raise OptionError(
            "The model to start from inpaints already: train it on with the same kind of "
            "training, or name one without the inpainting channels."
        )
    larger = TextUNet(dataclasses.replace(model.config, inpaint=True))
    state = model.state_dict()
    first = "input_blocks.0.0.weight"
    x, rest = state[first][:, :3], state[first][:, 3:]
    state[first] = torch.cat([x, x.new_zeros(len(x), 4, *x.shape[2:]), rest], dim=1)
    larger.load_state_dict(state)
    return larger.train(model.training)


def known_regions(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Draw a mask per picture with a region erased at random (kinds and shares in `REGIONS`).

    Args:
        rng: decides everything.
        count: masks.
        size: their width and height.

    Returns:
        float32 (count, 1, size, size): 1 is known, 0 is to be painted.
    """
    kinds, shares = list(REGIONS), list(REGIONS.values())
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    v, u = np.meshgrid(axis, axis, indexing="ij")
    masks = np.empty((count, 1, size, size), np.float32)
    for mask in masks:
        erased = _erased(kinds[rng.choice(len(kinds), p=shares)], u, v, rng)
        mask[0] = ~erased
    return masks


def _erased(kind: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where a picture is erased: bool like u and v, coordinates in 0..1."""
    if kind == "everything":
        return np.ones_like(u, bool)
    if kind == "strokes":
        return _strokes(u, v, rng)
    cu, cv = rng.uniform(0.1, 0.9, 2)
    half_u, half_v = rng.uniform(0.1, 0.5, 2)
    du, dv = np.abs(u - cu) / half_u, np.abs(v - cv) / half_v
    if kind == "ellipse":
        return du**2 + dv**2 <= 1
    inside = np.maximum(du, dv) <= 1
    return ~inside if kind == "frame" else inside


def _strokes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one to three free-form strokes of a round brush, as a person erases."""
    erased = np.zeros_like(u, bool)
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(0.04, 0.14)
        place, heading = rng.uniform(0.1, 0.9, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(2, 7)):
            heading += rng.uniform(-1.2, 1.2)
            step = rng.uniform(0.1, 0.3) * np.array([np.cos(heading), np.sin(heading)])
            erased |= _near_segment(u - place[0], v - place[1], step, radius)
            place = np.clip(place + step, 0, 1)
    return erased


def _near_segment(u: np.ndarray, v: np.ndarray, step: np.ndarray, radius: float) -> np.ndarray:
    """Return the places at most `radius` away from the segment from the origin to `step`."""
    along = np.clip((u * step[0] + v * step[1]) / (step @ step), 0, 1)
    return (u - along * step[0]) ** 2 + (v - along * step[1]) ** 2 <= radius**2
