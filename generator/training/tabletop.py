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

# fmt: off
SCHEDULES = {
    "text": Schedule(
        steps=1500, lr=8e-3, warmup=30, ema=0.99, seed=20, optimiser="muon",
    ),
    "base": Schedule(
        steps=2400, lr=8e-3, warmup=100, decay_from=1.0, weight_decay=0.03, seed=21,
        optimiser="muon",
    ),
    "base-cfg": Schedule(
        steps=1800, lr=5e-3, warmup=20, weight_decay=0.03, seed=22,
        optimiser="muon",
    ),
    "base-again": Schedule(
        steps=1000, lr=4e-3, warmup=20, weight_decay=0.03, seed=25, optimiser="muon",
    ),
    "base-steady": Schedule(
        steps=3000, lr=5e-3, warmup=20, weight_decay=0.03, seed=26, optimiser="muon",
    ),
    "base-inpaint": Schedule(
        steps=400, lr=3e-3, warmup=30, weight_decay=0.03, seed=24, optimiser="muon",
    ),
    "upsample": Schedule(
        steps=4000, lr=6e-3, warmup=100, decay_from=0.6, weight_decay=0.03, seed=23,
        optimiser="muon",
    ),
    "upsample-steady": Schedule(
        steps=400, lr=2e-3, warmup=20, weight_decay=0.03, seed=27, optimiser="muon",
    ),
    "noised-clip": Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=14),
    "clean-clip": Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=15),
    "evaluator": EVALUATOR_SCHEDULE,
    "classifier": CLASSIFIER_SCHEDULE,
    "autoencoder": AUTOENCODER_SCHEDULE,
}
# fmt: on
BATCH = {
    "text": 64,
    "base": 32,
    "base-cfg": 32,
    "base-again": 32,
    "base-steady": 32,
    "base-inpaint": 32,
    "upsample": 16,
    "upsample-steady": 16,
    "noised-clip": 96,
    "clean-clip": 96,
    "evaluator": EVALUATOR_BATCH,
    "classifier": CLASSIFIER_BATCH,
    "autoencoder": AUTOENCODER_BATCH,
}  # fmt: skip
MAX_WEIGHT = {
    "base": 40.0,
    "base-cfg": 40.0,
    "base-again": 40.0,
    "base-steady": 40.0,
    "base-inpaint": 20.0,
    "upsample": 20.0,
    "upsample-steady": 20.0,
}
# Relative standard deviation of the noise's strength about what t says (`kinds.unet_loss`).
NOISE_SPREAD = {"base-steady": 0.05, "base-inpaint": 0.05, "upsample-steady": 0.05}
EMPTY_CAPTIONS = 0.2  # share of captions emptied in classifier-free fine-tuning (GLIDE §2.2)


class Data:
    """Images of one size in memory, each with its scene."""

    def __init__(self, folder: Path, size: int, training: bool, limit: int | None = None):
        rendered = RenderedScenes(folder, seed=1)
        keep = [not (training and held_out(scene)) for scene in rendered.scenes]
        self.images = rendered.load(keep, size)[:limit]
        self.scenes: list[Scene] = [
            s for s, kept in zip(rendered.scenes, keep, strict=True) if kept
        ][:limit]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[str], np.ndarray]:
        """Images (size, 3, h, w) in -1..1, a fresh caption each, and their indices."""
        chosen = rng.integers(len(self.images), size=size)
        pictures = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
        captions = [describe(self.scenes[i], rng) for i in chosen]
        return pictures, captions, chosen


def train_unet(name: str, data: Data, model: TextUNet, work: Path, device: str) -> TextUNet:
    """Base, its classifier-free and inpainting fine-tunes, or the upsampler on crops."""
    tokenizer, config, schedule = WordTokenizer(), model.config, SCHEDULES[name]
    diffusion = Diffusion(config.noise_schedule)
    # On a CPU without matrix units, convolutions this narrow are slower under autocast.
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    dropped = 0.0 if config.super_res or name == "base" else EMPTY_CAPTIONS

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        x, captions, _ = data.batch(rng, BATCH[name])
        captions = ["" if rng.random() < dropped else c for c in captions]
        low_res = known = None
        if config.super_res:
            x, low_res = _crops(x, rng)
        if config.inpaint:
            known = torch.from_numpy(known_regions(rng, len(x), x.shape[-1]))
        tokens, mask = padded(tokenizer, captions, config.text_ctx)
        batch = Batch(x, tokens, mask, low_res, known).to(torch.device(device))
        spread = NOISE_SPREAD.get(name, 0.0)
        return unet_loss(model, diffusion, batch, torch_rng, dtype, MAX_WEIGHT[name], spread)

    model.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train(model, loss, schedule, work / f"{name}.pt")
    return model


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


def train_clip(name: str, data: Data, model: Clip, work: Path, device: str) -> Clip:
    """The noised CLIP (sees x_t and t of the base model's schedule) or the clean one."""
    tokenizer, config = WordTokenizer(), model.config
    diffusion = Diffusion("squaredcos_cap_v2")

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        x, captions, _ = data.batch(rng, BATCH[name])
        batch = Batch(x, *ended(tokenizer, captions, config.max_text_len)).to(torch.device(device))
        return clip_loss(model, diffusion, batch, torch_rng)

    train(model.to(device), loss, SCHEDULES[name], work / f"{name}.pt")
    return model


def _text(data: Path, work: Path, device: str) -> None:
    """A base model that reads, and draws as well as what it starts from: `start.safetensors` in the
    work folder, or a new one.
    """
    torch.manual_seed(0)
    start = work / "start.safetensors"
    model = load_unet(start).requires_grad_(True) if start.exists() else TextUNet(BASE)
    captions = Captions()
    parser = Parser(model).to(device)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        return parsing_loss(parser, captions.batch(rng, BATCH["text"]), BASE.text_ctx)

    train(parser, loss, SCHEDULES["text"], work / "text.pt")
    _save("text", work, model)


def _base(data: Path, work: Path, device: str) -> None:
    model = load_unet(work / "text.safetensors").requires_grad_(True)
    _unet("base", Data(data, 32, True), model, work, device)


def _base_cfg(data: Path, work: Path, device: str) -> None:
    model = load_unet(work / "base.safetensors").requires_grad_(True)
    _unet("base-cfg", Data(data, 32, True), model, work, device)


def _base_again(data: Path, work: Path, device: str) -> None:
    model = load_unet(work / "base-cfg.safetensors").requires_grad_(True)
    _unet("base-again", Data(data, 32, True), model, work, device)


def _base_steady(data: Path, work: Path, device: str) -> None:
    model = load_unet(work / "base-again.safetensors").requires_grad_(True)
    _unet("base-steady", Data(data, 32, True), model, work, device)


def _base_inpaint(data: Path, work: Path, device: str) -> None:
    model = grown(load_unet(work / "base-steady.safetensors")).requires_grad_(True)
    _unet("base-inpaint", Data(data, 32, True), model, work, device)


def _upsample(data: Path, work: Path, device: str) -> None:
    torch.manual_seed(0)
    pictures = Data(data, 128, True, 8000)
    _unet("upsample", pictures, TextUNet(UPSAMPLE), work, device)


def _upsample_steady(data: Path, work: Path, device: str) -> None:
    model = load_unet(work / "upsample.safetensors").requires_grad_(True)
    _unet("upsample-steady", Data(data, 128, True, 8000), model, work, device)


def _unet(name: str, data: Data, model: TextUNet, work: Path, device: str) -> None:
    _save(name, work, train_unet(name, data, model, work, device))


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
    def recipe(data: Path, work: Path, device: str) -> None:
        torch.manual_seed(0)
        pictures = Data(data, config.image_size, training)
        _save(name, work, train_clip(name, pictures, Clip(config), work, device))

    return recipe


def _save(
    name: str,
    work: Path,
    model: nn.Module,
    reached: dict[str, float | dict[str, float]] | None = None,
) -> None:
    state = torch.load(work / f"{name}.pt", weights_only=True)
    notes = {"schedule": dataclasses.asdict(SCHEDULES[name]), "batch": BATCH[name],
             "steps_done": state["step"], "final_loss": state["history"][-1][1],
             **(reached or {})}  # fmt: skip
    config = model.config if isinstance(model, TextUNet | Clip) else None
    save(work / f"{name}.safetensors", model.to("cpu"), config, notes)


RECIPES: dict[str, Callable[[Path, Path, str], None]] = {
    "text": _text,
    "base": _base,
    "base-cfg": _base_cfg,
    "base-again": _base_again,
    "base-steady": _base_steady,
    "base-inpaint": _base_inpaint,
    "upsample": _upsample,
    "upsample-steady": _upsample_steady,
    "noised-clip": _clip("noised-clip", NOISED_CLIP, True),
    "evaluator": _evaluator,
    "clean-clip": _clip("clean-clip", CLEAN_CLIP, False),
    "classifier": _classifier,
    "autoencoder": _autoencoder,
}


def main() -> None:
    """Train one model of the miniature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="folder of rendered shards")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    RECIPES[options.model](options.data, options.work, options.device)


if __name__ == "__main__":
    main()
