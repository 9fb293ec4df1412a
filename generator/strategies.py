"""The guidance strategies: one record each, from which options, sweep files and reports derive.

To add one, add its record here and its denoiser or gradient to `generator.pipeline`. Imports no
torch, so that listing them is quick.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST = 10_000  # scales are below


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to guide, as every part of the toolkit needs to know it.

    Attributes:
        name: as in sweep files, arms and options.
        label: begins the label of its arms.
        prefix: begins the name of its arms.
        words: what figures, tables and pages call it.
        colour: of its marks in figures, hex.
        dark: the same on a dark page.
        marker: of its points, one of `analysis.report`'s.
        dashes: of its lines where several runs are drawn together, as in SVG.
        neutral: the scale that is no guidance; None where there is no scale.
        below: whether it takes scales from 0 on, between its `at_0` and no guidance.
        at_0: what scale 0 means; empty where there is no scale.
        at_1: what scale 1 means.
        options: fields of `generator.options.Sampling` that only some strategies have.
        empty: whether it mixes the caption's prediction with the empty caption's (`mixing`).
        network: the network beside the base model and the upsampler that it needs; else None.
    """

    name: str
    label: str
    prefix: str
    words: str
    colour: str
    dark: str
    marker: str
    dashes: tuple[int, ...] = (1, 0)
    neutral: float | None = None
    below: bool = False
    at_0: str = ""
    at_1: str = ""
    options: tuple[str, ...] = ()
    empty: bool = False
    network: str | None = None

    @property
    def least(self) -> float:
        """The smallest scale it takes; where that is neutral too, `takes` leaves it out."""
        return 0.0 if self.below else self.neutral or 0.0

    def takes(self, scale: float) -> bool:
        """Return whether guidance at this scale does something, or is the neutral scale above 0."""
        inside = self.neutral is not None and self.least <= scale < MOST
        return inside and (scale > 0 or self.below)


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            "unguided", "Unguided", "unguided", "Unguided", "#767e8c", "#9aa2b0", "circle",
        ),
        Strategy(
            "classifier_free", "Classifier-free", "cfg", "Classifier-free guidance",
            "#1f74c4", "#5ba4ec", "circle", neutral=1.0, below=True,
            at_0="the empty caption's model, which knows nothing of the prompt",
            at_1="no guidance: the conditional model as it is",
            options=("interval", "rescale"), empty=True,
        ),
        Strategy(
            "clip", "CLIP", "clip", "CLIP guidance", "#d9700f", "#f0954a", "square", (6, 4),
            neutral=0.0,
            at_0="no guidance: the conditional model as it is",
            at_1="one gradient of the noised CLIP's score, scaled by its logit scale",
            options=("interval",), network="clip",
        ),
        Strategy(
            "classifier", "Classifier", "classifier", "Classifier guidance",
            "#8a5bb5", "#b892dc", "diamond", (2, 3), neutral=0.0,
            at_0="no guidance: the conditional model as it is",
            at_1="one gradient of log p(y | x_t): the posterior of an ideal classifier",
            options=("interval",), network="classifier",
        ),
        Strategy(
            "cfg_zero_star", "CFG-Zero*", "zero", "CFG-Zero* guidance", "#0c8599", "#3bc0d4",
            "circle", (5, 2), neutral=1.0,
            at_0="the empty caption's model, scaled to fit the conditional one",
            at_1="no guidance: the conditional model as it is",
            options=("interval", "rescale"), empty=True,
        ),
        Strategy(
            "apg", "APG", "apg", "Adaptive projected guidance", "#c2415a", "#ec7a8f",
            "triangle-up", (3, 3), neutral=1.0,
            at_0="the empty caption's model, which knows nothing of the prompt",
            at_1="next to no guidance: the conditional model without what is parallel to it",
            options=("interval", "rescale", "parallel", "momentum", "norm"), empty=True,
        ),
        Strategy(
            "tangential", "Tangential", "tan", "Tangential guidance", "#5b6ee1", "#93a1f5",
            "square", (1, 3), neutral=1.0,
            at_0="the empty caption's model along both predictions' main direction",
            at_1="no guidance: the conditional model as it is",
            options=("interval", "rescale"), empty=True,
        ),
        Strategy(
            "frequency_decoupled", "Frequency-decoupled", "fdg", "Frequency-decoupled guidance",
            "#6f8f1f", "#a9cc52", "diamond", (5, 3), neutral=1.0,
            at_0="the empty caption's model in what is fine",
            at_1="no guidance of what is fine",
            options=("interval", "rescale", "low_scale"), empty=True,
        ),
        Strategy(
            "autoguidance", "Autoguidance", "auto", "Autoguidance", "#3d9a50", "#6cc97e",
            "triangle-up", (4, 2), neutral=1.0, below=True,
            at_0="the weaker model",
            at_1="no guidance: the model as it is",
            options=("interval", "rescale"), network="base_weak",
        ),
    )
}  # fmt: skip
