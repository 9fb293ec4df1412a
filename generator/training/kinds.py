"""Kinds of training: how each turns captioned pictures into a batch, and its loss.

- base: pictures from captions.
- classifier_free: goes on with 20% of captions emptied (GLIDE §2.2).
- inpainting: goes on with a random region erased and four more input channels (GLIDE §2.4).
- upsampler: large pictures from small ones and captions.
- noised_clip: which caption goes with which noised picture (GLIDE §2.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from generator.clip import Clip
from generator.diffusion import Diffusion
from generator.text_unet import TextCondition, TextUNet
from generator.tokenizer import Tokenizer, ended, padded

from .inpainting import known_regions
from .losses import DenoisingLoss, contrastive_loss, diffusion_loss

_MOST_EXCESS = 4.0  # mean square of ε beyond which a walked picture is not learned from
_REDUCTION = 4  # of an upsampler's picture, each way


@dataclass(frozen=True)
class Kind:
    """One kind of training.

    Attributes:
        network: what is trained.
        inpaints: whether a UNet without inpainting channels is given them first.
        upsamples: whether the UNet must be an upsampler (True), a base model (False) or may be
            either (None).
        empty_captions: share of captions emptied unless told otherwise.
        starts_from: which of a model's networks it starts from, where a model is named.
    """

    network: type[TextUNet] | type[Clip]
    inpaints: bool = False
    upsamples: bool | None = False
    empty_captions: float = 0.0
    starts_from: str = "base"


KINDS = {
    "base": Kind(TextUNet),
    "classifier_free": Kind(TextUNet, empty_captions=0.2),
    "inpainting": Kind(TextUNet, inpaints=True, upsamples=None, empty_captions=0.2),
    "upsampler": Kind(TextUNet, upsamples=True, starts_from="upsampler"),
    "noised_clip": Kind(Clip, starts_from="clip"),
}


@dataclass(frozen=True)
class Batch:
    """A batch of captioned pictures as a loss needs it.

    Attributes:
        x: float32 (batch, 3, size, size) in -1..1.
        tokens: int64 (batch, context).
        read: the tokens' mask, bool (batch, context), for a UNet; their lengths, int64 (batch,),
            for a CLIP.
        low_res: what an upsampler enlarges, (batch, 3, size / 4, size / 4) in -1..1.
        known: 1 where an inpainting model sees the picture, (batch, 1, size, size).
    """

    x: Tensor
    tokens: Tensor
    read: Tensor
    low_res: Tensor | None = None
    known: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""

        def moved(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        return Batch(
            self.x.to(device), self.tokens.to(device), self.read.to(device),
            moved(self.low_res), moved(self.known),
        )  # fmt: skip


def unet_batch(
    model: TextUNet, tokenizer: Tokenizer, images: np.ndarray, captions: Sequence[str],
    rng: np.random.Generator, empty_captions: float, patch: int | None = None,
) -> Batch:  # fmt: skip
    """Return a batch for a UNet, with the conditions that its config names.

    Args:
        model: only its config is read.
        tokenizer: the model's.
        images: uint8 (batch, size, size, 3).
        captions: one each.
        rng: decides which captions are emptied, crops, the low resolution's faults and what is
            erased.
        empty_captions: share of captions emptied.
        patch: an upsampler sees a random square of this side instead of the whole picture.
    """
    config = model.config
    captions = ["" if rng.random() < empty_captions else caption for caption in captions]
    low_res = known = None
    if config.super_res:
        if patch:
            images = np.stack([_patch(image, patch, rng) for image in images])
        low_res = _scaled(np.stack([corrupted(image, rng) for image in images]))
    if config.inpaint:
        known = torch.from_numpy(known_regions(rng, len(images), images.shape[1]))
    tokens, mask = padded(tokenizer, captions, config.text_ctx)
    return Batch(_scaled(images), tokens, mask, low_res, known)


def unet_loss(
    model: TextUNet, diffusion: Diffusion, batch: Batch, torch_rng: torch.Generator,
    dtype: torch.dtype = torch.bfloat16, max_weight: float = 1.0, noise_spread: float = 0.0,
    late: float = 0.0, own: int = 0, max_bound: float = math.inf,
) -> DenoisingLoss:  # fmt: skip
    """Return the denoising loss of a batch on the model's device (see `diffusion_loss`).

    Args:
        model: the network.
        diffusion: its schedule.
        batch: pictures and what they are conditioned on.
        torch_rng: draws t and noise.
        dtype: of autocast; float32 for none.
        max_weight: see `diffusion_loss`.
        noise_spread: relative standard deviation of the noise's strength about what t says, drawn
            for each picture. ε is of the strength that was added, so the network learns to tell
            how much noise there is instead of trusting t.
        late: share of pictures whose t is drawn in proportion to itself instead of uniformly: what
            lies where in a picture is decided while there is much noise.
        own: longest DDIM step, in steps of 1..999, by which half of the pictures come to their x_t
            from a noisier one, walked by the network itself; 0 for none. ε is then what stands
            between x_t and the true picture, so the network learns to take away the grain that its
            own few, large steps leave when no fresh noise drowns it.
        max_bound: see `diffusion_loss`.
    """
    # The layout in which convolutions run fastest, on CPUs and GPUs alike.
    x = batch.x.contiguous(memory_format=torch.channels_last)
    t = torch.randint(1000, (len(x),), generator=torch_rng, device=x.device)
    if late:
        u = torch.rand((2, len(x)), generator=torch_rng, device=x.device)
        t = torch.where(u[0] < late, (1000 * u[1].sqrt()).long().clamp(max=999), t)
    noise = torch.randn(x.shape, generator=torch_rng, device=x.device)
    if noise_spread:
        strength = torch.randn((len(x), 1, 1, 1), generator=torch_rng, device=x.device)
        noise = noise * (1 + noise_spread * strength)
    x_t = diffusion.q_sample(x, t, noise)

    def predicted(x_t: Tensor, t: Tensor, text: TextCondition) -> Tensor:
        return model(x_t, t, text, batch.low_res, inpaint_image=x, inpaint_mask=batch.known)

    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        text = model.condition(batch.tokens, batch.read)
        drawn = None
        if own:
            x_t, noise, drawn = _walked(
                diffusion, predicted, x, t, x_t, noise, text, own, torch_rng
            )
        output = predicted(x_t, t, text)
    return diffusion_loss(diffusion, output, x, x_t, t, noise, max_weight, max_bound, drawn)


@torch.no_grad()
def _walked(
    diffusion: Diffusion, predicted: Callable[[Tensor, Tensor, TextCondition], Tensor], x: Tensor,
    t: Tensor, x_t: Tensor, noise: Tensor, text: TextCondition, own: int, rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """x_t, ε, and whether they are as drawn or from a DDIM step of the network, half of them each
    (see `unet_loss`).
    """
    step = torch.randint(1, own + 1, t.shape, generator=rng, device=t.device)
    later = (t + step).clamp(max=999)
    kept, kept_later = (diffusion.at("alpha_bar", s, x) for s in (t, later))
    start = kept_later.sqrt() * x + (1 - kept_later).sqrt() * noise
    eps = predicted(start, later, text).float()[:, :3]
    x_start = ((start - (1 - kept_later).sqrt() * eps) / kept_later.sqrt()).clamp(-1, 1)
    eps = (start - kept_later.sqrt() * x_start) / (1 - kept_later).sqrt()
    arrived = kept.sqrt() * x_start + (1 - kept).sqrt() * eps
    between = (arrived - kept.sqrt() * x) / (1 - kept).sqrt()
    walks = (torch.rand(t.shape, generator=rng, device=t.device) < 0.5).view(-1, 1, 1, 1)
    # Near t = 0 a small error of the picture would be many standard deviations of noise.
    walks = walks & (between.square().mean((1, 2, 3), keepdim=True) < _MOST_EXCESS)
    return (
        torch.where(walks, arrived, x_t), torch.where(walks, between, noise), ~walks.flatten()
    )  # fmt: skip


def clip_batch(
    model: Clip, tokenizer: Tokenizer, images: np.ndarray, captions: Sequence[str]
) -> Batch:
    """Return a CLIP's batch of pictures uint8 (batch, size, size, 3) and captions."""
    tokens, lengths = ended(tokenizer, captions, model.config.max_text_len)
    return Batch(_scaled(images), tokens, lengths)


def clip_loss(
    model: Clip, diffusion: Diffusion, batch: Batch, torch_rng: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:  # fmt: skip
    """Return the contrastive loss of x_t and captions, or of x itself for a clean CLIP."""
    x, t = batch.x, None
    if model.config.n_timesteps:
        steps = model.config.n_timesteps
        t = torch.randint(steps, (len(x),), generator=torch_rng, device=x.device)
        noise = torch.randn(x.shape, generator=torch_rng, device=x.device)
        x = diffusion.q_sample(x, t, noise)
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        images = model.image_embeddings(x, t)
        texts = model.text_embeddings(batch.tokens, batch.read)
    same = (batch.tokens[:, None] == batch.tokens[None]).all(-1)
    return contrastive_loss(images.float(), texts.float(), model.config.logit_scale, same)


def corrupted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a quarter-size version with the faults that a base model's picture may have.

    Reduced by averaging or by bicubic filtering, then blurred a little in half of the cases, so
    that the upsampler sharpens what it is given; 8 bits, as at sampling time.

    Args:
        image: uint8 (size, size, 3).
        rng: decides the faults.

    Returns:
        uint8 (size / 4, size / 4, 3).
    """
    filters = (Image.Resampling.BOX, Image.Resampling.BICUBIC)
    side = image.shape[0] // _REDUCTION
    small = Image.fromarray(image).resize((side, side), filters[int(rng.integers(2))])
    if rng.random() < 0.5:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))
    return np.asarray(small)


def _patch(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(extent - side + 1)) for extent in image.shape[:2])
    return image[top : top + side, left : left + side]


def _scaled(images: np.ndarray) -> Tensor:
    """uint8 (batch, h, w, 3) to float32 (batch, 3, h, w) in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
