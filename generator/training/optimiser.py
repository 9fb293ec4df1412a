"""Optimisers: AdamW, and Muon for the matrices beside AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Whatever names these holds maps ids or positions to vectors, or is the first or last convolution:
# Muon's authors leave such weights to AdamW.
_NOT_MATRICES = ("embedding", "input_blocks.0.", "out.2.")
ADAMW_SHARE = 0.3  # AdamW's learning rate beside Muon's, for what Muon leaves


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) for weights of any rank: each seen as a matrix (out, everything).

    Every update is orthogonalised, so directions that gradients rarely take are learned too. On the
    miniature's base model it reaches a given loss in about a third of AdamW's steps. On a CPU the
    update is orthogonalised in float32 (see `orthogonalised`): torch computes it in bfloat16, which
    most CPUs emulate, and the optimiser then takes longer than the network.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, weight_decay: float):
        self.weights = list(weights)
        matrices = [nn.Parameter(_matrix(w.detach(), w)) for w in self.weights]
        for matrix, weight in zip(matrices, self.weights, strict=True):
            assert matrix.data_ptr() == weight.data_ptr(), "a matrix must share its weight's memory"
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the weights once from their gradients."""
        for matrix, weight in zip(self.param_groups[0]["params"], self.weights, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad, weight)
        if any(not weight.is_cpu for weight in self.weights):
            return super().step(closure)
        value = None if closure is None else closure()
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._move(matrix, matrix.grad, group)
        return value

    def _move(self, matrix: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Apply torch's own update of a matrix (Nesterov momentum), orthogonalised in float32."""
        state, momentum = self.state[matrix], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        update = orthogonalised(gradient.lerp(buffer, momentum))
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        # 0.2 √max(m, n) gives the update the typical size of AdamW's (torch's match_rms_adamw).
        matrix.add_(update, alpha=-0.2 * group["lr"] * max(matrix.shape) ** 0.5)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Bring a matrix's singular values near 1, keeping its singular vectors.

    Five steps of Jordan's quintic Newton-Schulz iteration, X ← (a + b G + c G²) X with G = X Xᵀ.
    Each factor is a polynomial in the first G, so the iteration runs on the small square G alone
    and meets the long side of the matrix twice, not ten times.

    Args:
        matrix: float32 (m, n), not zero.

    Returns:
        float32 (m, n); singular values between about 0.7 and 1.2, except those that were below
        a thousandth of the matrix's norm.
    """
    # Jordan's coefficients: steep at zero, so that small singular values rise fastest.
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-7)
    gram, product = wide @ wide.T, None
    for _ in range(5):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        gram = factor @ gram @ factor
        product = factor if product is None else factor @ product
    assert product is not None
    result = product @ wide
    return result if len(matrix) <= matrix.shape[1] else result.T


def optimisers(
    model: nn.Module, kind: str, lr: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Return the optimisers that together train a model's parameters.

    Each group's `share` says which part of the schedule's learning rate it takes.

    Args:
        model: where it will be trained; moving it afterwards breaks Muon's views.
        kind: `adamw`, or `muon`: Muon for matrices, AdamW for the rest.
        lr: peak learning rate.
        weight_decay: of matrices and convolutions; norms and biases have none.
    """
    named = list(model.named_parameters())
    decayed = [p for _, p in named if p.dim() > 1]
    plain = [p for _, p in named if p.dim() <= 1]
    if kind == "adamw":
        return [_adamw(decayed, plain, lr, weight_decay, share=1.0)]
    if kind != "muon":
        raise ValueError(f"optimiser must be adamw or muon; got {kind!r}")
    matrices = [
        p for name, p in named if p.dim() > 1 and not any(part in name for part in _NOT_MATRICES)
    ]
    chosen = {id(p) for p in matrices}
    rest = [p for p in decayed if id(p) not in chosen]
    muon = Muon(matrices, lr, weight_decay)
    muon.param_groups[0]["share"] = 1.0
    return [muon, _adamw(rest, plain, lr, 0.0, share=ADAMW_SHARE)]


def _adamw(
    decayed: list[nn.Parameter], plain: list[nn.Parameter], lr: float, decay: float, share: float
) -> torch.optim.AdamW:
    groups = [
        {"params": decayed, "weight_decay": decay, "share": share},
        {"params": plain, "weight_decay": 0.0, "share": share},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Return a weight's values as (out, everything); of the weight itself this is a view."""
    if weight.dim() == 4 and not weight.is_contiguous():  # channels last
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)
