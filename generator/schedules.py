"""Noise schedules and respacing. Everything in float64."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from .errors import OptionError

STEPS = 1000
_LEAST_LAMBDA = -5.0


def betas(name: str) -> Float64[np.ndarray, " steps"]:
    """Return β_1…β_T of a noise schedule, T = 1000.

    `linear`: β rises evenly from 1e-4 to 0.02 (Ho et al. 2020, section 4). `squaredcos_cap_v2`:
    β_t = min(1 − ᾱ_t/ᾱ_{t−1}, 0.999) with ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + 0.008)/1.008 · π/2)
    (Nichol & Dhariwal 2021, eq. 17).

    Args:
        name: of the schedule.

    Returns:
        (1000,) float64 in 0..0.999.

    Raises:
        OptionError: an unknown name.

    Examples:
        >>> betas("linear")[[0, -1]]
        array([0.0001, 0.02  ])
    """
    if name == "linear":
        return np.linspace(1e-4, 0.02, STEPS, dtype=np.float64)
    if name == "squaredcos_cap_v2":
        # The cap keeps ᾱ_T above 0: other formulas divide by it.
        edges = np.cos((np.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1 - edges[1:] / edges[:-1], 0.999)
    raise OptionError(f"Unknown noise schedule {name!r}: use squaredcos_cap_v2 or linear.")


def kept_steps(respacing: str, schedule: str = "squaredcos_cap_v2") -> list[int]:
    """Return the steps of 0..999 that a respacing string keeps, ascending.

    `""` keeps all; `"100"` that many, evenly; `"27,27,27"` those counts in equal segments;
    `"ddim50"` an even integer stride (Song et al. 2021); `"fast27"` GLIDE's upsampler steps:
    10,10,3,2,2 in five segments, with the noisiest step moved from 999 down to 997; `"logsnr20"`
    that many, evenly in λ = log(α/σ), as DPM-Solver likes them (Lu et al. 2022).

    Args:
        respacing: as above.
        schedule: whose λ `logsnrN` spaces; the others do not depend on it.

    Raises:
        OptionError: a string of another form, or more steps than there are.

    Examples:
        >>> kept_steps("5"), len(kept_steps("fast27"))
        ([0, 250, 500, 749, 999], 27)
    """
    if respacing == "":
        return list(range(STEPS))
    if respacing == "fast27":
        return sorted({*_sections([10, 10, 3, 2, 2]), STEPS - 3} - {STEPS - 1})
    try:
        if respacing.startswith("ddim"):
            count = int(respacing[4:])
            stride = next((i for i in range(1, STEPS) if len(range(0, STEPS, i)) == count), None)
            if stride is None:
                raise OptionError(
                    f"ddim{count}: no integer stride over {STEPS} steps gives {count} of them. "
                    f"Use a divisor of {STEPS}, or the plain count {count}."
                )
            return list(range(0, STEPS, stride))
        if respacing.startswith("logsnr"):
            return _even_in_log_snr(int(respacing[6:]), schedule)
        counts = [int(part) for part in respacing.split(",")]
    except ValueError:
        raise OptionError(
            f"Respacing {respacing!r} is not understood: use a count (100), counts by segment "
            "(10,10,3,2,2), ddimN, logsnrN, or fast27."
        ) from None
    return _sections(counts)


def half_log_snr(alpha_bar: Float64[np.ndarray, " steps"]) -> Float64[np.ndarray, " steps"]:
    """Return λ = log(α/σ) of ᾱ = α², σ² = 1 − ᾱ: half the log signal-to-noise ratio.

    λ is the variable in which DPM-Solver integrates (Lu et al. 2022, arXiv 2206.00927).

    Args:
        alpha_bar: float64 between 0 and 1, both excluded.

    Returns:
        float64 of the same length, in nats; it grows as noise falls.

    Examples:
        >>> half_log_snr(np.array([0.5, 0.99])).round(3)
        array([0.   , 2.298])
    """
    # log1p keeps the digits that 1 − ᾱ loses where ᾱ is nearly 0.
    return 0.5 * (np.log(alpha_bar) - np.log1p(-alpha_bar))


def _even_in_log_snr(count: int, schedule: str) -> list[int]:
    """Return steps nearest to evenly spaced λ; the noisiest is always 999, where sampling begins.

    The spacing starts at λ = -5 (α < 0.007): the cosine schedule goes on to -10, where x_t says
    nothing of x_0, and a third of the steps would be spent there.
    """
    if not 1 <= count <= STEPS:
        raise OptionError(f"logsnr{count}: keep between 1 and {STEPS} steps.")
    known = half_log_snr(np.cumprod(1 - betas(schedule)))
    wanted = np.linspace(known[0], max(known[-1], _LEAST_LAMBDA), count)
    steps = np.abs(known[None] - wanted[:, None]).argmin(1)
    steps[-1] = STEPS - 1
    # Near the ends λ moves fast, and neighbours may round to one step: part them.
    order = np.arange(count)
    steps = np.maximum.accumulate(steps - order) + order
    return np.minimum(steps, STEPS - count + order).tolist()


def _sections(counts: list[int]) -> list[int]:
    """Spread each count evenly over its segment, both ends kept."""
    size, extra = divmod(STEPS, len(counts))
    start, steps = 0, []
    for i, count in enumerate(counts):
        length = size + (1 if i < extra else 0)
        if not 1 <= count <= length:
            raise OptionError(
                f"Cannot keep {count} of {length} steps: keep between 1 and {length}."
            )
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        # Summed, not multiplied: the released code's rounding of ties depends on it.
        for _ in range(count):
            steps.append(start + round(position))
            position += stride
        start += length
    return sorted(set(steps))
