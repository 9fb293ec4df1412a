"""Find which part of the web corpus gives guidance something to mend.

    python -m generator.training.ablation CORPUS --start BASE --data SHARDS --work DIR [--steps N]
    python -m generator.training.ablation CORPUS --model noised-clip --data SHARDS --work DIR

The first command continues to train a base model, for the same number of steps and with the same
seed, on one of four corpora: `none` (the clean world), `captions` (wrong captions, good
photographs), `photographs` (bad photographs, true captions) and `both` (the web corpus itself). The
shares of wrong captions and of bad photographs are those of the whole corpus. The second command
trains a noised CLIP from random weights. Measure `WORK/ablation-MODEL-CORPUS.safetensors` with
`python -m benchmarks.miniature --base FILE` or `--clip FILE`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from generator.allocator import keep_freed_memory
from generator.checkpoints import load_unet, save
from generator.clip import Clip
from generator.tabletop.web import Web

from . import tabletop
from .corpus import Corpus

STEPS, RATE, SEED = 1500, 4e-3, 31


def corpora(web: Web) -> dict[str, Web | None]:
    """Return the corpora to compare, by name; None is the clean world."""
    return {
        "none": None,
        "captions": web.without(photographs=True),
        "photographs": web.without(captions=True),
        "both": web,
    }


def main() -> None:
    """Train one of the models."""
    web = Web.read()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", choices=list(corpora(web)))
    parser.add_argument("--model", choices=["base", "noised-clip"], default="base")
    parser.add_argument("--start", type=Path, help="the base model's weights to train on")
    parser.add_argument("--data", type=Path, required=True, help="folder of rendered shards")
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and result")
    parser.add_argument("--steps", type=int, help="by default 1,500, of a CLIP its recipe's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.model == "base" and options.start is None:
        parser.error("a base model is trained on from weights: name them with --start")
    keep_freed_memory()
    options.work.mkdir(parents=True, exist_ok=True)
    name = f"ablation-{options.model}-{options.corpus}"
    recipe, corpus = tabletop.RECIPES[options.model], corpora(web)[options.corpus]
    schedule = replace(recipe.schedule, steps=options.steps or recipe.schedule.steps)
    model: Clip | tabletop.TextUNet
    if options.model == "base":
        schedule = replace(
            recipe.schedule, steps=options.steps or STEPS, lr=RATE, warmup=20, decay_from=0.0,
            ema=0.99, seed=SEED,
        )  # fmt: skip
        model = load_unet(options.start).requires_grad_(True)
    else:
        torch.manual_seed(0)
        model = Clip(tabletop.NOISED_CLIP)
    tabletop.RECIPES[name] = replace(recipe, schedule=schedule, web=corpus is not None)
    data = Corpus(
        options.data, model.config.image_size, True, None, corpus, tabletop.SHARDS[recipe.size]
    )
    if isinstance(model, Clip):
        tabletop.train_clip(name, data, model, options.work, options.device)
    else:
        tabletop.train_unet(name, data, model, options.work, options.device)
    notes = {"ablation": options.corpus, "steps": schedule.steps}
    save(options.work / f"{name}.safetensors", model.to("cpu"), model.config, notes)


if __name__ == "__main__":
    main()
