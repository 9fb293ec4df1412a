"""From captions to pictures: base model, guidance, upsampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from .clip import Clip
from .config import ClipConfig, UNetConfig
from .devices import naming_a_lost, tf32_allowed
from .diffusion import Diffusion
from .errors import OptionError
from .finite import Watch
from .guidance import autoguided, classifier_free, combined, unguided
from .memory import Halving, batch_that_fits
from .mixing import Mix, Projected, frequency_decoupled, plain, tangential, zero_star
from .networks import LazyModel, Networks
from .options import Sampling, in_one_batch
from .sampling import Denoiser, Gradient, OnStep, noisy_steps, respacing, sampler_named
from .seeds import BASE, UPSAMPLER, SampleNoise
from .stages import Stage
from .steps import beside
from .strategies import STRATEGIES
from .text_unet import TextCondition, TextUNet
from .tokenizer import Tokenizer, cut_off, ended, padded

P = ParamSpec("P")
R = TypeVar("R")
UPSAMPLER_TEMPERATURE = 0.997  # on the upsampler's initial noise, as in the released notebooks


@runtime_checkable
class GuidingClassifier(Protocol):
    """A noised classifier that may guide (`tabletop.classifier.SceneClassifier`)."""

    def gradient(self, captions: Sequence[str], scale: float | Tensor) -> Gradient:
        """`cond_fn(x, t)` towards what the captions name; scale is one or (batch,)."""
        ...


def _computing(
    method: Callable[Concatenate[Pipeline, P], R],
) -> Callable[Concatenate[Pipeline, P], R]:
    """Run a method in the pipeline's own precision, and name a device that it loses."""

    @wraps(method)
    def run(self: Pipeline, *args: P.args, **kwargs: P.kwargs) -> R:
        # Half precision multiplies in half precision anyway; "float32" must not be TF32 unasked.
        exact = self.dtype == torch.float32 and not self.tf32
        with naming_a_lost(self.device), tf32_allowed(not exact):
            return method(self, *args, **kwargs)

    return run


class Pipeline:
    """The networks of a model on one device.

    Attributes:
        networks: loaded when first used; `base`, `upsampler`, … below name them.
        tokenizer, clip_tokenizer: what the UNets and the noised CLIP read.
        weights: file name to sha256, for provenance.
        device: where it computes.
        dtype: what the UNets' torsos compute in (see `UNet.cast_torso`); all else is fp32.
        tf32: whether CUDA may round the factors of fp32 products to TF32's ten bits.
        halving: makes smaller batches once memory has run out.
    """

    def __init__(
        self,
        base: TextUNet | LazyModel[TextUNet],
        upsampler: TextUNet | LazyModel[TextUNet],
        clip: Clip | LazyModel[Clip],
        tokenizer: Tokenizer,
        weights: dict[str, str],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        base_inpaint: TextUNet | LazyModel[TextUNet] | None = None,
        upsample_inpaint: TextUNet | LazyModel[TextUNet] | None = None,
        classifier: nn.Module | LazyModel[nn.Module] | None = None,
        base_weak: TextUNet | LazyModel[TextUNet] | None = None,
        clip_tokenizer: Tokenizer | None = None,
        low_memory: bool = False,
        tf32: bool = False,
    ):
        models = {
            "base": base,
            "upsampler": upsampler,
            "clip": clip,
            "base_inpaint": base_inpaint,
            "upsample_inpaint": upsample_inpaint,
            "classifier": classifier,
            "base_weak": base_weak,
        }
        present: dict[str, Any] = {name: m for name, m in models.items() if m is not None}
        self.networks = Networks(present, low_memory)
        self.tokenizer = tokenizer
        self.clip_tokenizer = clip_tokenizer or tokenizer
        self.weights = weights
        self.device = device
        self.dtype = dtype
        self.tf32 = tf32
        self.halving = Halving()

    @property
    def base(self) -> TextUNet:
        """Draws small pictures; fine-tuned for classifier-free guidance."""
        return cast(TextUNet, self.networks.get("base"))

    @property
    def upsampler(self) -> TextUNet:
        """Enlarges them."""
        return cast(TextUNet, self.networks.get("upsampler"))

    @property
    def clip(self) -> Clip:
        """The noised CLIP that may guide."""
        return cast(Clip, self.networks.get("clip"))

    @property
    def base_inpaint(self) -> TextUNet | None:
        """Fills holes in small pictures; None if the model has no such network."""
        return cast(TextUNet | None, self._optional("base_inpaint"))

    @property
    def upsample_inpaint(self) -> TextUNet | None:
        """Enlarges what fills them; None if the model has no such network."""
        return cast(TextUNet | None, self._optional("upsample_inpaint"))

    @property
    def classifier(self) -> GuidingClassifier | None:
        """Guides where the strategy is `classifier`; None if the model has no such network."""
        return cast(GuidingClassifier | None, self._optional("classifier"))

    def unet(self, name: str) -> TextUNet:
        """Return one of the UNets, loaded if it isn't (see `Networks.get`)."""
        return cast(TextUNet, self.networks.get(name))

    @property
    def image_size(self) -> int:
        """Width and height of a finished picture."""
        return self.networks.config("upsampler").image_size

    def cut_off(self, caption: str, guided_by_clip: bool = False) -> str:
        """Return the end of a caption that no UNet (or the guiding CLIP) reads; "" if all is read.

        The longest such end, as the tokenizer spells it.
        """
        contexts = [
            cast(UNetConfig, self.networks.config(name)).text_ctx for name in ("base", "upsampler")
        ]
        ends = [cut_off(self.tokenizer, caption, min(contexts))]
        if guided_by_clip:
            context = cast(ClipConfig, self.networks.config("clip")).max_text_len
            ends.append(cut_off(self.clip_tokenizer, caption, context, ended=True))
        return max(ends, key=len)

    @torch.no_grad()
    def sample(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling | Sequence[Sampling] | None = None,
        micro_batch: int | str | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> UInt8[np.ndarray, "n size size 3"]:
        """Draw one picture per caption.

        Args:
            captions: texts; the tabletop miniature knows the words of its grammar.
            seeds: as many non-negative integers: each picture's noise.
            sampling: how, by default `Sampling()`; or one `Sampling` per caption. These may
                differ in scale, and some may be unguided and others classifier-free.
            micro_batch: pictures made together; the last batch is padded. By default all are made
                together; `auto` makes as many as free memory holds. If a GPU's memory runs out
                anyway, the batch is halved, with a warning.
            on_step: called after each step of either network.

        Returns:
            uint8 (n, image_size, image_size, 3). Float kernels round differently at another batch
            size: a picture's bytes depend on `micro_batch` (or n), never on its neighbours, so with
            `micro_batch` given they are the same however many are asked for together.

        Raises:
            OptionError: impossible sampling, or not exactly one seed per caption.
            SamplingError: a picture came out as no finite numbers.
            torch.OutOfMemoryError: one picture alone does not fit.
        """
        rows = self.check(captions, seeds, sampling)
        if micro_batch == "auto":
            micro_batch = self.batch_that_fits(any(_doubled(row) for row in rows))
        if micro_batch is not None and (isinstance(micro_batch, str) or micro_batch < 1):
            raise OptionError(f'micro_batch must be at least 1, or "auto"; found {micro_batch!r}.')
        size = micro_batch or len(rows)
        images = np.empty((len(rows), self.image_size, self.image_size, 3), np.uint8)
        for batch in _micro_batches(rows, size):
            # Padded: kernels round differently at other batch sizes.
            full = batch + batch[-1:] * (size - len(batch))

            def make(part: slice, full: list[int] = full) -> np.ndarray:
                texts, noises = [captions[i] for i in full[part]], [seeds[i] for i in full[part]]
                options = [rows[i] for i in full[part]]
                small = self.sample_base(texts, noises, options, on_step=on_step)
                return to_pictures(self.upsample(small, texts, noises, options[0], on_step=on_step))

            images[batch] = self.halving.run(make, 0, len(full))[: len(batch)]
        return images

    def batch_that_fits(self, guided: bool = True) -> int:
        """Return how many pictures free memory holds at once (see `memory.batch_that_fits`)."""
        base, upsampler = (
            cast(UNetConfig, self.networks.config(name)) for name in ("base", "upsampler")
        )
        return batch_that_fits(base, upsampler, self.dtype, self.device, guided)

    def check(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling | Sequence[Sampling] | None = None,
    ) -> list[Sampling]:
        """Return each caption's sampling; refuses what can't be sampled.

        Raises:
            OptionError: impossible sampling, or not exactly one seed per caption.
        """
        if len(captions) != len(seeds) or not captions:
            raise OptionError(
                f"Expected as many seeds as captions and at least one; found {len(captions)} "
                f"captions and {len(seeds)} seeds."
            )
        return in_one_batch(Sampling() if sampling is None else sampling, len(captions))

    @torch.no_grad()
    @_computing
    def sample_base(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling | Sequence[Sampling],
        cond_fn: Gradient | None = None,
        *,
        stage: Stage | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "n 3 size size"]:
        """Small pictures (n, 3, size, size) in -1..1.

        Args:
            captions: as `sample`'s.
            seeds: as `sample`'s.
            sampling: as `sample`'s.
            cond_fn: (x_t, t) to any ∇ log p(y | x_t), already scaled: it steers beside the
                strategy's own guidance, in the same interval.
            stage: the base model's unless an edit brings its own.
            on_step: as `sample`'s.
        """
        rows = in_one_batch(sampling, len(captions))
        stage = stage or Stage(self.base)
        shared, config = rows[0], stage.unet.config
        noise = SampleNoise(seeds, BASE, self.device)
        shape = (3, config.image_size, config.image_size)
        gradients = [] if cond_fn is None else [_told_beside(cond_fn)]
        gradients += self._strategy_gradient(captions, rows)
        gradients = [stage.looking(gradient) for gradient in gradients]
        diffusion = Diffusion(
            config.noise_schedule,
            respacing(shared.sampler, shared.steps),
            None if shared.threshold is None else shared.threshold / 100,
        )
        x, diffusion = stage.start(noise.initial(shape), diffusion)
        watch = Watch("base model")
        steps = noisy_steps(shared.sampler, shared.eta, diffusion)
        with closing(stage), noise.ahead(steps, shape) as drawn_ahead:
            drawn = sampler_named(shared.sampler, shared.eta)(
                watch.looking(stage.looking(self._base_denoiser(stage, captions, rows))),
                _channels_last(x),
                diffusion,
                drawn_ahead,
                gradient=combined(gradients, shared.interval),
                denoised_fn=stage.denoised_fn,
                on_step=on_step,
            )
        return watch.require_finite(drawn, captions, seeds).clamp(-1, 1)

    def _base_denoiser(
        self, stage: Stage, captions: Sequence[str], rows: Sequence[Sampling]
    ) -> Denoiser:
        text, shared = self._condition(stage.unet, captions), rows[0]
        if not any(_doubled(row) for row in rows):
            return unguided(stage.network, text)
        if shared.strategy == "autoguidance":
            weak = self._weak_beside(stage)
            return autoguided(
                stage.network, text, weak, self._condition(weak, captions), self._scales(rows),
                shared.interval, shared.rescale,
            )  # fmt: skip
        empty = self._condition(stage.unet, [""]).expanded(len(captions))
        return classifier_free(
            stage.network, text, empty, self._scales(rows), shared.interval, shared.rescale,
            _mix(shared),
        )  # fmt: skip

    def _weak_beside(self, stage: Stage) -> TextUNet:
        """Return the weaker model that autoguidance goes away from."""
        if "base_weak" not in self.networks:
            raise OptionError(
                "Autoguidance needs a weaker model of the same kind beside the base model: "
                "base-weak.safetensors in the model's folder, which this model lacks. Train one "
                "for fewer steps with `glide-eval models train`, or use another strategy."
            )
        weak = self.unet("base_weak")
        if stage.unet.config.inpaint:
            raise OptionError(
                "Autoguidance can't guide an inpainting network, since the weaker model has no "
                'channels for the known part. Use context = "implicit", or another strategy.'
            )
        if (weak.config.image_size, weak.config.noise_schedule) != (
            stage.unet.config.image_size, stage.unet.config.noise_schedule
        ):  # fmt: skip
            raise OptionError(
                f"The weaker model draws {weak.config.image_size} px with the noise schedule "
                f"{weak.config.noise_schedule}, expected {stage.unet.config.image_size} px and "
                f"{stage.unet.config.noise_schedule}, as the base model. Train it like that one."
            )
        return weak

    def _strategy_gradient(
        self, captions: Sequence[str], rows: Sequence[Sampling]
    ) -> list[Gradient]:
        """Return the gradient a strategy guides by: one or none."""
        strategy = rows[0].strategy
        if strategy == "clip":
            tokens, lengths = ended(self.clip_tokenizer, captions, self.clip.config.max_text_len)
            target = self.clip.text_embeddings(tokens.to(self.device), lengths.to(self.device))
            return [self.clip.gradient(target, self._scales(rows))]
        if strategy == "classifier":
            if self.classifier is None:
                raise OptionError(
                    "Strategy classifier needs a noised classifier, and this model has none: the "
                    "bundled one judges tabletop pictures alone. Use another strategy, or pass a "
                    "cond_fn of your own to sample_base."
                )
            return [self.classifier.gradient(captions, self._scales(rows))]
        return []

    def _scales(self, rows: Sequence[Sampling]) -> Tensor:
        """Return each row's guidance scale: (batch,) float32."""
        return torch.tensor([row.scale or 0.0 for row in rows], device=self.device)

    @torch.no_grad()
    @_computing
    def upsample(
        self,
        small: Float[Tensor, "n 3 small small"],
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        stage: Stage | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "n 3 large large"]:
        """Large pictures (n, 3, image_size, image_size) in -1..1; arguments as `sample`'s.

        The small picture is quantised to 8 bits first, as the upsampler was trained. `stage` is
        the upsampler's unless an edit brings its own.
        """
        stage = stage or Stage(self.upsampler)
        config = stage.unet.config
        noise = SampleNoise(seeds, UPSAMPLER, self.device)
        shape = (3, config.image_size, config.image_size)
        # In training the small pictures came from 8-bit files.
        low_res = _channels_last(to_uint8(small).float() / 127.5 - 1)
        text = self._condition(stage.unet, captions)
        as_released = sampling.upsampler_steps in (27, "fast27")
        name = sampling.upsampler_sampler or (stage.upsampler if as_released else sampling.sampler)
        steps = "fast27" if as_released else respacing(name, sampling.upsampler_steps)
        diffusion = Diffusion(config.noise_schedule, steps)
        watch = Watch("upsampler")
        with noise.ahead(noisy_steps(name, 0.0, diffusion), shape) as drawn_ahead:
            drawn = sampler_named(name)(
                watch.looking(stage.looking(unguided(stage.network, text, low_res))),
                _channels_last(noise.initial(shape) * UPSAMPLER_TEMPERATURE),
                diffusion,
                drawn_ahead,
                denoised_fn=stage.denoised_fn,
                on_step=on_step,
            )
        return watch.require_finite(drawn, captions, seeds).clamp(-1, 1)

    def _optional(self, name: str) -> nn.Module | None:
        return self.networks.get(name) if name in self.networks else None

    def _condition(self, unet: TextUNet, captions: Sequence[str]) -> TextCondition:
        tokens, mask = padded(self.tokenizer, captions, unet.config.text_ctx)
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        if not self.networks.low_memory:
            return unet.condition(tokens, mask)
        # Read once, the caption needs its transformer no more: a tenth of a full-size UNet.
        unet.move_reader(self.device)
        condition = unet.condition(tokens, mask)
        unet.move_reader(torch.device("cpu"))
        return condition


def _told_beside(cond_fn: Gradient) -> Gradient:
    """A user's gradient, told t on x's device."""
    return lambda x, t: cond_fn(x, beside(t, x))


def _micro_batches(rows: Sequence[Sampling], size: int) -> list[list[int]]:
    """Row numbers in batches of at most `size`, guided rows apart from those of one pass.

    Guided rows run beside their empty captions, at twice the kernel batch, or are mixed with a
    weaker model's: an unguided row among them would round otherwise than among its like.
    """
    doubled = [_doubled(row) for row in rows]
    batches = []
    for kind in (False, True):
        same = [i for i, two in enumerate(doubled) if two == kind]
        batches += [same[i : i + size] for i in range(0, len(same), size)]
    return batches


def _doubled(row: Sampling) -> bool:
    """Return whether a picture's guidance needs two predictions per step."""
    neutral = row.scale == 1 and row.strategy != "apg" and row.low_scale in (None, 1)
    two = STRATEGIES[row.strategy].empty or row.strategy == "autoguidance"
    return two and not neutral


def _mix(sampling: Sampling) -> Mix:
    """Return how a strategy mixes the two predictions."""
    if sampling.strategy == "apg":
        return Projected(sampling.parallel, sampling.momentum, sampling.norm)
    if sampling.strategy == "frequency_decoupled":
        return partial(frequency_decoupled, low_scale=sampling.low_scale)
    return {"cfg_zero_star": zero_star, "tangential": tangential}.get(sampling.strategy, plain)


def to_uint8(x: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """-1..1 to 0..255, rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pictures(x: Float[Tensor, "n 3 height width"]) -> UInt8[np.ndarray, "n height width 3"]:
    """(n, 3, size, size) in -1..1 to uint8 (n, size, size, 3)."""
    return to_uint8(x).permute(0, 2, 3, 1).cpu().numpy()


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
