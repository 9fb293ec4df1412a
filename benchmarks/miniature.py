"""What the bundled miniature reaches: `python -m benchmarks.miniature [--prompts 100]`.

Prints the scene reader's accuracy on rendered, unseen scenes, then, for each guidance strategy and
scale and by number of objects, two shares of prompts with their 95% Wilson intervals: `objects`,
where every object has the right shape and colour and there is no other; `caption`, where
everything the caption claims holds (sizes, materials and the relation as well). Then means: image
quality (`glide-eval`'s own), the relation's share where a caption claims one, and grain, the median
and the most over pictures of a picture's median |Laplacian|, in grey levels (rendered ones have
0.3; above 2 it shows).

`--small` leaves the upsampler out and enlarges the base model's pictures bicubically. The scene
reader reads rendered pictures reduced and enlarged that way without a mistake, so `objects` and
`caption` are the base model's own; quality and grain are not measured. `--base FILE`,
`--upsampler FILE` and `--clip FILE` put a checkpoint in the place of the bundled model's.
`--upsampled N` measures an upsampler alone, on N rendered scenes, at the samplers and steps that
the documentation names.
"""

from __future__ import annotations

import argparse
import atexit
import dataclasses
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from generator.checkpoints import WEIGHTS
from generator.editing import inpaint
from generator.loading import load_pipeline
from generator.models import model_folder
from generator.options import Sampling
from generator.pipeline import Pipeline, to_pictures
from generator.tabletop.captions import caption_accuracy, describe
from generator.tabletop.dataset import scene
from generator.tabletop.evaluator import CleanCLIP, Evaluator, GuidingCLIP
from generator.tabletop.render import render
from glide_eval.extractors import load_extractor
from glide_eval.metrics.image_quality import image_quality
from glide_eval.references.reference import Reference

UNSEEN = 990_001  # a seed no training scene was drawn from


def reader_accuracy(evaluator: Evaluator, count: int) -> dict[str, float]:
    """Share of attributes read right on unseen scenes; a missed or invented object counts as
    wrong.
    """
    scenes = [scene(UNSEEN, i) for i in range(count)]
    read = evaluator.read_scenes(render(scenes).numpy())
    names = ("shape", "color", "size", "material")
    right = dict.fromkeys(names, 0)
    total = counted = 0
    for s, objects in zip(scenes, read, strict=True):
        counted += len(objects) == len(s.objects)
        total += max(len(s.objects), len(objects))
        for o in s.objects:
            if not objects:
                continue
            nearest = min(objects, key=lambda r: (r.x - o.x) ** 2 + (r.y - o.y) ** 2)
            for name in names:
                right[name] += getattr(nearest, name) == getattr(o, name)
    result = {name: right[name] / total for name in names}
    result["attributes"] = float(np.mean([right[name] / total for name in names]))
    result["count"] = counted / count
    return result


def objects_right(
    pipeline: Pipeline, evaluator: Evaluator, count: int, objects: int, split: str,
    small: bool = False, **options: Any,
) -> dict[str, float]:  # fmt: skip
    """Share of prompts with every object right, and mean scores, for one way of sampling."""
    sampling = Sampling(**options)
    captions = [
        describe(scene(UNSEEN + 1, i, split, objects), np.random.default_rng([UNSEEN, i]))
        for i in range(count)
    ]
    draw = _drawn_small if small else _drawn
    images = np.concatenate(
        [
            draw(pipeline, captions[i : i + 25], list(range(i, min(i + 25, count))), sampling)
            for i in range(0, count, 25)
        ]
    )
    scores = [
        caption_accuracy(c, o) for c, o in zip(captions, evaluator.read_scenes(images), strict=True)
    ]
    result = {
        "objects": float(np.mean([s["object"] == 1 and s["count"] == 1 for s in scores])),
        "caption": float(np.mean([s["caption"] for s in scores])),
        **{
            k: float(np.nanmean([s[k] for s in scores]))
            for k in ("color", "shape", "count", "relation")
        },
    }
    for name, clip in (("clean CLIP", CleanCLIP.load()), ("guiding CLIP", GuidingCLIP.load())):
        products = clip.image_embeddings(images) * clip.text_embeddings(captions)
        result[name] = float(clip.logit_scale * products.sum(1).mean())
    if not small:
        result["quality"] = float(quality(images).mean())
        grains = grain(images)
        result["grain"], result["worst grain"] = float(np.median(grains)), float(grains.max())
    return result


def _drawn(
    pipeline: Pipeline, captions: list[str], seeds: list[int], sampling: Sampling
) -> np.ndarray:
    return pipeline.sample(captions, seeds, sampling)


def _drawn_small(
    pipeline: Pipeline, captions: list[str], seeds: list[int], sampling: Sampling
) -> np.ndarray:
    x = pipeline.sample_base(captions, seeds, sampling).contiguous()
    size = pipeline.image_size
    return to_pictures(F.interpolate(x, size=(size, size), mode="bicubic").clamp(-1, 1))


def quality(images: np.ndarray) -> np.ndarray:
    """Image quality as `glide-eval metrics` measures it, against the bundled reference: (n,)."""
    reference = Reference.read(WEIGHTS / "tabletop_reference.npz")
    found = load_extractor("tabletop").embed(list(images))
    assert found.texture is not None
    return image_quality(found.pool, found.texture, reference.manifold, reference.texture_scale)


def grain(images: np.ndarray) -> np.ndarray:
    """Median over pixels of |Laplacian|, averaged over the colour channels: (n,), grey levels.

    Args:
        images: uint8 (n, h, w, 3).
    """
    x = images.astype(np.int32)
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    curvature = np.abs(around - 4 * x[:, 1:-1, 1:-1]).mean(axis=-1)
    return np.median(curvature.reshape(len(x), -1), axis=1)


# Samplers and steps of the upsampler that the documentation recommends.
UPSAMPLING = (
    ("ddim", 27), ("ddpm", 27), ("ddpm", 8), ("dpm++2m", 8), ("ddim", 8), ("ddpm", 4),
    ("dpm++2m", 4),
)  # fmt: skip


def upsampled(pipeline: Pipeline, count: int) -> None:
    """Print grain, error and quality of unseen rendered scenes, reduced and enlarged again."""
    scenes = [scene(UNSEEN, i, "train") for i in range(count)]
    captions = [describe(s, np.random.default_rng([UNSEEN, i])) for i, s in enumerate(scenes)]
    whole = render(scenes)
    x = F.avg_pool2d(whole.permute(0, 3, 1, 2).float() / 127.5 - 1, 4)
    of_whole = grain(whole.numpy())
    print(
        f"rendered: grain {np.median(of_whole):.2f}, worst {of_whole.max():.2f}; quality "
        f"{quality(whole.numpy()).mean():.3f}"
    )
    for name, steps in UPSAMPLING:
        sampling = Sampling(sampler=name, upsampler_sampler=name, upsampler_steps=steps)
        start = time.perf_counter()
        images = to_pictures(pipeline.upsample(x, captions, list(range(count)), sampling))
        took, grains = time.perf_counter() - start, grain(images)
        error = np.abs(images.astype(float) - whole.numpy()).mean()
        print(
            f"{name:8s} {steps:2d} steps: grain {np.median(grains):.2f}, worst {grains.max():.2f}; "
            f"mean error {error:.2f} grey levels; quality {quality(images).mean():.3f}; "
            f"{count / took:.2f} images/s",
            flush=True,
        )


def second_objects_added(
    pipeline: Pipeline, evaluator: Evaluator, count: int, context: str, **options: Any
) -> float:
    """Share of scenes of one object in which the second of a caption's two was painted rightly.

    Erased is the rectangle that the second object changed, with its shadow; the whole caption must
    hold afterwards.
    """
    scenes = [scene(UNSEEN + 2, i, "train", 2) for i in range(count)]
    captions = [describe(s, np.random.default_rng([UNSEEN, i])) for i, s in enumerate(scenes)]
    whole = render(scenes).numpy()
    sources = render([dataclasses.replace(s, objects=s.objects[:1]) for s in scenes]).numpy()
    known = np.ones(sources.shape[:3], bool)
    for mask, changed in zip(known, (whole != sources).any(-1), strict=True):
        rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
    painted = inpaint(
        pipeline, captions, range(count), sources, known, Sampling(**options), context=context
    )
    scores = [
        caption_accuracy(c, o)
        for c, o in zip(captions, evaluator.read_scenes(painted), strict=True)
    ]
    return float(np.mean([s["caption"] for s in scores]))


def _shown(name: str, value: float, prompts: int) -> str:
    if name not in ("objects", "caption"):
        return f"{value:.3f}"
    low, high = binomtest(round(value * prompts), prompts).proportion_ci(method="wilson")
    return f"{value:.1%} [{low:.0%}, {high:.0%}]"


def _loaded(model: str, replaced: dict[str, Path | None]) -> Pipeline:
    """A model, some of its files replaced by others."""
    if not any(replaced.values()):
        return load_pipeline(model)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)  # networks are read when they are first used
    for file in model_folder(model).glob("*.safetensors"):
        (folder / file.name).symlink_to((replaced.get(file.stem) or file).resolve())
    return load_pipeline(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100, help="for each number of objects")
    parser.add_argument("--scenes", type=int, default=500, help="for the scene reader; 0: not")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--upsampler-steps", type=int, default=6)
    parser.add_argument("--arms", default="unguided,cfg-1.5,cfg-3,cfg-6,clip-1,clip-3,clip-6")
    parser.add_argument("--objects", default="1,2")
    parser.add_argument("--sampler", default="ddpm")
    parser.add_argument("--model", default="tabletop", help="or a folder of weights")
    parser.add_argument("--base", type=Path, help="a base model's checkpoint instead")
    parser.add_argument("--upsampler", type=Path, help="an upsampler's checkpoint instead")
    parser.add_argument("--clip", type=Path, help="a noised CLIP's checkpoint instead")
    parser.add_argument("--small", action="store_true", help="judge the base model alone")
    parser.add_argument("--upsampled", type=int, default=0, help="only enlarge as many scenes")
    parser.add_argument("--edited", type=int, default=0, help="only add objects to as many scenes")
    parser.add_argument("--split", default="train", help="train (combinations seen) or zero_shot")
    options = parser.parse_args()
    evaluator = Evaluator.load()
    pipeline = _loaded(options.model, {
        "base": options.base, "upsample": options.upsampler, "noised-clip": options.clip,
    })  # fmt: skip
    if options.upsampled:
        upsampled(pipeline, options.upsampled)
        return
    if options.edited:
        for context in ("model", "implicit"):
            share = second_objects_added(
                pipeline, evaluator, options.edited, context, sampler=options.sampler,
                steps=options.steps, upsampler_steps=options.upsampler_steps,
            )  # fmt: skip
            print(f"second object added, {context}: {_shown('caption', share, options.edited)}")
        return
    if options.scenes:
        print("scene reader", json.dumps(reader_accuracy(evaluator, options.scenes)), flush=True)
    for arm in options.arms.split(","):
        kind, _, scale = arm.partition("-")
        strategy = {"cfg": "classifier_free"}.get(kind, kind)
        for objects in map(int, options.objects.split(",")):
            start = time.perf_counter()
            values = objects_right(
                pipeline, evaluator, options.prompts, objects, options.split, options.small,
                strategy=strategy, scale=float(scale) if scale else None,
                sampler=options.sampler, steps=options.steps,
                upsampler_steps=options.upsampler_steps,
            )  # fmt: skip
            speed = options.prompts / (time.perf_counter() - start)
            shown = ", ".join(f"{k} {_shown(k, v, options.prompts)}" for k, v in values.items())
            print(f"{arm:10s} {objects} object(s): {shown}; {speed:.1f} images/s", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
