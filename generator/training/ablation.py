"""Which part of the web corpus gives guidance something to mend?

    python -m generator.training.ablation CORPUS --start BASE --data SHARDS --work DIR [--steps N]

trains one base model on, for the same number of steps and with the same seed, on one of four
corpora: `none` (the clean world), `captions` (wrong captions, good photographs), `photographs` (bad
photographs, true captions) and `both` (the web corpus itself). The shares of wrong captions and of
bad photographs are those of the whole corpus. Measure `WORK/ablation-CORPUS.safetensors` with
`python -m benchmarks.miniature --base FILE`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from generator.allocator import keep_freed_memory
from generator.checkpoints import load_unet, save
from generator.tabletop.web import Web

from . import tabletop
from .corpus import Corpus

STEPS, RATE, SEED = 1500, 4e-3, 31


def corpora(web: Web) -> dict[str, Web | None]:
    """The corpora to compare, by name; None is the clean world."""
    return {
        "none": None,
        "captions": web.without(photographs=True),
        "photographs": web.without(captions=True),
        "both": web,
    }


def main() -> None:
    """Train one of the four models."""
    web = Web.read()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", choices=list(corpora(web)))
    parser.add_argument("--start", type=Path, required=True, help="a base model's weights")
    parser.add_argument("--data", type=Path, required=True, help="folder of rendered shards")
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and result")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    keep_freed_memory()
    options.work.mkdir(parents=True, exist_ok=True)
    name = f"ablation-{options.corpus}"
    recipe = tabletop.RECIPES["base"]
    schedule = replace(
        recipe.schedule,
        steps=options.steps,
        lr=RATE,
        warmup=20,
        decay_from=0.0,
        ema=0.99,
        seed=SEED,
    )
    tabletop.RECIPES[name] = replace(recipe, schedule=schedule)
    model = load_unet(options.start).requires_grad_(True)
    shards = tabletop.SHARDS[recipe.size]
    data = Corpus(
        options.data, model.config.image_size, True, None, corpora(web)[options.corpus], shards
    )
    tabletop.train_unet(name, data, model, options.work, options.device)
    notes = {"ablation": options.corpus, "start": options.start.name, "steps": options.steps}
    save(options.work / f"{name}.safetensors", model.to("cpu"), model.config, notes)


if __name__ == "__main__":
    main()
