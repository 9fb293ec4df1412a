"""The recipes of the bundled miniature: `python -m generator.training.tabletop MODEL --data DIR
--work DIR`.

Data comes from `python -m generator.tabletop.dataset`. Each recipe stops and resumes at will and
writes its model to `WORK/MODEL.safetensors`, fp16, with config, schedule and final loss in its
metadata.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from generator.checkpoints import load_unet, save
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.diffusion import Diffusion
from generator.tabletop.captions import describe
from generator.tabletop.classifier import SceneClassifier
from generator.tabletop.dataset import RenderedScenes
from generator.tabletop.scenes import Scene, held_out
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import ended, padded

from .autoencoder import BATCH as AUTOENCODER_BATCH
from .autoencoder import SCHEDULE as AUTOENCODER_SCHEDULE
from .autoencoder import train_autoencoder, unseen_psnr
from .captions import Captions, Parser, parsing_loss
from .classifier import BATCH as CLASSIFIER_BATCH
from .classifier import SCHEDULE as CLASSIFIER_SCHEDULE
from .classifier import accuracy, train_classifier
from .evaluator import BATCH as EVALUATOR_BATCH
from .evaluator import SCHEDULE as EVALUATOR_SCHEDULE
from .evaluator import train_evaluator
from .inpainting import grown, known_regions
from .kinds import Batch, clip_loss, unet_loss
from .loop import Schedule, train

_SMALL: dict[str, Any] = {
    "norm_groups": 8,
    "text_ctx": 32,
    "xf_width": 128,
    "xf_layers": 2,
    "xf_heads": 4,
    "n_vocab": 48,
}
BASE = UNetConfig(
    image_size=32, num_channels=32, num_res_blocks=1, channel_mult=(1, 2, 4), dropout=0.0,
    attention_resolutions=(16, 8), num_head_channels=32, **_SMALL,
)  # fmt: skip
UPSAMPLE = UNetConfig(
    image_size=128, num_channels=32, num_res_blocks=1, channel_mult=(1, 1, 2, 2), dropout=0.0,
    attention_resolutions=(16,), num_head_channels=32, super_res=True, noise_schedule="linear",
    **_SMALL,
)  # fmt: skip
NOISED_CLIP = ClipConfig(
    image_size=32, patch_size=4, n_vocab=48, max_text_len=32, n_embd=64,
    n_head_text=4, n_head_state_text=32, n_xf_blocks_text=2,
    n_head_image=4, n_head_state_image=32, n_xf_blocks_image=4, logit_scale=30.0,
)  # fmt: skip
CLEAN_CLIP = dataclasses.replace(
    NOISED_CLIP, image_size=64, patch_size=8, n_timesteps=0, n_head_state_image=40, n_embd=80
)

UPSAMPLED = 8000  # pictures at most that the upsampler learns from: they stay in memory
EMPTY_CAPTIONS = 0.2  # share of captions emptied in classifier-free fine-tuning (GLIDE §2.2)


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; the last six are a UNet's alone.

    Attributes:
        schedule: steps and their rates.
        batch: pictures, or captions, a step.
        start: the recipe it goes on from; None for random weights.
        empty_captions: share of captions emptied.
        max_weight: cap of the loss's 1/SNR weight (`losses.diffusion_loss`).
        noise_spread: relative standard deviation of the noise's strength about what t says
            (`kinds.unet_loss`).
        pairs: how many times as often as others scenes of two objects are drawn.
        late: whether t is drawn in proportion to itself (`kinds.unet_loss`).
    """

    schedule: Schedule
    batch: int
    start: str | None = None
    empty_captions: float = 0.0
    max_weight: float = 1.0
    noise_spread: float = 0.0
    pairs: float = 1.0
    late: bool = False


def _muon(steps: int, lr: float, seed: int, **options: Any) -> Schedule:
    options = {"warmup": 20, "weight_decay": 0.03, **options}
    return Schedule(steps=steps, lr=lr, seed=seed, optimiser="muon", **options)


_fine = partial(Recipe, batch=32, empty_captions=EMPTY_CAPTIONS, max_weight=40.0)

RECIPES = {
    "text": Recipe(_muon(1500, 8e-3, 20, warmup=30, weight_decay=0.01, ema=0.99), 64),
    "base": Recipe(_muon(2400, 8e-3, 21, warmup=100, decay_from=1.0), 32, "text", max_weight=40.0),
    "base-cfg": _fine(_muon(1800, 5e-3, 22), start="base"),
    "base-again": _fine(_muon(1000, 4e-3, 25), start="base-cfg"),
    "base-steady": _fine(_muon(3000, 5e-3, 26), start="base-again", noise_spread=0.05),
    "base-pairs": _fine(
        _muon(2600, 5e-3, 28), start="base-steady", noise_spread=0.05, pairs=3.0, late=True
    ),
    "base-more-pairs": _fine(
        _muon(3000, 5e-3, 29), start="base-pairs", noise_spread=0.05, pairs=4.0, late=True
    ),
    "base-inpaint": _fine(
        _muon(400, 3e-3, 24, warmup=30), start="base-steady", max_weight=20.0, noise_spread=0.05
    ),
    "upsample": Recipe(_muon(4000, 6e-3, 23, warmup=100, decay_from=0.6), 16, max_weight=20.0),
    "upsample-steady": Recipe(
        _muon(400, 2e-3, 27), 16, "upsample", max_weight=20.0, noise_spread=0.05
    ),
    "noised-clip": Recipe(Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=14), 96),
    "clean-clip": Recipe(Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=15), 96),
    "evaluator": Recipe(EVALUATOR_SCHEDULE, EVALUATOR_BATCH),
    "classifier": Recipe(CLASSIFIER_SCHEDULE, CLASSIFIER_BATCH),
    "autoencoder": Recipe(AUTOENCODER_SCHEDULE, AUTOENCODER_BATCH),
}


class Data:
    """Images of one size in memory, each with its scene."""

    def __init__(self, folder: Path, size: int, training: bool, limit: int | None = None):
        rendered = RenderedScenes(folder, seed=1)
        keep = [not (training and held_out(scene)) for scene in rendered.scenes]
        self.images = rendered.load(keep, size)[:limit]
        self.scenes: list[Scene] = [
            s for s, kept in zip(rendered.scenes, keep, strict=True) if kept
        ][:limit]
        self._two = np.array([len(scene.objects) == 2 for scene in self.scenes])

    def batch(
        self, rng: np.random.Generator, size: int, pairs: float = 1.0
    ) -> tuple[Tensor, list[str], np.ndarray]:
        """Images (size, 3, h, w) in -1..1, a fresh caption each, and their indices; scenes of two
        objects `pairs` times as often as others.
        """
        if pairs == 1:
            chosen = rng.integers(len(self.images), size=size)
        else:
            weights = np.where(self._two, pairs, 1.0)
            chosen = rng.choice(len(self.images), size, p=weights / weights.sum())
        pictures = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
        captions = [describe(self.scenes[i], rng) for i in chosen]
        return pictures, captions, chosen


def train_unet(name: str, data: Data, model: TextUNet, work: Path, device: str) -> None:
    """Base, its fine-tunes, or the upsampler on crops; the model is left with averaged weights."""
    tokenizer, config, recipe = WordTokenizer(), model.config, RECIPES[name]
    diffusion = Diffusion(config.noise_schedule)
    # On a CPU without matrix units, convolutions this narrow are slower under autocast.
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        x, captions, _ = data.batch(rng, recipe.batch, recipe.pairs)
        captions = ["" if rng.random() < recipe.empty_captions else c for c in captions]
        low_res = known = None
        if config.super_res:
            x, low_res = _crops(x, rng)
        if config.inpaint:
            known = torch.from_numpy(known_regions(rng, len(x), x.shape[-1]))
        tokens, mask = padded(tokenizer, captions, config.text_ctx)
        batch = Batch(x, tokens, mask, low_res, known).to(torch.device(device))
        return unet_loss(
            model, diffusion, batch, torch_rng, dtype,
            recipe.max_weight, recipe.noise_spread, recipe.late,
        )  # fmt: skip

    model.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train(model, loss, recipe.schedule, work / f"{name}.pt")


def _crops(x: Tensor, rng: np.random.Generator, size: int = 64) -> tuple[Tensor, Tensor]:
    """A random crop of each picture at full and at a quarter resolution.

    The low-resolution picture is averaged and quantised to 8 bits, as at sampling time, then a
    little noise and blur make the upsampler forgive the base model's faults (GLIDE §2.1 blurs
    likewise).
    """
    crops = []
    for picture in x:
        top, left = (4 * int(rng.integers((x.shape[-1] - size) // 4 + 1)) for _ in range(2))
        crops.append(picture[:, top : top + size, left : left + size])
    x = torch.stack(crops)
    low = torch.nn.functional.avg_pool2d(x, 4)
    strength = torch.from_numpy(rng.uniform(0, 0.06, (len(x), 1, 1, 1)).astype(np.float32))
    low = low + strength * torch.from_numpy(rng.standard_normal(low.shape, dtype=np.float32))
    return x, ((low.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def train_clip(name: str, data: Data, model: Clip, work: Path, device: str) -> None:
    """The noised CLIP (sees x_t and t of the base model's schedule) or the clean one."""
    tokenizer, config, recipe = WordTokenizer(), model.config, RECIPES[name]
    diffusion = Diffusion("squaredcos_cap_v2")

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        x, captions, _ = data.batch(rng, recipe.batch)
        batch = Batch(x, *ended(tokenizer, captions, config.max_text_len)).to(torch.device(device))
        return clip_loss(model, diffusion, batch, torch_rng)

    train(model.to(device), loss, recipe.schedule, work / f"{name}.pt")


def _text(data: Path, work: Path, device: str) -> None:
    """A base model that reads, and draws as well as what it starts from: `start.safetensors` in the
    work folder, or a new one.
    """
    torch.manual_seed(0)
    start = work / "start.safetensors"
    model = load_unet(start).requires_grad_(True) if start.exists() else TextUNet(BASE)
    captions, recipe = Captions(), RECIPES["text"]
    parser = Parser(model).to(device)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        return parsing_loss(parser, captions.batch(rng, recipe.batch), BASE.text_ctx)

    train(parser, loss, recipe.schedule, work / "text.pt")
    _save("text", work, model)


def _unet(name: str, config: UNetConfig = BASE) -> Callable[[Path, Path, str], None]:
    """A UNet, going on from the recipe's start, or new and of this config."""

    def make(data: Path, work: Path, device: str) -> None:
        start = RECIPES[name].start
        if start is None:
            torch.manual_seed(0)
            model = TextUNet(config)
        else:
            model = load_unet(work / f"{start}.safetensors").requires_grad_(True)
        if name == "base-inpaint":
            model = grown(model).requires_grad_(True)
        pictures = Data(data, config.image_size, True, UPSAMPLED if config.super_res else None)
        train_unet(name, pictures, model, work, device)
        _save(name, work, model)

    return make


def _evaluator(data: Path, work: Path, device: str) -> None:
    everything = Data(data, 128, training=False)
    network = train_evaluator(everything.images, everything.scenes, work, device)
    _save("evaluator", work, network)


def _classifier(data: Path, work: Path, device: str) -> None:
    pictures = Data(data, SceneClassifier.image_size, training=True)
    model = train_classifier(pictures.images, pictures.scenes, work, device).cpu()
    _save("classifier", work, model, {"exact": accuracy(model)})


def _autoencoder(data: Path, work: Path, device: str) -> None:
    images = Data(data, 128, training=False, limit=4000).images
    network = train_autoencoder(images, work, device=device).cpu()
    _save("autoencoder", work, network, {"psnr_unseen": unseen_psnr(network)})


def _clip(name: str, config: ClipConfig, training: bool) -> Callable[..., None]:
    def make(data: Path, work: Path, device: str) -> None:
        torch.manual_seed(0)
        model = Clip(config)
        train_clip(name, Data(data, config.image_size, training), model, work, device)
        _save(name, work, model)

    return make


def _save(
    name: str,
    work: Path,
    model: nn.Module,
    reached: dict[str, float | dict[str, float]] | None = None,
) -> None:
    state = torch.load(work / f"{name}.pt", weights_only=True)
    notes = {**dataclasses.asdict(RECIPES[name]),
             "steps_done": state["step"], "final_loss": state["history"][-1][1],
             **(reached or {})}  # fmt: skip
    config = model.config if isinstance(model, TextUNet | Clip) else None
    save(work / f"{name}.safetensors", model.to("cpu"), config, notes)


MAKERS: dict[str, Callable[[Path, Path, str], None]] = {
    "text": _text,
    **{name: _unet(name) for name in RECIPES if name.startswith("base")},
    "upsample": _unet("upsample", UPSAMPLE),
    "upsample-steady": _unet("upsample-steady", UPSAMPLE),
    "noised-clip": _clip("noised-clip", NOISED_CLIP, True),
    "evaluator": _evaluator,
    "clean-clip": _clip("clean-clip", CLEAN_CLIP, False),
    "classifier": _classifier,
    "autoencoder": _autoencoder,
}


def main() -> None:
    """Train one model of the miniature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(MAKERS))
    parser.add_argument("--data", type=Path, required=True, help="folder of rendered shards")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    MAKERS[options.model](options.data, options.work, options.device)


if __name__ == "__main__":
    main()
