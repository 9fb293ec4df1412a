"""What the miniature's base model makes of a caption: `python -m benchmarks.reading [FILE]`.

On unseen scenes of two objects, how much the squared error of x_0 rises, at several noise levels,
when the model is told another caption than the true one. A model that reads is worse off when
colours or shapes are swapped; one that only knows which words occur is not.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.checkpoints import load_unet
from generator.diffusion import Diffusion
from generator.tabletop.captions import Claim, describe, parse
from generator.tabletop.dataset import scene
from generator.tabletop.render import render
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import padded
from generator.weight_files import WEIGHTS

UNSEEN = 990_777  # a seed no training scene was drawn from
STEPS = (600, 750, 850)


def other_captions(caption: str) -> dict[str, str]:
    """What is told in place of a caption of two objects."""
    claim = parse(caption)
    assert claim is not None
    first, second = claim.mentions
    told = {"nothing": "", "the first object alone": str(first)}
    for name in ("color", "shape"):
        swapped = (
            dataclasses.replace(first, **{name: getattr(second, name)}),
            dataclasses.replace(second, **{name: getattr(first, name)}),
        )
        told[f"{name}s swapped"] = str(Claim(swapped, claim.relation))
    return told


def errors(model: TextUNet, x: Tensor, captions: list[str], t: int) -> np.ndarray:
    """Squared error of x_0 of each picture at step t, on noise that depends on t alone: (n,)."""
    diffusion, steps = Diffusion(model.config.noise_schedule), torch.full((len(x),), t)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(t))
    tokens, mask = padded(WordTokenizer(), captions, model.config.text_ctx)
    output = model(diffusion.q_sample(x, steps, noise), steps, model.condition(tokens, mask))
    alpha_bar = diffusion.alpha_bar[t]
    of_eps = (output[:, :3] - noise).square().mean((1, 2, 3)).double().numpy()
    return of_eps * (1 - alpha_bar) / alpha_bar


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=WEIGHTS / "base.safetensors")
    parser.add_argument("--scenes", type=int, default=64)
    options = parser.parse_args()
    model = load_unet(options.model)
    scenes = [scene(UNSEEN, i, "train", 2) for i in range(options.scenes)]
    pictures = torch.cat([render(scenes[i : i + 16]) for i in range(0, len(scenes), 16)])
    x = F.avg_pool2d(
        pictures.permute(0, 3, 1, 2).float() / 127.5 - 1, 128 // model.config.image_size
    )
    captions = [describe(s, np.random.default_rng([7, i])) for i, s in enumerate(scenes)]
    told = [other_captions(caption) for caption in captions]
    for t in STEPS:
        true = errors(model, x, captions, t)
        print(f"t = {t}: squared error of x_0 {true.mean():.5f}; more of it when told")
        for what in told[0]:
            other = [others[what] for others in told]
            differs = np.array([a != b for a, b in zip(other, captions, strict=True)])
            rise = (errors(model, x, other, t) - true)[differs]
            se = rise.std(ddof=1) / np.sqrt(len(rise))
            print(f"    {what:24s} {rise.mean():+.5f} ± {1.96 * se:.5f}")


if __name__ == "__main__":
    main()
