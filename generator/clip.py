"""CLIP (Radford et al. 2021), clean or noise-aware (GLIDE §2.3), in the released files' layout."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from .config import ClipConfig
from .layers import attend
from .steps import beside

# Of RGB in 0..255, as CLIP was trained with.
CHANNEL_MEANS = (122.77093945, 116.74601272, 104.09373519)
CHANNEL_STDS = (68.50053285, 66.63215831, 70.32316309)


class _LayerNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.g = nn.Parameter(torch.ones(width))
        self.b = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), self.g.shape, self.g, self.b, 1e-5)


class _Affine(nn.Module):
    def __init__(self, inputs: int, outputs: int, std: float, bias: bool = True):
        super().__init__()
        self.w = nn.Parameter(torch.empty(outputs, inputs).normal_(std=std))
        self.b = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, self.b)


class _AttentionResidual(nn.Module):
    def __init__(self, width: int, heads: int, branches: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        std = width**-0.5
        self.ln = _LayerNorm(width)
        self.f_q = _Affine(width, width, std)
        self.f_k = _Affine(width, width, std, bias=False)
        self.f_v = _Affine(width, width, std)
        self.f_c = _Affine(width, width, std / branches)

    def forward(self, x: Tensor) -> Tensor:
        r = self.ln(x)
        q, k, v = (f(r).view(*r.shape[:2], self.heads, -1) for f in (self.f_q, self.f_k, self.f_v))
        return x + self.f_c(attend(q, k, v, self.causal).flatten(2))


class _MlpResidual(nn.Module):
    def __init__(self, width: int, branches: int):
        super().__init__()
        self.ln = _LayerNorm(width)
        self.f_1 = _Affine(width, 4 * width, (2 / (4 * width)) ** 0.5)
        self.f_2 = _Affine(4 * width, width, width**-0.5 / branches)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f_2(F.gelu(self.f_1(self.ln(x))))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, branches: int, causal: bool):
        super().__init__()
        self.f_attn = _AttentionResidual(width, heads, branches, causal)
        self.f_mlp = _MlpResidual(width, branches)

    def forward(self, x: Tensor) -> Tensor:
        return self.f_mlp(self.f_attn(x))


class _TextInput(nn.Module):
    def __init__(self, n_vocab: int, context: int, width: int):
        super().__init__()
        self.w_voc = nn.Parameter(torch.empty(n_vocab, width).normal_(std=0.02))
        self.w_pos = nn.Parameter(torch.empty(context, width).normal_(std=0.01))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.w_voc) + self.w_pos


class _ImageInput(nn.Module):
    """Patches, behind a first token that carries the timestep (or a learned state when clean)."""

    def __init__(self, config: ClipConfig, width: int):
        super().__init__()
        patches = (config.image_size // config.patch_size) ** 2
        std = width**-0.5
        if config.n_timesteps:
            self.w_t = nn.Parameter(torch.empty(config.n_timesteps, width).normal_(std=std))
        else:
            self.pred_state = nn.Parameter(torch.empty(width).normal_(std=std))
        patch = config.patch_size
        scale = (2 / (width * patch**2)) ** 0.5
        self.patch_proj = nn.Parameter(torch.empty(width, 3, patch, patch).normal_(std=scale))
        self.w_pos = nn.Parameter(torch.empty(1 + patches, width).normal_(std=std))
        self.ln = _LayerNorm(width)
        self._channels: Tensor | None = None

    def forward(self, image: Tensor, t: Tensor | None) -> Tensor:
        means, stds = self._statistics(image)
        image = (image - means) / stds
        patches = F.conv2d(image, self.patch_proj, stride=self.patch_proj.shape[-1])
        patches = patches.flatten(2).transpose(1, 2)
        if t is None:
            first = self.pred_state.expand(len(image), 1, -1)
        else:
            first = F.embedding(t, self.w_t)[:, None]
        return self.ln(torch.cat([first, patches], dim=1) + self.w_pos)

    def _statistics(self, image: Tensor) -> tuple[Tensor, "Tensor"]:
        """Means and deviations of channels, (3, 1, 1) each; copied to the device once."""
        kept = self._channels
        if kept is None or (kept.device, kept.dtype) != (image.device, image.dtype):
            kept = image.new_tensor((CHANNEL_MEANS, CHANNEL_STDS))[..., None, None]
            # Not a buffer: the released files hold none.
            self._channels = kept
        return kept[0], kept[1]


class _Output(nn.Module):
    def __init__(self, width: int, n_embd: int):
        super().__init__()
        self.ln = _LayerNorm(width)
        self.f = _Affine(width, n_embd, (2 / (width + n_embd)) ** 0.5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.ln(x))


def _stack(
    first: nn.Module, width: int, heads: int, count: int, n_embd: int, causal: bool
) -> nn.ModuleDict:
    """Input, blocks and output under the names of the released files."""
    layers: dict[str, nn.Module] = {"input": first}
    for i in range(count):
        layers[f"block_{i}"] = _Block(width, heads, 2 * count, causal)
    return nn.ModuleDict({**layers, "output": _Output(width, n_embd)})


class TextEncoder(nn.Module):
    """Causal transformer; the caption's embedding is read at its last token."""

    def __init__(self, config: ClipConfig):
        super().__init__()
        width = config.n_head_text * config.n_head_state_text
        self.blocks = _stack(
            _TextInput(config.n_vocab, config.max_text_len, width),
            width, config.n_head_text, config.n_xf_blocks_text, config.n_embd, causal=True,
        )  # fmt: skip

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """int64 (batch, max_text_len) and (batch,) to (batch, n_embd), not normalised."""
        *body, output = self.blocks.values()
        h = body[0](tokens)
        for block in body[1:]:
            h = block(h)
        last = h[torch.arange(len(h), device=h.device), lengths - 1]
        return output(last)


class ImageEncoder(nn.Module):
    """Vision transformer; the image's embedding is read at its first token."""

    def __init__(self, config: ClipConfig):
        super().__init__()
        width = config.n_head_image * config.n_head_state_image
        self.blocks = _stack(
            _ImageInput(config, width),
            width, config.n_head_image, config.n_xf_blocks_image, config.n_embd, causal=False,
        )  # fmt: skip

    def forward(self, image: Tensor, t: Tensor | None = None) -> Tensor:
        """(batch, 3, size, size) in 0..255 and integer t (batch,) to (batch, n_embd)."""
        *body, output = self.blocks.values()
        h = body[0](image, t)
        for block in body[1:]:
            h = block(h)
        return output(h[:, 0])


class Clip(nn.Module):
    """A text and an image encoder into one space, and the scale of their dot product."""

    def __init__(self, config: ClipConfig):
        super().__init__()
        self.config = config
        self.text_encoder = TextEncoder(config)
        self.image_encoder = ImageEncoder(config)

    @property
    def logit_scale(self) -> float:
        """The factor on the dot product of unit embeddings."""
        return self.config.logit_scale

    def text_embeddings(
        self, tokens: Int[Tensor, "batch context"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch n_embd"]:
        """Return unit embeddings (batch, n_embd) of captions."""
        return F.normalize(self.text_encoder(tokens, lengths), dim=-1)

    def image_embeddings(
        self, images: Float[Tensor, "batch 3 size size"], t: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch n_embd"]:
        """Return unit embeddings (batch, n_embd) of images (batch, 3, size, size) in -1..1."""
        # The released encoder takes pixels of 0..255 and subtracts its own means.
        return F.normalize(self.image_encoder((images + 1) * 127.5, t), dim=-1)

    def gradient(
        self, text: Float[Tensor, "batch n_embd"], scale: float | Tensor
    ) -> Callable[[Tensor, "Tensor"], Tensor]:
        """Return the guidance of GLIDE §2.3: s ∇_x (logit_scale · f(x_t, t)·g(c)).

        Args:
            text: unit caption embeddings (batch, n_embd).
            scale: guidance scale, a number or (batch,).

        Returns:
            `cond_fn(x, t)`: (batch, 3, size, size) and integer (batch,) to a gradient like x.
        """
        weight = torch.as_tensor(scale, dtype=torch.float32).to(text.device).expand(len(text))

        def cond_fn(x: Tensor, t: Tensor) -> Tensor:
            return self.similarity_gradient(x, beside(t, x), text, weight)

        return cond_fn

    def similarity_gradient(self, x: Tensor, t: Tensor, text: Tensor, weight: Tensor) -> Tensor:
        """Return ∇_x Σ weight · logit_scale · f(x_t, t)·g(c); all arguments on one device."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            similarity = (self.image_embeddings(x, t) * text).sum(-1)
            total = (self.logit_scale * weight * similarity).sum()
            return torch.autograd.grad(total, x)[0]
