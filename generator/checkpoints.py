"""Weights on disk: safetensors that carry their own config. Loading runs no code from the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .clip import Clip
from .config import ClipConfig, UNetConfig
from .errors import CheckpointError
from .text_unet import TextUNet

M = TypeVar("M", bound=nn.Module)
WEIGHTS = Path(__file__).parent / "weights"


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
    part = path.with_suffix(".part")
    save_file(state, part, metadata)
    part.chmod(0o644)  # safetensors writes 0600
    part.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A file's tensors (fp32) and metadata (`class`, `config`, `notes`).

    Raises:
        CheckpointError: missing, truncated or not safetensors with our metadata.
    """
    if not path.is_file():
        raise CheckpointError(
            f"Weights {path} are missing. The bundled miniature ships in the package: "
            "reinstall it; for other models give the path of their .safetensors file."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {
                k: v.float() if v.is_floating_point() else v
                for k, v in ((k, file.get_tensor(k)) for k in file.keys())  # noqa: SIM118
            }
        return state, {
            "class": metadata["class"],
            "config": json.loads(metadata["config"]),
            "notes": json.loads(metadata["notes"]),
        }
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"Weights {path} can't be read: expected a safetensors file written by this toolkit, "
            f"found {path.stat().st_size:,} bytes that are not ({error}). "
            "It may be cut short or of another program: get it again."
        ) from error


def load_unet(path: Path) -> TextUNet:
    """A text-conditional UNet in eval mode, fp32, on the CPU.

    Raises:
        CheckpointError: see `read`, or another model's file.
    """
    state, metadata = _expect(path, "TextUNet")
    model = TextUNet(UNetConfig.from_dict(metadata["config"]))
    return fill(model, state, path)


def load_clip(path: Path) -> Clip:
    """A CLIP, clean or noised, in eval mode. Errors as `load_unet`'s."""
    state, metadata = _expect(path, "Clip")
    return fill(Clip(ClipConfig.from_dict(metadata["config"])), state, path)


def _expect(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state, metadata = read(path)
    if metadata["class"] != kind:
        raise CheckpointError(
            f"Weights {path} hold a {metadata['class']}, expected a {kind}. Name another file."
        )
    return state, metadata


def fill(model: M, state: dict[str, Tensor], path: Path) -> M:
    """Load a state dict, saying which entries differ if it doesn't fit.

    Raises:
        CheckpointError: entries are missing, unknown or of another shape.
    """
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    if expected != found:
        missing = sorted(expected.keys() - found.keys())
        unknown = sorted(found.keys() - expected.keys())
        shapes = [k for k in expected.keys() & found.keys() if expected[k] != found[k]]
        parts = [
            f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            for what, names in (
                ("missing", missing),
                ("unknown", unknown),
                ("of another shape", sorted(shapes)),
            )
            if names
        ]
        raise CheckpointError(
            f"Weights {path} are of another model: of {len(expected)} entries, {'; '.join(parts)}. "
            "Name a file made for this model."
        )
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
