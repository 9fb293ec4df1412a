"""The pre-norm transformer that reads captions for the UNets (GLIDE §2.1; CLIP's ViT layout)."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import LayerNorm32, attend


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.c_qkv = nn.Linear(width, width * 3)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        # The projection holds each head's q, k and v side by side.
        qkv = self.c_qkv(x).view(batch, tokens, self.heads, 3, width // self.heads)
        mixed = attend(*qkv.unbind(3))
        return self.c_proj(mixed.reshape(batch, tokens, width))


class _Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.c_fc = nn.Linear(width, width * 4)
        self.c_proj = nn.Linear(width * 4, width)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attn = _Attention(width, heads)
        self.ln_1 = LayerNorm32(width)
        self.mlp = _Mlp(width)
        self.ln_2 = LayerNorm32(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Bidirectional; padding is attended to, as in the released models."""

    def __init__(self, width: int, layers: int, heads: int):
        super().__init__()
        self.resblocks = nn.ModuleList([_Block(width, heads) for _ in range(layers)])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) in and out."""
        for block in self.resblocks:
            x = block(x)
        return x
