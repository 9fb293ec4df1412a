"""Text-conditional UNets: GLIDE's base model, upsampler, and their inpainting forms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from .config import UNetConfig
from .layers import LayerNorm32, timestep_embedding
from .text_transformer import Transformer
from .unet import UNet


@dataclass(frozen=True)
class TextCondition:
    """All a UNet needs of a batch of captions; computed once, used at every step.

    Attributes:
        summary: (batch, embedding), added to the timestep embedding.
        text_kv: a (batch, tokens, heads, 2, channels) tensor for each attention block.
    """

    summary: Tensor
    text_kv: list[Tensor]

    def expanded(self, batch: int) -> TextCondition:
        """Return one caption's condition as a batch of `batch` rows; views, no copies."""
        return TextCondition(
            self.summary.expand(batch, -1),
            [kv.expand(batch, *kv.shape[1:]) for kv in self.text_kv],
        )


class TextUNet(UNet):
    """A UNet with its own text transformer (GLIDE §2.1).

    One class holds all four released UNets. `config.super_res` and `config.inpaint` say which
    channels follow those of x: masked image and mask, then the upsampled low-resolution image.
    """

    def __init__(self, config: UNetConfig):
        super().__init__(config)
        width = config.xf_width
        self.transformer = Transformer(width, config.xf_layers, config.xf_heads)
        self.final_ln = LayerNorm32(width)
        self.token_embedding = nn.Embedding(config.n_vocab, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.text_ctx, width))
        self.padding_embedding = nn.Parameter(torch.empty(config.text_ctx, width))
        self.transformer_proj = nn.Linear(width, 4 * config.num_channels)
        for embedding in (
            self.token_embedding.weight,
            self.positional_embedding,
            self.padding_embedding,
        ):
            nn.init.normal_(embedding, std=0.02)

    def read_text(
        self, tokens: Int[Tensor, "batch text_ctx"], mask: Bool[Tensor, "batch text_ctx"]
    ) -> tuple[Float[Tensor, "batch embedding"], Float[Tensor, "batch text_ctx xf_width"]]:
        """Run the text transformer.

        Args:
            tokens: int64 (batch, text_ctx).
            mask: bool (batch, text_ctx), True at real tokens. At padded places a learned
                embedding per position replaces token and position; they are attended to.

        Returns:
            The summary (batch, 4·num_channels), read at the last position, and the sequence
            (batch, text_ctx, xf_width).
        """
        embedded = self.token_embedding(tokens) + self.positional_embedding
        # Padding is attended to: the released weights were trained without an attention mask.
        embedded = torch.where(mask[..., None], embedded, self.padding_embedding)
        sequence = self.final_ln(self.transformer(embedded.to(self.transformer_proj.weight.dtype)))
        return self.transformer_proj(sequence[:, -1]), sequence

    def move_reader(self, device: torch.device) -> None:
        """Move what only reading captions needs: token embedding and transformer."""
        for part in (self.token_embedding, self.transformer, self.final_ln):
            moved = {name: value.to(device) for name, value in part.state_dict().items()}
            part.load_state_dict(moved, assign=True)

    def condition(
        self, tokens: Int[Tensor, "batch text_ctx"], mask: Bool[Tensor, "batch text_ctx"]
    ) -> TextCondition:
        """Return what the UNet needs of these captions (see `read_text` for the arguments)."""
        summary, sequence = self.read_text(tokens, mask)
        return TextCondition(
            summary, [block.text_kv(sequence) for block in self.attention_blocks()]
        )

    def forward(
        self,
        x: Float[Tensor, "batch 3 size size"],
        t: Shaped[Tensor, " batch"],
        text: TextCondition,
        low_res: Float[Tensor, "batch 3 small small"] | None = None,
        inpaint_image: Float[Tensor, "batch 3 size size"] | None = None,
        inpaint_mask: Float[Tensor, "batch 1 size size"] | None = None,
    ) -> Float[Tensor, "batch 6 size size"]:
        """Predict the noise.

        Args:
            x: (batch, 3, size, size), -1..1 plus noise.
            t: (batch,), steps of the 1000-step process; may be fractional.
            text: from `condition`.
            low_res: (batch, 3, small, small), -1..1; the upsampler's picture.
            inpaint_image: (batch, 3, size, size), -1..1; None means nothing is known.
            inpaint_mask: (batch, 1, size, size), 1 = known, 0 = to paint.

        Returns:
            (batch, 6, size, size): ε, then the variance fraction v of Nichol & Dhariwal 2021 eq. 15
            scaled to -1..1.
        """
        emb = self.time_embed(timestep_embedding(t, self.config.num_channels))
        emb = emb + text.summary.to(emb)
        return self.torso(
            self._with_conditions(x, low_res, inpaint_image, inpaint_mask), emb, text.text_kv
        )

    def _with_conditions(
        self, x: Tensor, low_res: Tensor | None, image: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        channels = [x]
        if self.config.inpaint:
            image = torch.zeros_like(x) if image is None else image
            mask = torch.zeros_like(x[:, :1]) if mask is None else mask
            # Without the mask the network could not tell a black pixel from an unknown one.
            channels += [image * mask, mask]
        if self.config.super_res:
            if low_res is None:
                raise ValueError("an upsampler needs low_res, a (batch, 3, small, small) picture")
            size = x.shape[-2:]
            channels.append(F.interpolate(low_res, size, mode="bilinear", align_corners=False))
        return torch.cat(channels, dim=1) if len(channels) > 1 else x
