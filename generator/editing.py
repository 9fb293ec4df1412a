"""Editing pictures: inpainting, scenes built step by step, and pictures from sketches (SDEdit).

Pictures are uint8 (n, size, size, 3) with `size` the pipeline's `image_size`. What is *known* is a
bool (n, size, size): True is kept, pixel for pixel, False is painted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .config import UNetConfig
from .errors import OptionError
from .options import Sampling
from .pipeline import Pipeline, to_pictures
from .sampling import OnStep
from .seeds import KNOWN, SampleNoise
from .stages import Inpainting, Sketched

Pictures = NDArray[np.uint8]
Known = NDArray[np.bool_]
CONTEXTS = ("auto", "model", "implicit")


@torch.no_grad()
def inpaint(
    pipeline: Pipeline,
    captions: Sequence[str],
    seeds: Sequence[int],
    sources: Pictures,
    known: Known,
    sampling: Sampling | None = None,
    *,
    context: str = "auto",
    on_step: OnStep | None = None,
) -> Pictures:
    """Paint what is not known of each picture, by its caption.

    Args:
        pipeline: `context="model"` needs its `base_inpaint`; without an `upsample_inpaint` the
            plain upsampler enlarges, its x_0 corrected likewise.
        captions: of the whole picture, not of the part to paint.
        seeds: as many non-negative integers: each picture's noise.
        sources: uint8 (n, size, size, 3).
        known: bool (n, size, size), at least one pixel of each picture False.
        sampling: how; by default `Sampling()`.
        context: `model` lets the inpainting model see the known part as it is; `implicit` shows the
            base model that part through noise, which works with any model; `auto` takes the
            inpainting model if there is one.
        on_step: called after each step of either network.

    Returns:
        uint8 (n, size, size, 3), equal to the sources wherever known.

    Raises:
        OptionError: shapes that don't fit, nothing to paint, no inpainting model, or as
            `Pipeline.sample` raises.
        torch.OutOfMemoryError: one picture alone does not fit; of more, as many at once as do.
    """
    sampling = sampling or Sampling()
    pipeline.check(captions, seeds, sampling)
    _check_pictures(pipeline, sources, len(captions), "sources")
    _check_known(known, sources)
    base = base_for(pipeline, context)
    large = "upsample_inpaint" if "upsample_inpaint" in pipeline.networks else "upsampler"
    size = cast(UNetConfig, pipeline.networks.config(base)).image_size

    # Networks are named and not held: in low memory the base model must go before the upsampler
    # comes. For the same reason a stage is an argument and no variable.
    def make(part: slice) -> Pictures:
        source, mask = _to_tensors(pipeline, sources[part], known[part])
        noise = SampleNoise(seeds[part], KNOWN, pipeline.device)
        small = pipeline.sample_base(
            captions[part], seeds[part], sampling, on_step=on_step,
            stage=Inpainting(
                pipeline.unet(base), shrink(source, size), shrink_known(mask, size), noise
            ),
        )  # fmt: skip
        return to_pictures(
            pipeline.upsample(
                small, captions[part], seeds[part], sampling, on_step=on_step,
                stage=Inpainting(pipeline.unet(large), source, mask),
            )
        )  # fmt: skip

    finished = pipeline.halving.run(make, 0, len(captions))
    # Samplers that steer x_0 after it was corrected move known pixels a little: put them back.
    return np.where(known[..., None], sources, finished)


@torch.no_grad()
def from_sketch(
    pipeline: Pipeline,
    captions: Sequence[str],
    seeds: Sequence[int],
    sketches: Pictures,
    strength: float,
    sampling: Sampling | None = None,
    *,
    on_step: OnStep | None = None,
) -> Pictures:
    """Pictures that keep a sketch's layout and colours: SDEdit (Meng et al. 2022).

    Args:
        pipeline: any.
        captions: of the pictures wanted.
        seeds: as many non-negative integers.
        sketches: uint8 (n, size, size, 3).
        strength: above 0 and at most 1; near 0 the sketch comes back, at 1 it hardly matters.
        sampling: how; by default `Sampling()`. Of its steps the share `strength` is walked.
        on_step: called after each step of either network.

    Returns:
        uint8 (n, size, size, 3).

    Raises:
        OptionError: a strength out of range, shapes that don't fit, or as `Pipeline.sample` raises.
        torch.OutOfMemoryError: one picture alone does not fit; of more, as many at once as do.
    """
    sampling = sampling or Sampling()
    pipeline.check(captions, seeds, sampling)
    check_strength(strength)
    _check_pictures(pipeline, sketches, len(captions), "sketches")
    size = cast(UNetConfig, pipeline.networks.config("base")).image_size

    def make(part: slice) -> Pictures:
        texts, noises = captions[part], seeds[part]
        sketch = shrink(_to_tensor(pipeline, sketches[part]), size)
        small = pipeline.sample_base(
            texts, noises, sampling, on_step=on_step,
            stage=Sketched(pipeline.base, sketch, strength),
        )  # fmt: skip
        return to_pictures(pipeline.upsample(small, texts, noises, sampling, on_step=on_step))

    return pipeline.halving.run(make, 0, len(captions))


@dataclass(frozen=True)
class SceneStep:
    """One step of building a scene.

    Attributes:
        caption: of the picture as it shall be after this step.
        known: bool (size, size), as `inpaint`'s; None draws the whole picture, which only the first
            step of a scene without a source may do.
    """

    caption: str
    known: Known | None = None


def build_scene(
    pipeline: Pipeline,
    steps: Sequence[SceneStep],
    seeds: Sequence[int],
    source: Pictures | None = None,
    sampling: Sampling | None = None,
    *,
    context: str = "auto",
    on_step: OnStep | None = None,
) -> Iterator[Pictures]:
    """Inpaint again and again, each step on the result of the one before (GLIDE figure 3).

    Args:
        pipeline: as `inpaint`'s.
        steps: what to paint where.
        seeds: as many scenes are built beside each other; step k draws from `step_seed(seed, k)`.
        source: uint8 (size, size, 3) to begin with, or None to draw it by the first step's caption.
        sampling: how; by default `Sampling()`.
        context: as `inpaint`'s.
        on_step: called after each step of either network.

    Yields:
        uint8 (len(seeds), size, size, 3) after each step.

    Raises:
        OptionError: as `inpaint` raises, or a step without a mask that is not the first.
    """
    _check_scene(steps, source)
    scenes = None if source is None else np.repeat(source[None], len(seeds), axis=0)
    for number, step in enumerate(steps):
        own = [step_seed(seed, number) for seed in seeds]
        captions = [step.caption] * len(seeds)
        if step.known is None or scenes is None:
            scenes = pipeline.sample(captions, own, sampling, on_step=on_step)
        else:
            known = np.repeat(step.known[None], len(seeds), axis=0)
            scenes = inpaint(
                pipeline, captions, own, scenes, known, sampling, context=context, on_step=on_step
            )
        yield scenes


def step_seed(seed: int, number: int) -> int:
    """Return the seed of a scene's step: its own for the first, derived ones after it.

    A step that repaints a place then does not meet the very noise that drew it.
    """
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


def check_strength(strength: float) -> None:
    """Refuse a strength that is not above 0 and at most 1.

    Raises:
        OptionError: names the strength found.
    """
    if not 0 < strength <= 1:
        raise OptionError(
            f"strength must be above 0 and at most 1; found {strength:g}. Near 0 the sketch comes "
            "back as it is, at 1 it hardly matters; 0.6 is a good start."
        )


def shrink(
    pictures: Float[Tensor, "n c large large"], size: int
) -> Float[Tensor, "n c {size} {size}"]:
    """(n, c, large, large) to (n, c, size, size) by area: no pixel sees beyond its own square."""
    return F.interpolate(pictures, (size, size), mode="area")


def shrink_known(
    known: Float[Tensor, "n 1 large large"], size: int
) -> Float[Tensor, "n 1 {size} {size}"]:
    """(n, 1, large, large) of 0 and 1 to (n, 1, size, size): known where every pixel under it is.

    So nothing of what is to be painted over leaks into what a smaller network is told.
    """
    return 1 - F.adaptive_max_pool2d(1 - known, size)


def base_for(pipeline: Pipeline, context: str) -> str:
    """Return the name of the base model that paints in this context (see `inpaint`).

    Raises:
        OptionError: an unknown context, or a model it needs is not there.
        CheckpointError: its file is missing, corrupt or of another model.
    """
    if context not in CONTEXTS:
        raise OptionError(f"Unknown context {context!r}: use one of {', '.join(CONTEXTS)}.")
    tuned = "base_inpaint" in pipeline.networks
    if context == "model" and not tuned:
        raise OptionError(
            'context "model" needs a base model fine-tuned for inpainting, and this model has '
            'none. Use "implicit", which works with any model, or name a model that has one.'
        )
    if context == "implicit" or not tuned:
        return "base"
    pipeline.networks.config("base_inpaint")  # reads the head of its file
    return "base_inpaint"


def _check_pictures(pipeline: Pipeline, pictures: Pictures, count: int, name: str) -> None:
    expected = (count, pipeline.image_size, pipeline.image_size, 3)
    if pictures.shape != expected or pictures.dtype != np.uint8:
        raise OptionError(
            f"{name} must be uint8 {expected}: one picture per caption, of the size this model "
            f"makes; found {pictures.dtype} {pictures.shape}."
        )


def _check_known(known: Known, sources: Pictures) -> None:
    if known.shape != sources.shape[:3] or known.dtype != np.bool_:
        raise OptionError(
            f"known must be bool {sources.shape[:3]}, one value per pixel of the sources; found "
            f"{known.dtype} {known.shape}."
        )
    whole = [i for i, mask in enumerate(known) if mask.all()]
    if whole:
        raise OptionError(
            f"There is nothing to paint in picture {whole[0]}: every pixel of it is known. Mark "
            "at least one as not known (False)."
        )


def _check_scene(steps: Sequence[SceneStep], source: Pictures | None) -> None:
    if not steps:
        raise OptionError("A scene needs at least one step; found none.")
    for number, step in enumerate(steps):
        begins = number == 0 and source is None
        if step.known is None and not begins:
            raise OptionError(
                f"Step {number + 1} of the scene has no mask. Only the first step of a scene "
                "without a source picture draws all of it; say where this one paints."
            )
        if step.known is not None and begins:
            raise OptionError(
                "The first step of the scene has a mask, but there is no picture to paint in. "
                "Give a source picture, or leave out the first step's mask."
            )


def _to_tensors(pipeline: Pipeline, sources: Pictures, known: Known) -> tuple[Tensor, "Tensor"]:
    mask = torch.from_numpy(known[:, None].astype(np.float32)).to(pipeline.device)
    return _to_tensor(pipeline, sources), mask


def _to_tensor(pipeline: Pipeline, pictures: Pictures) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).to(pipeline.device)
    return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1
