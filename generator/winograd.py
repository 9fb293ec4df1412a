"""3x3 convolutions by Winograd's minimal filtering, F(2x2, 3x3), on a CPU.

Four outputs from sixteen products instead of thirty-six (Lavin & Gray 2016, arXiv 1509.09308, §4.1)
and a few additions. oneDNN's direct convolution already runs at the processor's peak, so fewer
products are the only way left; results differ from the direct sum's in fp32's last digits. It pays
from some hundred channels on: additions grow with channels, products with their square. In bf16
the transforms round too: the full-size base is off by 0.008 (root mean square) instead of 0.006.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_DTYPES = (torch.float32, torch.bfloat16)
PAYS_FROM = 192  # channels in and out: the released models' narrowest level

_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))  # G, eq. 8


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride and padding 1 that is transformed at its first inference.

    The transformed kernel takes 16/9 of the kernel's memory, beside it, and is not part of the
    state. Training, odd sizes and fp16 take the direct sum.
    """

    _transformed: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to (batch, out_channels, height, width)."""
        even = input.shape[2] % 2 == 0 and input.shape[3] % 2 == 0
        if torch.is_grad_enabled() or input.dtype not in _DTYPES or not even:
            return super().forward(input)
        if self._transformed is None or self._transformed.dtype != input.dtype:
            self._transformed = transformed_kernel(self.weight)
        out = convolved(input.permute(0, 2, 3, 1), self._transformed)
        return (out if self.bias is None else out.add_(self.bias)).permute(0, 3, 1, 2)


def use_winograd(network: nn.Module) -> None:
    """Turn a network's wide 3x3 convolutions into `WinogradConv2d`s, in place.

    Parameters and their names stay. Load weights before, not after.
    """
    for module in network.modules():
        if (
            type(module) is nn.Conv2d
            and module.kernel_size == (3, 3)
            and module.padding == module.stride == (1, 1)
            and min(module.in_channels, module.out_channels) >= PAYS_FROM
        ):
            module.__class__ = WinogradConv2d


def transformed_kernel(weight: Float[Tensor, "out in 3 3"]) -> Float[Tensor, "16 in out"]:
    """G g Gᵀ for each pair of channels, in fp32, then rounded: (out, in, 3, 3) to (16, in, out)."""
    g = torch.tensor(_KERNEL, device=weight.device)
    transformed = torch.einsum("ia,ocab,jb->ijco", g, weight.float(), g).to(weight.dtype)
    return transformed.reshape(16, weight.shape[1], weight.shape[0]).contiguous()


def convolved(
    x: Float[Tensor, "batch height width channels"], kernel: Float[Tensor, "16 channels out"]
) -> Float[Tensor, "batch height width out"]:
    """Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A over all 2x2 tiles.

    Args:
        x: (batch, height, width, channels), height and width even.
        kernel: from `transformed_kernel`.

    Returns:
        (batch, height, width, out).
    """
    batch, height, width, channels = x.shape
    rows, columns, out = height // 2, width // 2, kernel.shape[2]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    half = x.new_empty(4, batch, rows, width + 2, channels)
    _input_transform(padded[:, 0::2], padded[:, 1::2], list(half), dim=1)
    tiles = x.new_empty(4, 4, batch, rows, columns, channels)
    _input_transform(half[..., 0::2, :], half[..., 1::2, :], list(tiles.unbind(1)), dim=3)
    products = torch.bmm(tiles.view(16, -1, channels), kernel)
    products = products.view(4, 4, batch, rows, columns, out)
    result = x.new_empty(batch, rows, 2, columns, 2, out)
    for i, line in enumerate(_output_transform(*products)):
        for j, pixel in enumerate(_output_transform(*line)):
            result[:, :, i, :, j] = pixel
    return result.view(batch, height, width, out)


def _input_transform(even: Tensor, odd: Tensor, into: list[Tensor], dim: int) -> None:
    """Bᵀ d along one axis; `even` and `odd` are its lines 0, 2, … and 1, 3, …"""
    count = even.shape[dim] - 1
    d0, d2 = even.narrow(dim, 0, count), even.narrow(dim, 1, count)
    d1, d3 = odd.narrow(dim, 0, count), odd.narrow(dim, 1, count)
    torch.sub(d0, d2, out=into[0])
    torch.add(d1, d2, out=into[1])
    torch.sub(d2, d1, out=into[2])
    torch.sub(d1, d3, out=into[3])


def _output_transform(
    m0: Tensor, m1: Tensor, m2: Tensor, m3: Tensor
) -> tuple[Tensor, "Tensor"]:  # fmt: skip
    """Aᵀ m along one axis."""
    return torch.add(m0, m1).add_(m2), torch.sub(m1, m2).sub_(m3)
