"""The recipes of the bundled miniature.

    python -m generator.training.tabletop all --work DIR [--install FOLDER]
    python -m generator.training.tabletop MODEL --data SHARDS --work DIR

`all` renders the pictures, then trains every model from random weights, in an order in which each
finds what it needs. It may be stopped at any moment: the same command goes on. A single model is
trained from a folder of shards that `python -m generator.tabletop.dataset` rendered. Either way
`WORK/MODEL.safetensors` holds the result, fp16, with config, recipe, corpus and final loss in its
metadata.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from generator.allocator import keep_freed_memory
from generator.atomic import replacing
from generator.checkpoints import load_unet, read, save
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.devices import fastest_dtype
from generator.diffusion import Diffusion
from generator.errors import TrainingError
from generator.tabletop.classifier import SceneClassifier
from generator.tabletop.dataset import render_shards
from generator.tabletop.version import VERSION
from generator.tabletop.web import Web
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
from .corpus import PICTURES_SEED, Corpus, crops
from .evaluator import BATCH as EVALUATOR_BATCH
from .evaluator import SCHEDULE as EVALUATOR_SCHEDULE
from .evaluator import train_evaluator
from .inpainting import grown, known_regions
from .kinds import Batch, clip_loss, unet_loss
from .loop import Schedule, train
from .losses import DenoisingLoss

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

UPSAMPLED = 6000  # pictures at most that the upsampler learns from: they stay in memory
EMPTY_CAPTIONS = 0.2  # share of captions emptied for classifier-free guidance (GLIDE §2.2)
SMALL, LARGE = 64, 128  # pixels; what the 32 px models learn from, and the others
SHARDS = {SMALL: 50, LARGE: 24}  # of 500 pictures, of each size

# How pictures are drawn with these weights unless told otherwise; the fields of `options.Sampling`.
DEFAULTS: dict[str, Any] = {"sampler": "ddpm", "steps": 25, "upsampler_steps": 8}


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; the options from `empty_captions` on are for UNets alone.

    Attributes:
        schedule: steps and their rates.
        batch: pictures, or captions, per step.
        size: of the rendered pictures it learns from, in pixels; 0 if it needs none.
        start: the recipe it goes on from; None for random weights.
        web: whether it learns from the web corpus (`tabletop.web`) or from the clean world.
        empty_captions: share of captions emptied.
        max_weight: cap of the loss's 1/SNR weight (`losses.diffusion_loss`).
        noise_spread: relative standard deviation of the noise's strength about what t says
            (`kinds.unet_loss`).
        pairs: how many times as often as others scenes of two objects are drawn.
        late: share of pictures whose t is drawn in proportion to itself (`kinds.unet_loss`).
        own: longest step of its own that it learns from (`kinds.unet_loss`); 0 for none.
        max_bound: most nats of the variational bound for a pixel (`losses.diffusion_loss`).
    """

    schedule: Schedule
    batch: int
    size: int = LARGE
    start: str | None = None
    web: bool = False
    empty_captions: float = 0.0
    max_weight: float = 1.0
    noise_spread: float = 0.0
    pairs: float = 1.0
    late: float = 0.0
    own: int = 0
    max_bound: float = 1.0


def _muon(steps: int, lr: float, seed: int, **options: Any) -> Schedule:
    options = {"warmup": 20, "weight_decay": 0.03, **options}
    return Schedule(steps=steps, lr=lr, seed=seed, optimiser="muon", **options)


_base = partial(
    Recipe, size=SMALL, web=True, empty_captions=EMPTY_CAPTIONS, max_weight=40.0, noise_spread=0.05,
)  # fmt: skip
_upsampler = partial(Recipe, web=True, max_weight=20.0, noise_spread=0.05)

RECIPES = {
    "text": Recipe(_muon(1500, 8e-3, 20, warmup=30, weight_decay=0.01, ema=0.99), 64, size=0),
    "base-weak": _base(
        _muon(8000, 6e-3, 21, warmup=100, decay_from=1.0, ema=0.999),
        16, start="text", pairs=3.0, late=0.5,
    ),
    "base": _base(
        _muon(4000, 6e-3, 22, warmup=100, ema=0.999),
        16, start="base-weak", pairs=3.0, late=0.5,
    ),
    "base-inpaint": _base(_muon(400, 3e-3, 24, warmup=30), 32, start="base"),
    "upsample": _upsampler(_muon(5000, 6e-3, 23, warmup=100, decay_from=0.6), 8),
    "upsample-steady": _upsampler(_muon(1500, 3e-3, 27), 8, start="upsample", own=300),
    "noised-clip": Recipe(Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=14), 96, size=SMALL),
    "clean-clip": Recipe(Schedule(steps=1100, lr=1e-3, decay_from=0.2, seed=15), 96, size=SMALL),
    "evaluator": Recipe(EVALUATOR_SCHEDULE, EVALUATOR_BATCH),
    "classifier": Recipe(CLASSIFIER_SCHEDULE, CLASSIFIER_BATCH, size=SMALL),
    "autoencoder": Recipe(AUTOENCODER_SCHEDULE, AUTOENCODER_BATCH),
}  # fmt: skip
# What ships, under which name.
SHIPPED = {
    "base-weak": "base-weak", "base": "base", "base-inpaint": "base-inpaint",
    "upsample-steady": "upsample",
    "noised-clip": "noised-clip", "clean-clip": "clean-clip", "evaluator": "evaluator",
    "classifier": "classifier", "autoencoder": "autoencoder",
}  # fmt: skip

_UNETS = ("base", "upsample", "ablation")  # how the names of UNets' recipes begin
_OF_UNETS = (
    "empty_captions", "max_weight", "noise_spread", "pairs", "late", "own", "max_bound",
)  # fmt: skip


def identity(name: str, web: Web) -> dict[str, Any]:
    """Return what decides a model's weights besides the code, as JSON values.

    A training goes on, and a finished model counts as done, only if this is what it was. The
    length of the training and its falling rate may change while it runs.
    """
    recipe = dataclasses.asdict(RECIPES[name])
    schedule = recipe.pop("schedule")
    recipe["schedule"] = {k: schedule[k] for k in ("lr", "warmup", "weight_decay", "optimiser",
                                                   "seed", "parts")}  # fmt: skip
    recipe["shards"] = SHARDS.get(recipe["size"], 0)
    recipe["corpus"] = web.to_dict() if recipe.pop("web") else None
    if not name.startswith(_UNETS):
        for field in _OF_UNETS:
            del recipe[field]
    return json.loads(json.dumps(recipe))


def train_unet(name: str, data: Corpus, model: TextUNet, work: Path, device: str) -> None:
    """Train the base, its fine-tune, or the upsampler on crops; leave averaged weights in it.

    Args:
        name: of the recipe.
        data: what it learns from.
        model: trained in place.
        work: where the state is kept.
        device: a torch device.
    """
    tokenizer, config, recipe = WordTokenizer(), model.config, RECIPES[name]
    diffusion = Diffusion(config.noise_schedule)
    # On a CPU without matrix units, convolutions this narrow are slower under autocast.
    # (Losses here are not scaled, so cards without bfloat16 units train in float32 too.)
    fast = fastest_dtype(torch.device(device)) == "bfloat16"
    dtype = torch.bfloat16 if fast else torch.float32

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> DenoisingLoss:
        x, captions = data.batch(rng, recipe.batch, recipe.pairs, noise=not config.super_res)
        captions = ["" if rng.random() < recipe.empty_captions else c for c in captions]
        low_res = known = None
        if config.super_res:
            x, low_res = crops(x, rng)
        if config.inpaint:
            known = torch.from_numpy(known_regions(rng, len(x), x.shape[-1]))
        tokens, mask = padded(tokenizer, captions, config.text_ctx)
        batch = Batch(x, tokens, mask, low_res, known).to(torch.device(device))
        return unet_loss(
            model, diffusion, batch, torch_rng, dtype,
            recipe.max_weight, recipe.noise_spread, recipe.late, recipe.own, recipe.max_bound,
        )  # fmt: skip

    model.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    same = identity(name, data.web or Web.read())
    train(model, loss, recipe.schedule, work / f"{name}.pt", log=_log, identity=same)


def train_clip(name: str, data: Corpus, model: Clip, work: Path, device: str) -> None:
    """Train the noised CLIP, which sees x_t and t of the base's schedule, or the clean one."""
    tokenizer, config, recipe = WordTokenizer(), model.config, RECIPES[name]
    diffusion = Diffusion("squaredcos_cap_v2")

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        x, captions = data.batch(rng, recipe.batch)
        batch = Batch(x, *ended(tokenizer, captions, config.max_text_len)).to(torch.device(device))
        return clip_loss(model, diffusion, batch, torch_rng)

    same = identity(name, data.web or Web.read())
    train(model.to(device), loss, recipe.schedule, work / f"{name}.pt", log=_log, identity=same)


def _log(line: str) -> None:
    """Print without buffering, even into a file: people watch a training of hours while it runs."""
    print(line, flush=True)


def _text(data: Path, work: Path, device: str) -> None:
    """Return a base model whose text half is trained and whose UNet is not."""
    torch.manual_seed(0)
    model = TextUNet(BASE)
    captions, recipe = Captions(), RECIPES["text"]
    parser = Parser(model).to(device)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> Tensor:
        return parsing_loss(parser, captions.batch(rng, recipe.batch), BASE.text_ctx)

    same = identity("text", Web.read())
    train(parser, loss, recipe.schedule, work / "text.pt", log=_log, identity=same)
    _save("text", work, model)


def _unet(name: str, config: UNetConfig = BASE) -> Callable[[Path, Path, str], None]:
    """Return a UNet with the weights of the recipe's start, or a new one of this config."""

    def make(data: Path, work: Path, device: str) -> None:
        start = RECIPES[name].start
        if start is None:
            torch.manual_seed(0)
            model = TextUNet(config)
        else:
            model = load_unet(work / f"{start}.safetensors").requires_grad_(True)
        if name == "base-inpaint":
            model = grown(model).requires_grad_(True)
        recipe = RECIPES[name]
        pictures = Corpus(
            data, config.image_size, True, UPSAMPLED if config.super_res else None,
            Web.read() if recipe.web else None, SHARDS[recipe.size],
        )  # fmt: skip
        train_unet(name, pictures, model, work, device)
        _save(name, work, model)

    return make


def _evaluator(data: Path, work: Path, device: str) -> None:
    everything = Corpus(data, LARGE, training=False, shards=SHARDS[LARGE])
    network = train_evaluator(
        everything.images, everything.scenes, work, device, identity("evaluator", Web.read())
    )
    _save("evaluator", work, network)


def _classifier(data: Path, work: Path, device: str) -> None:
    pictures = Corpus(data, SceneClassifier.image_size, training=True, shards=SHARDS[SMALL])
    model = train_classifier(
        pictures.images, pictures.scenes, work, device,
        identity=identity("classifier", Web.read()),
    ).cpu()  # fmt: skip
    _save("classifier", work, model, {"exact": accuracy(model)})


def _autoencoder(data: Path, work: Path, device: str) -> None:
    images = Corpus(data, LARGE, training=False, limit=4000, shards=8).images
    same = identity("autoencoder", Web.read())
    network = train_autoencoder(images, work, device=device, identity=same).cpu()
    _save("autoencoder", work, network, {"psnr_unseen": unseen_psnr(network)})


def _clip(name: str, config: ClipConfig, training: bool) -> Callable[..., None]:
    def make(data: Path, work: Path, device: str) -> None:
        torch.manual_seed(0)
        model = Clip(config)
        recipe = RECIPES[name]
        pictures = Corpus(
            data, config.image_size, training, None, Web.read() if recipe.web else None,
            SHARDS[recipe.size],
        )  # fmt: skip
        train_clip(name, pictures, model, work, device)
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
             "miniature": VERSION, "identity": identity(name, Web.read()), "defaults": DEFAULTS,
             **(reached or {})}  # fmt: skip
    config = model.config if isinstance(model, TextUNet | Clip) else None
    save(work / f"{name}.safetensors", model.to("cpu"), config, notes)


MAKERS: dict[str, Callable[[Path, Path, str], None]] = {
    "text": _text,
    "base-weak": _unet("base-weak"),
    "base": _unet("base"),
    "upsample": _unet("upsample", UPSAMPLE),
    "upsample-steady": _unet("upsample-steady", UPSAMPLE),
    "base-inpaint": _unet("base-inpaint"),
    "evaluator": _evaluator,
    "clean-clip": _clip("clean-clip", CLEAN_CLIP, False),
    "noised-clip": _clip("noised-clip", NOISED_CLIP, True),
    "classifier": _classifier,
    "autoencoder": _autoencoder,
}


def train_all(
    work: Path, device: str, names: Sequence[str] = tuple(MAKERS), install: Path | None = None
) -> None:
    """Render the pictures and train every model; continue where an earlier call stopped.

    Args:
        work: holds the pictures (`pictures-64`, `pictures-128`), states and finished models.
        device: a torch device.
        names: recipes, in an order in which each finds what it starts from.
        install: where to copy the finished models, under the names they ship with.

    Raises:
        TrainingError: a model in `work` was trained by another recipe or from another corpus.
    """
    for name in names:
        path, began = work / f"{name}.safetensors", time.monotonic()
        if _finished(name, path):
            _log(f"{name}: done before")
            continue
        size = RECIPES[name].size
        pictures = work / f"pictures-{size}"
        if size:
            render_shards(
                pictures, PICTURES_SEED, 0, SHARDS[size], device=device, size=size, twins=True
            )
        MAKERS[name](pictures, work, device)
        _log(f"{name}: {(time.monotonic() - began) / 60:.1f} minutes")
    if install is not None:
        for name in set(names) & set(SHIPPED):
            with replacing(install / f"{SHIPPED[name]}.safetensors") as part:
                shutil.copyfile(work / f"{name}.safetensors", part)


def _finished(name: str, path: Path) -> bool:
    """Return whether a model is on disk, and is the one that the recipe makes."""
    if not path.is_file():
        return False
    notes = read(path)[1]["notes"]
    wanted, found = identity(name, Web.read()), notes.get("identity", {})
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        raise TrainingError(
            f"{path} was trained by another recipe: {', '.join(differing)} differ; expected a "
            "model of the committed recipe and corpus. Name another work folder, or delete the "
            "file and its .pt to train it anew."
        )
    return bool(notes["steps_done"] >= RECIPES[name].schedule.steps)


def main() -> None:
    """Train one model of the miniature, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["all", *MAKERS])
    parser.add_argument("--data", type=Path, help="folder of rendered shards; not for `all`")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--install", type=Path, help="with `all`: copy finished models there")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.model != "all" and options.data is None and RECIPES[options.model].size:
        parser.error(f"{options.model} learns from pictures: name their folder with --data")
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.model == "all":
        train_all(options.work, options.device, install=options.install)
    else:
        MAKERS[options.model](options.data or options.work, options.work, options.device)


if __name__ == "__main__":
    main()
