"""From a model's name to a pipeline of its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from generator.tabletop.words import WordTokenizer

from .bpe import ClipTokenizer, Gpt2Tokenizer
from .checkpoints import load_clip, load_released_clip, load_unet, read_config
from .clip import Clip
from .config import UNetConfig
from .errors import CheckpointError, OptionError
from .pipeline import Pipeline
from .released import VOCABULARY, released_folder
from .stages import STAGES, LazyModel
from .text_unet import TextUNet
from .tokenizer import Tokenizer
from .weight_files import WEIGHTS, checked_sha256

MODELS = ("tabletop", "glide")  # names; anything else is a folder
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# stage -> the name of our file, and of the released ones that hold the same
_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": ("base.safetensors", ("base.pt",)),
    "upsampler": ("upsample.safetensors", ("upsample.pt",)),
    "clip": ("noised-clip.safetensors", ("clip_image_enc.pt", "clip_text_enc.pt")),
    "base_inpaint": ("base-inpaint.safetensors", ("base_inpaint.pt",)),
    "upsample_inpaint": ("upsample-inpaint.safetensors", ("upsample_inpaint.pt",)),
}
_NEEDED = ("base", "upsampler", "clip")


def load_pipeline(
    model: str = "tabletop",
    device: str = "cpu",
    dtype: str = "float32",
    *,
    stages: Sequence[str] = _NEEDED,
    low_memory: bool = False,
) -> Pipeline:
    """Load a model by name or from a folder of its files.

    Args:
        model: `tabletop`, the bundled miniature; `glide`, OpenAI's released files, once fetched; or
            a folder with `base`, `upsample`, `noised-clip`, `base-inpaint` and `upsample-inpaint`
            as .safetensors of ours, or the released .pt files under their published names.
        device: a torch device.
        dtype: `float32`, `bfloat16` or `float16`.
        stages: which must be there; they are loaded now, and `weights` holds their digests. Others
            load if they are used. See `stages.STAGES`.
        low_memory: load each stage only when it is used, and let go of those that do not work
            beside it: slower from one batch to the next, and never two UNets in memory.

    Raises:
        CheckpointError: a file is missing, corrupt, changed since its download or of another model.
        OptionError: an unknown dtype or stage, or a device this machine lacks.
    """
    if dtype not in _DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}.")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError(
            f"Device {device!r} is not there: no CUDA device found. Use device = 'cpu'."
        )
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise OptionError(f"Unknown stage {unknown[0]!r}: use some of {', '.join(STAGES)}.")
    folder = model_folder(model)
    files = {stage: stage_files(folder, stage) for stage in _FILES}
    needed = [path for stage in stages for path in files[stage]]
    _refuse_missing(model, folder, needed)
    weights = {path.name: checked_sha256(path) for path in needed}
    lazy = {
        stage: _lazy(stage, paths, torch.device(device), _DTYPES[dtype])
        for stage, paths in files.items()
        if stage in _NEEDED or model == "glide" or all(path.is_file() for path in paths)
    }
    reads = next((stage for stage in stages if stage != "clip"), "base")
    tokenizer = _unet_tokenizer(lazy[reads], folder, weights)
    # A CLIP is only looked at if it is there: whoever asks for no guidance by it need not have it.
    clip_there = all(path.is_file() for path in files["clip"])
    clip_tokenizer = _clip_tokenizer(lazy["clip"]) if clip_there else tokenizer
    pipeline = Pipeline(
        tokenizer=tokenizer, clip_tokenizer=clip_tokenizer, weights=weights,
        device=torch.device(device), dtype=_DTYPES[dtype], low_memory=low_memory, **lazy,
    )  # fmt: skip
    for stage in () if low_memory else stages:
        pipeline.stages.get(stage)
    return pipeline


def model_folder(model: str) -> Path:
    """The folder of a model by name, or the path itself."""
    named = {"tabletop": WEIGHTS, "glide": released_folder()}
    return named.get(model) or Path(model)


def stage_files(folder: Path, stage: str) -> tuple[Path, ...]:
    """The files of a stage: the released ones where they lie and ours does not."""
    ours, released = _FILES[stage]
    paths = tuple(folder / file for file in released)
    if not (folder / ours).is_file() and (folder == released_folder() or paths[0].is_file()):
        return paths
    return (folder / ours,)


def _refuse_missing(model: str, folder: Path, needed: Sequence[Path]) -> None:
    """One paragraph for a model that is not (all) there, before anything is read."""
    missing = [path for path in needed if not path.is_file()]
    if not missing:
        return
    names = ", ".join(path.name for path in missing)
    if model == "glide":
        begun = [path.name for path in missing if path.with_name(path.name + ".part").is_file()]
        note = f" ({', '.join(begun)}: download begun, not finished)" if begun else ""
        raise CheckpointError(
            f"The released model `glide` is not (all) on disk: {names} missing from {folder}"
            f"{note}. Fetch it with `glide-eval models fetch glide`."
        )
    if not folder.is_dir():
        raise CheckpointError(
            f"Unknown model {model!r}: expected one of {', '.join(MODELS)} or a folder of weights, "
            "found neither."
        )
    raise CheckpointError(
        f"{folder} is not a whole model: {names} missing. Expected .safetensors of this toolkit or "
        "the released .pt files."
    )


def _lazy(
    stage: str, paths: tuple[Path, ...], device: torch.device, dtype: torch.dtype
) -> LazyModel[Any]:
    if stage == "clip":
        load: Callable[[], Clip] = partial(_load_clip, paths, device)
        return LazyModel(partial(read_config, paths[0]), load)
    return LazyModel(
        partial(_unet_config, paths[0], stage), partial(_load_unet, paths[0], stage, device, dtype)
    )


def _load_clip(paths: tuple[Path, ...], device: torch.device) -> Clip:
    if len(paths) == 1:
        return load_clip(paths[0], device)
    image_encoder, text_encoder = paths
    return load_released_clip(image_encoder, text_encoder, device)


def _load_unet(path: Path, stage: str, device: torch.device, dtype: torch.dtype) -> TextUNet:
    """A UNet whose convolutions lie in the layout that is fastest on CPUs and tensor cores."""
    unet = load_unet(path, device, dtype, config=_unet_config(path, stage))
    return unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _unet_config(path: Path, stage: str) -> UNetConfig:
    """The config of a stage's file, which must be fit for that stage."""
    config = read_config(path)
    expected = ("upsampl" in stage, "inpaint" in stage)
    if not isinstance(config, UNetConfig) or (config.super_res, config.inpaint) != expected:
        found = "a CLIP"
        if isinstance(config, UNetConfig):
            found = f"a UNet with super_res={config.super_res}, inpaint={config.inpaint}"
        raise CheckpointError(
            f"Weights {path} hold {found}, expected a UNet with super_res={expected[0]}, "
            f"inpaint={expected[1]}. Put the right file under that name."
        )
    return config


def _unet_tokenizer(unet: LazyModel[TextUNet], folder: Path, weights: dict[str, str]) -> Tokenizer:
    """By the size of the vocabulary the network was built for; a vocabulary on disk is recorded."""
    if unet.config.n_vocab == WordTokenizer.n_vocab:
        return WordTokenizer()
    beside = folder / VOCABULARY.file
    path = beside if beside.is_file() else released_folder() / VOCABULARY.file
    tokenizer = Gpt2Tokenizer(path)
    weights[path.name] = checked_sha256(path)
    return tokenizer


def _clip_tokenizer(clip: LazyModel[Clip]) -> Tokenizer:
    words = clip.config.n_vocab == WordTokenizer.n_vocab
    return WordTokenizer() if words else ClipTokenizer()
