"""Where a training starts (bundled weights, a file, random weights), and who reads its captions."""

from __future__ import annotations

from pathlib import Path

from generator.bpe import ClipTokenizer, Gpt2Tokenizer
from generator.checkpoints import load_clip, load_released_clip, load_unet
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.errors import CheckpointError, OptionError
from generator.loading import network_files
from generator.models import MODELS, model_folder
from generator.released import VOCABULARY, released_folder
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import Tokenizer

from .inpainting import grown
from .kinds import KINDS

GPT2_VOCABULARY = UNetConfig().n_vocab
CLIP_VOCABULARY = ClipConfig().n_vocab  # the released CLIP's embedding, larger than its ids


def tokenizer_of(config: UNetConfig | ClipConfig) -> Tokenizer:
    """Return the tokenizer whose ids a model reads, by the number of ids.

    Raises:
        OptionError: no tokenizer here has that many.
        CheckpointError: GPT-2's vocabulary is not on disk.
    """
    if config.n_vocab == WordTokenizer.n_vocab:
        return WordTokenizer()
    if config.n_vocab == GPT2_VOCABULARY:
        return Gpt2Tokenizer(released_folder() / VOCABULARY.file)
    if config.n_vocab == CLIP_VOCABULARY:
        return ClipTokenizer()
    raise OptionError(
        f"No tokenizer has {config.n_vocab:,} token ids: expected {WordTokenizer.n_vocab} (the "
        f"tabletop's words), {GPT2_VOCABULARY} (GPT-2's) or {CLIP_VOCABULARY} (CLIP's). Set "
        "n_vocab in the model's config to one of these."
    )


def start_model(
    name: str, start: str | None, config: UNetConfig | ClipConfig | None
) -> TextUNet | Clip:
    """Return a model before its first step, with the input channels that its kind needs.

    Args:
        name: of the kind of training.
        start: `tabletop`, `glide`, a weights file, or None for random weights.
        config: the model's, where it begins with random weights.

    Raises:
        OptionError: the model is not of that kind.
        CheckpointError: see `load_unet`.
    """
    kind = KINDS[name]
    paths = start_paths(name, start)
    if not paths:
        if kind.network is Clip and isinstance(config, ClipConfig):
            return Clip(config)
        if kind.network is TextUNet and isinstance(config, UNetConfig):
            return _fitting(TextUNet(config), name, "the config")
        raise OptionError(f"Training {name} from nothing needs that kind's model config.")
    if kind.network is not Clip:
        return _fitting(load_unet(paths[0]), name, str(paths[0]))
    return load_released_clip(paths[0], paths[1]) if len(paths) == 2 else load_clip(paths[0])


def start_paths(name: str, start: str | None) -> tuple[Path, ...]:
    """Return the weights files that a kind of training starts from; none for random weights.

    Raises:
        CheckpointError: `glide` is not on disk.
    """
    if start not in MODELS:
        return (Path(start),) if start else ()
    paths = network_files(model_folder(start), KINDS[name].starts_from)
    if missing := [path.name for path in paths if not path.is_file()]:
        raise CheckpointError(
            f"Training starts from `{start}`, of which {', '.join(missing)} is not on disk. Fetch "
            f"it with `glide-eval models fetch {start}`."
        )
    return paths


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
