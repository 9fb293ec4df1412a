"""The samplers: one record each; their functions are in `generator.sampling`.

To add one, add its function there and its record here. Imports no torch, so that listing them is
quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SamplerRecord:
    """One sampler.

    Attributes:
        name: as in sweep files and options.
        function: its name in `generator.sampling`.
        paper: where it is from.
        stochastic: whether it draws noise at every step; DDIM does only at η > 0.
        spacing: how a count of steps is spread: evenly in t, or evenly in log SNR.
        steps: a count to start from.
    """

    name: str
    function: str
    paper: str
    stochastic: bool = False
    spacing: Literal["t", "logsnr"] = "t"
    steps: int = 100


SAMPLERS = {
    sampler.name: sampler
    for sampler in (
        SamplerRecord("ddpm", "ddpm", "Ho et al. 2020, arXiv 2006.11239", stochastic=True),
        SamplerRecord("ddim", "ddim", "Song et al. 2021, arXiv 2010.02502"),
        # It extrapolates in λ = log(α/σ). Steps even in t end with a leap in λ over which that is
        # worse than DDIM.
        SamplerRecord(
            "dpm++2m", "dpm_solver_pp_2m", "Lu et al. 2022, arXiv 2211.01095", spacing="logsnr"
        ),
        SamplerRecord("plms", "plms", "Liu et al. 2022, arXiv 2202.09778"),
    )
}
DEFAULT = SAMPLERS["ddpm"]
