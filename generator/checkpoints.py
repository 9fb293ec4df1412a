"""Weights on disk: our safetensors, which carry their own config, and the released .pt files.

Loading runs no code from the file. A network is built without memory (torch's meta device) and
takes the file's tensors one by one, straight to their device and precision.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from . import released
from .atomic import replacing
from .clip import Clip
from .config import ClipConfig, UNetConfig
from .errors import CheckpointError
from .text_unet import TextUNet
from .weight_files import WEIGHTS as WEIGHTS
from .weight_files import sha256 as sha256

M = TypeVar("M", bound=nn.Module)
N = TypeVar("N", bound=nn.Module)
C = TypeVar("C", UNetConfig, ClipConfig)
Device = torch.device | str


def save(
    path: Path, model: nn.Module, config: UNetConfig | ClipConfig | None, notes: dict[str, Any]
) -> None:
    """Write a model as fp16 safetensors, with its config and notes (JSON values) as metadata."""
    state = {
        k: v.half().contiguous() if v.is_floating_point() else v.contiguous()
        for k, v in model.state_dict().items()
    }
    metadata = {
        "class": type(model).__name__,
        "config": json.dumps(config.to_dict() if config else {}),
        "notes": json.dumps(notes),
    }
    with replacing(path) as part:
        save_file(state, part, metadata)
        part.chmod(0o644)  # safetensors writes 0600


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a safetensors file's tensors, as stored, and metadata (`class`, `config`, `notes`).

    Raises:
        CheckpointError: missing, truncated or not safetensors with our metadata.
    """
    _must_exist(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        return state, {
            "class": metadata["class"],
            "config": json.loads(metadata["config"]),
            "notes": json.loads(metadata["notes"]),
        }
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise _unreadable(path, "a safetensors file written by this toolkit", error) from error


def read_config(path: Path) -> UNetConfig | ClipConfig:
    """Return a network's config, without its weights: from a safetensors file, or of a released .pt
    file.

    Raises:
        CheckpointError: see `read`, or a .pt file of a name that is not a released one's.
    """
    _must_exist(path)
    if path.suffix == ".pt":
        return _released_config(path, path.name)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        config = json.loads(metadata["config"])
        kind = ClipConfig if metadata["class"] == "Clip" else UNetConfig
        return kind.from_dict(config)
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise _unreadable(path, "a safetensors file written by this toolkit", error) from error


def _released_config(path: Path, name: str) -> UNetConfig | ClipConfig:
    known = released.BY_FILE.get(name)
    if known is None or known.config is None:
        raise CheckpointError(
            f"{path} is no released file by its name: expected one of "
            f"{', '.join(released.BY_FILE)}. Rename it to the one it replaces."
        )
    return known.config


def _require_whole_archive(path: Path) -> None:
    """Refuse a zip whose members are not the bytes that were put into it."""
    if not zipfile.is_zipfile(path):
        return  # the format before torch 1.6, or no weights, which reading finds
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # a damaged archive may break anything
        raise _unreadable(path, "a PyTorch file of weights alone", error) from error
    if broken is not None:
        raise CheckpointError(
            f"Weights {path} are damaged: the checksum of {broken} is not that of its bytes. Two "
            "versions of the file may have been pieced together. Delete it and get it again."
        )


def read_notes(path: Path) -> dict[str, Any]:
    """Return the notes of a safetensors file of ours, without its weights.

    Raises:
        CheckpointError: see `read`.
    """
    _must_exist(path)
    try:
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {})["notes"])
        if not isinstance(notes, dict):
            raise ValueError("notes that are no object")
        return notes
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise _unreadable(path, "a safetensors file written by this toolkit", error) from error


def read_released(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pt file, as stored, mapped from disk where the format allows.

    Raises:
        CheckpointError: missing, cut short, a web page, or anything but a dict of tensors; a
            pickle that would run code is refused by torch's weights-only loading.
    """
    _must_exist(path)
    try:
        state = _torch_load(path)
    except Exception as error:  # damaged pickles fail in every way there is
        raise _unreadable(path, "a PyTorch file of weights alone", error) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"Weights {path} hold {type(state).__name__}, expected a dict of tensors alone, as "
            "released. Save a model's `state_dict()` by itself."
        )
    return state


def load_unet(
    path: Path,
    device: Device = "cpu",
    dtype: torch.dtype = torch.float32,
    config: UNetConfig | None = None,
) -> TextUNet:
    """Return a text-conditional UNet in eval mode.

    Args:
        path: our .safetensors, or a .pt file in a released layout.
        device: where its tensors go.
        dtype: of the entries in `low_precision_entries`; the rest is fp32.
        config: of a .pt file; by default the released UNet that takes as many channels.

    Raises:
        CheckpointError: see `read` and `read_released`, or another model's file.
    """
    if path.suffix == ".pt":
        state = read_released(path)
        config = config or _config_by_channels(state, path)
    else:
        state, metadata = _expect(path, "TextUNet")
        config = _config_in(metadata, UNetConfig, path)
    return fill(_unfilled(lambda: TextUNet(config), path), state, path, device, dtype)


def load_clip(path: Path, device: Device = "cpu") -> Clip:
    """Return a CLIP, clean or noised, in eval mode, fp32. Errors as `load_unet`'s."""
    state, metadata = _expect(path, "Clip")
    config = _config_in(metadata, ClipConfig, path)
    return fill(_unfilled(lambda: Clip(config), path), state, path, device)


def load_released_clip(image_encoder: Path, text_encoder: Path, device: Device = "cpu") -> Clip:
    """Return the noised CLIP of two .pt files, in eval mode, fp32. Errors as `load_unet`'s."""
    with torch.device("meta"):
        model = Clip(released.GLIDE_CLIP)
    fill(model.image_encoder, read_released(image_encoder), image_encoder, device)
    fill(model.text_encoder, read_released(text_encoder), text_encoder, device)
    return model.eval()


def check_released(path: Path, name: str = "") -> None:
    """Refuse a .pt file that is not the released one of its name; loads no weights.

    Args:
        path: of the file.
        name: that it has or will have; its own by default.

    Raises:
        CheckpointError: see `read_released`, entries that differ, or a damaged archive.
    """
    name = name or path.name
    _must_exist(path)
    _require_whole_archive(path)
    config = _released_config(path, name)
    with torch.device("meta"):
        if isinstance(config, UNetConfig):
            model: nn.Module = TextUNet(config)
        else:
            clip = Clip(config)
            model = clip.image_encoder if "image" in name else clip.text_encoder
    check_layout(model, read_released(path), path)


def check_ours(path: Path) -> None:
    """Refuse a safetensors file that does not fit its own config; loads no weights.

    Raises:
        CheckpointError: see `read`, or entries that differ.
    """
    state, metadata = read(path)
    builders: dict[str, Callable[[], nn.Module]] = {
        "TextUNet": lambda: TextUNet(_config_in(metadata, UNetConfig, path)),
        "Clip": lambda: Clip(_config_in(metadata, ClipConfig, path)),
    }
    if build := builders.get(metadata["class"]):
        check_layout(_unfilled(build, path), state, path)


def _config_in(metadata: dict[str, Any], kind: type[C], path: Path) -> C:
    """The config that a safetensors file carries."""
    try:
        return kind.from_dict(metadata["config"])
    except ValueError as error:
        raise _unreadable(path, "a safetensors file written by this toolkit", error) from error


def _unfilled(build: Callable[[], N], path: Path) -> N:
    """A network without memory, of a config that a file carries."""
    try:
        with torch.device("meta"):
            return build()
    except CheckpointError:
        raise
    except Exception as error:  # numbers that are possible one by one, but not together
        raise CheckpointError(
            f"Weights {path} carry a config of which no network can be built ({error}): expected "
            "one that this toolkit wrote. Get the file again."
        ) from error


def low_precision_entries(model: nn.Module) -> set[str]:
    """Entries of a UNet that may be fp16 or bf16: those the released code converts.

    The torso's convolutions, the text transformer's linear maps and the token embedding: nearly all
    of the weights. Norms, the timestep's path and the last convolution stay fp32. Other networks
    have none.
    """
    if not isinstance(model, TextUNet):
        return set()
    torso = ("input_blocks.", "middle_block.", "output_blocks.")
    low = {"token_embedding.weight"}
    for name, module in model.named_modules():
        convolves = name.startswith(torso) and isinstance(module, nn.Conv1d | nn.Conv2d)
        reads = name.startswith("transformer") and isinstance(module, nn.Linear)
        if convolves or reads:
            low |= {f"{name}.{entry}" for entry, _ in module.named_parameters()}
    return low


def _expect(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state, metadata = read(path)
    if metadata["class"] != kind:
        raise CheckpointError(
            f"Weights {path} hold a {metadata['class']}, expected a {kind}. Name another file."
        )
    return state, metadata


def fill(
    model: M,
    state: dict[str, Tensor],
    path: Path,
    device: Device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> M:
    """Give a network the tensors of a state dict; the network may be on the meta device.

    Args:
        model: takes copies of the tensors as its parameters, in eval mode without gradients.
        state: as stored; floats of any precision.
        path: for errors.
        device: where the copies go.
        dtype: of the entries in `low_precision_entries`; other floats become fp32.

    Raises:
        CheckpointError: entries are missing, unknown or of another shape.
    """
    check_layout(model, state, path)
    low = low_precision_entries(model) if dtype != torch.float32 else set()
    copies = {}
    for name, value in state.items():
        kind = value.dtype
        if value.is_floating_point():
            kind = dtype if name in low else torch.float32
        copies[name] = value.to(device, kind, copy=True)  # one by one: no second copy of the whole
    model.load_state_dict(copies, assign=True)
    return model.eval().requires_grad_(False)


def check_layout(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Refuse a state dict that is not this network's, saying which entries differ.

    Raises:
        CheckpointError: entries are missing, unknown or of another shape.
    """
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    if expected == found:
        return
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    shapes = sorted(k for k in expected.keys() & found.keys() if expected[k] != found[k])
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    if shapes:
        first = shapes[0]
        parts.append(
            f"{len(shapes)} of another shape ({first}: expected {expected[first]}, found "
            f"{found[first]}{'; …' if len(shapes) > 1 else ''})"
        )
    raise CheckpointError(
        f"Weights {path} are of another model: of {len(expected)} entries, {'; '.join(parts)}. "
        "Name a file made for this model."
    )


def _torch_load(path: Path) -> Any:
    """`torch.load` without running code, mapped from disk if the file's format allows it."""
    with warnings.catch_warnings(action="ignore"):  # about odd pickles, which then fail anyway
        try:
            return torch.load(path, "cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            return torch.load(path, "cpu", weights_only=True)  # the format before torch 1.6


def _config_by_channels(state: dict[str, Tensor], path: Path) -> UNetConfig:
    first = state.get("input_blocks.0.0.weight")
    config = released.unet_config(first.shape[1]) if first is not None and first.ndim == 4 else None
    if config is None:
        found = "no such entry" if first is None else tuple(first.shape)
        raise CheckpointError(
            f"Weights {path} are of no released UNet: expected `input_blocks.0.0.weight` with 3, "
            f"6, 7 or 10 input channels, found {found}. Name another file."
        )
    return config


def _must_exist(path: Path) -> None:
    if path.is_file():
        return
    part = path.with_name(path.name + ".part")
    if part.is_file():
        raise CheckpointError(
            f"Weights {path} are missing: their download stopped after {part.stat().st_size:,} "
            "bytes. Run `glide-eval models fetch` again; it goes on where it stopped."
        )
    raise CheckpointError(
        f"Weights {path} are missing. The bundled miniature ships in the package: reinstall it; "
        "the released model comes with `glide-eval models fetch glide`; for others give the path "
        "of their files."
    )


def _unreadable(path: Path, expected: str, error: Exception) -> CheckpointError:
    """Return one paragraph about a file that can't be read, with the likely reason."""
    with path.open("rb") as file:
        head = file.read(256).lstrip()
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if head.startswith((b"<", b"{")) and path.suffix == ".pt":
        reason = "it is a web page or a server's error message"
    elif head.startswith(b"version https://git-lfs"):
        reason = "it is a Git LFS pointer"
    elif "weights only load failed" in said.lower():
        reason = "loading it would run code, which is refused, or it is no weights file"
    else:
        # torch's own words about a broken archive are about archives; safetensors' are to the point
        details = f" ({said[:120]})" if isinstance(error, SafetensorError | ValueError) else ""
        reason = f"cut short, or of another program{details}"
    return CheckpointError(
        f"Weights {path} can't be read: expected {expected}, found {path.stat().st_size:,} bytes "
        f"that are not: {reason}. Delete the file and get it again."
    )
