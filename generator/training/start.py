"""Where a training starts (bundled weights, a file, random weights), and who reads its captions."""

from __future__ import annotations

from pathlib import Path

from generator.checkpoints import WEIGHTS, load_clip, load_unet
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.errors import OptionError
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import Tokenizer

from .inpainting import grown
from .kinds import KINDS


def tokenizer_of(config: UNetConfig | ClipConfig) -> Tokenizer:
    """The tokenizer whose ids a model reads, told by their number.

    Raises:
        OptionError: no tokenizer here has that many.
    """
    if config.n_vocab == WordTokenizer.n_vocab:
        return WordTokenizer()
    raise OptionError(
        f"No tokenizer has {config.n_vocab:,} token ids: expected {WordTokenizer.n_vocab} "
        "(the tabletop's words). Set n_vocab in the model's config to it."
    )


def start_model(
    name: str, start: str | None, config: UNetConfig | ClipConfig | None
) -> TextUNet | Clip:
    """A model as it is before the first step, with the input channels its kind needs.

    Args:
        name: of the kind of training.
        start: `tabletop`, a weights file, or None for random weights.
        config: the model's, where it begins with random weights.

    Raises:
        OptionError: the model is not of that kind.
        CheckpointError: see `load_unet`.
    """
    kind = KINDS[name]
    path = start_path(name, start)
    if path is None:
        if kind.network is Clip and isinstance(config, ClipConfig):
            return Clip(config)
        if kind.network is TextUNet and isinstance(config, UNetConfig):
            return _fitting(TextUNet(config), name, "the config")
        raise OptionError(f"Training {name} from nothing needs that kind's model config.")
    if kind.network is Clip:
        return load_clip(path)
    return _fitting(load_unet(path), name, str(path))


def start_path(name: str, start: str | None) -> Path | None:
    """The weights a kind of training starts from; None for random ones."""
    if start == "tabletop":
        return WEIGHTS / f"{KINDS[name].bundled}.safetensors"
    return Path(start) if start else None


def _fitting(model: TextUNet, name: str, where: str) -> TextUNet:
    kind = KINDS[name]
    if kind.upsamples is not None and model.config.super_res != kind.upsamples:
        is_, wanted = (
            ("an upsampler", "a base model") if model.config.super_res
            else ("a base model", "an upsampler")
        )  # fmt: skip
        raise OptionError(
            f"Training of kind {name} needs {wanted}; {where} is "
            f"{is_}. Name another start or config."
        )
    return grown(model) if kind.inpaints and not model.config.inpaint else model
