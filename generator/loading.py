"""From a model's name to a pipeline of its networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from generator.tabletop.classifier import load_classifier
from generator.tabletop.version import older_than, version_of
from generator.tabletop.words import WordTokenizer

from .acceleration import MODES as ACCELERATIONS
from .acceleration import accelerate as accelerated
from .acceleration import accelerate_gradient
from .bpe import ClipTokenizer, Gpt2Tokenizer
from .checkpoints import load_clip, load_released_clip, load_unet, read_config, read_notes
from .clip import Clip
from .config import UNetConfig
from .devices import DTYPES, checked_device
from .errors import CheckpointError, GeneratorWarning, OptionError
from .models import BASE_FILE, MODELS, model_folder
from .networks import NETWORKS, LazyModel
from .pipeline import Pipeline
from .released import VOCABULARY, released_folder
from .text_unet import TextUNet
from .tokenizer import Tokenizer
from .weight_files import WEIGHTS, checked_sha256

# network -> the name of our file, and of the released ones that hold the same
_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": (BASE_FILE, ("base.pt",)),
    "upsampler": ("upsample.safetensors", ("upsample.pt",)),
    "clip": ("noised-clip.safetensors", ("clip_image_enc.pt", "clip_text_enc.pt")),
    "base_inpaint": ("base-inpaint.safetensors", ("base_inpaint.pt",)),
    "upsample_inpaint": ("upsample-inpaint.safetensors", ("upsample_inpaint.pt",)),
    "classifier": ("classifier.safetensors", ()),
    "base_weak": ("base-weak.safetensors", ()),
}
_NEEDED = ("base", "upsampler", "clip")


def load_pipeline(
    model: str = "tabletop",
    device: str = "cpu",
    dtype: str = "float32",
    *,
    networks: Sequence[str] = _NEEDED,
    optional: Sequence[str] = (),
    low_memory: bool = False,
    accelerate: str = "auto",
) -> Pipeline:
    """Load a model by name or from a folder of its files.

    Args:
        model: `tabletop`, the bundled miniature; `glide`, OpenAI's released files, once fetched; or
            a folder with `base`, `upsample`, `noised-clip`, `base-inpaint`, `upsample-inpaint` and
            `base-weak` as .safetensors of ours, or the released .pt files under their published
            names.
        device: a torch device, or `auto` (see `devices.checked_device`).
        dtype: `float32`, `bfloat16` or `float16`; or `tf32`, float32 whose products CUDA may round.
        networks: which must be there; they are loaded now, and `weights` holds their digests.
            Others load if they are used. See `networks.NETWORKS`.
        optional: networks that count among these if their files are there.
        low_memory: load each network only when it is used, and release networks that don't work at
            the same time: slower from batch to batch, but never two UNets in memory.
        accelerate: one of `acceleration.MODES`.

    Raises:
        CheckpointError: a file is missing, corrupt, changed since its download or of another model.
        OptionError: an unknown dtype, network or acceleration, or a device this machine lacks.

    Warns:
        GeneratorWarning: the folder holds weights of an older miniature than the bundled one.
    """
    if dtype not in DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}: use one of {', '.join(DTYPES)}.")
    if accelerate not in ACCELERATIONS:
        raise OptionError(
            f"Unknown acceleration {accelerate!r}: use one of {', '.join(ACCELERATIONS)}."
        )
    place = checked_device(device)
    if unknown := [name for name in (*networks, *optional) if name not in NETWORKS]:
        raise OptionError(f"Unknown network {unknown[0]!r}: use some of {', '.join(NETWORKS)}.")
    folder = model_folder(model)
    files = {network: network_files(folder, network) for network in _FILES}
    networks = [*networks, *(n for n in optional if all(p.is_file() for p in files[n]))]
    needed = [path for network in networks for path in files[network]]
    _refuse_missing(model, folder, needed)
    weights = {path.name: checked_sha256(path) for path in needed}
    _name_older(folder, needed)
    lazy = {
        network: _lazy(network, paths, place, DTYPES[dtype], accelerate)
        for network, paths in files.items()
        if network in _NEEDED
        or (model == "glide" and _FILES[network][1])
        or all(path.is_file() for path in paths)
    }
    reads = next((network for network in networks if network != "clip"), "base")
    tokenizer = _unet_tokenizer(lazy[reads], folder, weights)
    # A CLIP is only looked at if it is there: whoever asks for no guidance by it need not have it.
    clip_there = all(path.is_file() for path in files["clip"])
    clip_tokenizer = _clip_tokenizer(lazy["clip"]) if clip_there else tokenizer
    pipeline = Pipeline(
        tokenizer=tokenizer, clip_tokenizer=clip_tokenizer, weights=weights,
        device=place, dtype=DTYPES[dtype], low_memory=low_memory, tf32=dtype == "tf32", **lazy,
    )  # fmt: skip
    for network in () if low_memory else networks:
        pipeline.networks.get(network)
    return pipeline


def network_files(folder: Path, network: str) -> tuple[Path, ...]:
    """Return the files of a network: the released ones where they lie and ours does not."""
    ours, released = _FILES[network]
    paths = tuple(folder / file for file in released)
    if (
        released
        and not (folder / ours).is_file()
        and (folder == released_folder() or paths[0].is_file())
    ):
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


def _name_older(folder: Path, needed: Sequence[Path]) -> None:
    """Warn of weights of an older miniature in a user's folder."""
    if folder == WEIGHTS:
        return
    found = {p: version_of(read_notes(p)) for p in needed if p.suffix == ".safetensors"}
    if any(version is not None for version in found.values()):
        bundled = {
            path: version_of(read_notes(there)) if there.is_file() else None
            for path, there in ((path, WEIGHTS / path.name) for path in found)
        }
        if message := older_than(bundled, found):
            warnings.warn(message, GeneratorWarning, stacklevel=3)


def _lazy(
    network: str,
    paths: tuple[Path, ...],
    device: torch.device,
    dtype: torch.dtype,
    accelerate: str,
) -> LazyModel[Any]:
    if network == "clip":
        load: Callable[[], Clip] = partial(_load_clip, paths, device, accelerate)
        return LazyModel(partial(read_config, paths[0]), load)
    if network == "classifier":
        return LazyModel(lambda: None, lambda: load_classifier(paths[0]).to(device))
    return LazyModel(
        partial(_unet_config, paths[0], network),
        partial(_load_unet, paths[0], network, device, dtype, accelerate),
    )


def _load_clip(paths: tuple[Path, ...], device: torch.device, accelerate: str) -> Clip:
    if len(paths) == 1:
        return accelerate_gradient(load_clip(paths[0], device), accelerate)
    image_encoder, text_encoder = paths
    clip = load_released_clip(image_encoder, text_encoder, device)
    return accelerate_gradient(clip, accelerate)


def _load_unet(
    path: Path, network: str, device: torch.device, dtype: torch.dtype, accelerate: str
) -> TextUNet:
    """Return a UNet ready to sample: convolution weights channels last, the layout that is fastest
    on CPUs and tensor cores, and its forward accelerated.
    """
    unet = load_unet(path, device, dtype, config=_unet_config(path, network))
    unet = unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return accelerated(unet, accelerate)


def _unet_config(path: Path, network: str) -> UNetConfig:
    """Return the config of a network's file, which must be fit for that network."""
    config = read_config(path)
    expected = ("upsampl" in network, "inpaint" in network)
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
