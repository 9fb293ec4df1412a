"""The guidance of diffusers: which class a strategy is, and what its options are called there.

`scale` is always the one that is usually swept. diffusers' own formulation is used everywhere:
scale 1 of a classifier-free kind is no guidance, and so is scale 0 of what is added beside it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, create_model

from generator.strategies import MOST, STRATEGIES, Strategy
from glide_eval.files import Text

from .tables import ArmOptions

Fraction = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[tuple[Fraction, Fraction], Field(strict=False)]
Layers = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Scale = Annotated[float, Field(ge=1, lt=MOST)]
Positive = Annotated[float, Field(gt=0)]

BESIDE = {  # strategies that GLIDE has not
    strategy.name: strategy
    for strategy in (
        Strategy(
            "distilled", "Distilled", "distilled", "Distilled guidance", "#4d7d3a", "#86bd6f",
            "circle", (4, 2), neutral=0.0,
            at_0="the lowest guidance that the model was told of in training",
            at_1="the guidance that the model was distilled with, told as an input",
        ),
        Strategy(
            "perturbed_attention", "Perturbed attention", "pag", "Perturbed-attention guidance",
            "#a0446e", "#d583ab", "square", (2, 2), neutral=0.0,
            at_0="no perturbed-attention guidance",
            at_1="one difference to the model whose self-attention sees each place alone",
        ),
        Strategy(
            "smoothed_energy", "Smoothed energy", "seg", "Smoothed-energy guidance",
            "#7a6a1f", "#bfab4d", "diamond", (2, 2), neutral=0.0,
            at_0="no smoothed-energy guidance",
            at_1="one difference to the model whose attention is blurred",
        ),
        Strategy(
            "skip_layer", "Skip layer", "slg", "Skip-layer guidance",
            "#2b7a78", "#62b6b3", "triangle-up", (2, 2), neutral=0.0,
            at_0="no skip-layer guidance",
            at_1="one difference to the model without some of its layers",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Guider:
    """How diffusers guides by one strategy.

    Attributes:
        name: of the class in `diffusers.guiders`.
        scale: its argument that is swept.
        options: name in sweep files → (type, default, its argument; none where empty).
        fixed: arguments that are always given.
        layers: the argument that says which layers are perturbed, the class of its value, and what
            that is told beside the layers; empty where none are.
    """

    name: str
    scale: str = "guidance_scale"
    options: tuple[tuple[str, Any, Any, str], ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()
    layers: tuple[str, str, tuple[tuple[str, Any], ...]] | tuple[()] = ()


_RESCALE = ("rescale", Fraction, 0.0, "guidance_rescale")
_BESIDE_CFG = ("cfg_scale", Scale, 1.0, "guidance_scale")

GUIDERS = {
    "classifier_free": Guider("ClassifierFreeGuidance", options=(_RESCALE,)),
    "cfg_zero_star": Guider(
        "ClassifierFreeZeroStarGuidance",
        options=(_RESCALE, ("zero_steps", Annotated[int, Field(ge=0)], 1, "zero_init_steps")),
    ),
    "apg": Guider(
        "AdaptiveProjectedGuidance",
        options=(
            _RESCALE,
            ("parallel", Fraction, 0.0, "eta"),
            ("momentum", Annotated[float, Field(gt=-1, lt=1)], 0.0,
             "adaptive_projected_guidance_momentum"),
            ("norm", Annotated[float, Field(ge=0)], 0.0, "adaptive_projected_guidance_rescale"),
        ),
    ),
    "tangential": Guider("TangentialClassifierFreeGuidance", options=(_RESCALE,)),
    "frequency_decoupled": Guider(
        "FrequencyDecoupledGuidance", "guidance_scales",
        options=(_RESCALE, ("low_scale", Scale | None, None, "")),
    ),
    # Without some layers, not with random dropout: that would not be the sample's own noise.
    "autoguidance": Guider(
        "AutoGuidance", options=(_RESCALE,),
        layers=("auto_guidance_config", "LayerSkipConfig", ()),
    ),
    "perturbed_attention": Guider(
        "PerturbedAttentionGuidance", "perturbed_guidance_scale",
        (_BESIDE_CFG, _RESCALE),
        (("perturbed_guidance_start", 0.0), ("perturbed_guidance_stop", 1.0)),
        ("perturbed_guidance_config", "LayerSkipConfig",
         (("skip_attention", False), ("skip_attention_scores", True), ("skip_ff", False))),
    ),
    "smoothed_energy": Guider(
        "SmoothedEnergyGuidance", "seg_guidance_scale",
        (_BESIDE_CFG, _RESCALE, ("blur", Positive, 9999999.0, "seg_blur_sigma")),
        layers=("seg_guidance_config", "SmoothedEnergyGuidanceConfig", ()),
    ),
    "skip_layer": Guider(
        "SkipLayerGuidance", "skip_layer_guidance_scale",
        (_BESIDE_CFG, _RESCALE),
        (("skip_layer_guidance_start", 0.0), ("skip_layer_guidance_stop", 1.0)),
        ("skip_layer_config", "LayerSkipConfig", ()),
    ),
}  # fmt: skip
DIFFUSERS = {
    name: strategy for name, strategy in STRATEGIES.items() if name == "unguided" or name in GUIDERS
} | BESIDE


@functools.cache
def options_with(base: type[ArmOptions], strategy: str) -> type[ArmOptions]:
    """Return the options of one strategy's arms: those of every arm, and its guider's."""
    guider = GUIDERS.get(strategy)
    if guider is None:
        return base
    fields: dict[str, Any] = {name: (kind, default) for name, kind, default, _ in guider.options}
    fields["interval"] = (Interval, (0.0, 1.0))
    if guider.layers:
        fields |= {"layers": (Layers, ...), "blocks": (Text, "auto")}
    title = strategy.title().replace("_", "")
    return create_model(f"{title}Options", __base__=base, __module__=__name__, **fields)


def made_guider(strategy: str, scale: float | None, options: Any) -> Any:
    """Return diffusers' guider of an arm.

    Its interval is told as ours: 0 is the clean end.
    """
    import diffusers.guiders

    guider = GUIDERS[strategy]
    told = {argument: getattr(options, name) for name, _, _, argument in guider.options if argument}
    swept: Any = scale
    if strategy == "frequency_decoupled" and scale is not None:
        # Of what is fine and what is coarse, as in `generator.mixing.frequency_decoupled`.
        swept = [scale, max(scale / 2, 1.0) if options.low_scale is None else options.low_scale]
    if guider.layers:
        argument, kind, more = guider.layers
        told[argument] = _layer_config(kind)(options.layers, fqn=options.blocks, **dict(more))
    low, high = options.interval
    return getattr(diffusers.guiders, guider.name)(
        **{guider.scale: swept, "start": min(1 - high, 0.999), "stop": 1 - low},
        **told,
        **dict(guider.fixed),
    )


def _layer_config(name: str) -> Any:
    import diffusers.hooks
    from diffusers.hooks import smoothed_energy_guidance_utils

    where = diffusers.hooks if hasattr(diffusers.hooks, name) else smoothed_energy_guidance_utils
    return getattr(where, name)
