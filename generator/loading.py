"""From a model's name to a pipeline of its networks."""

from __future__ import annotations

from pathlib import Path

import torch

from generator.tabletop.words import WordTokenizer

from .checkpoints import WEIGHTS, load_clip, load_unet, sha256
from .errors import OptionError
from .pipeline import Pipeline
from .text_unet import TextUNet

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_FILES = {
    "base": "base.safetensors",
    "upsample": "upsample.safetensors",
    "noised-clip": "noised-clip.safetensors",
}
_INPAINTING_FILES = ("base-inpaint.safetensors", "upsample-inpaint.safetensors")  # where there are


def load_pipeline(model: str = "tabletop", device: str = "cpu", dtype: str = "float32") -> Pipeline:
    """Load a model by name (`tabletop`, the bundled miniature) or from a folder of its three files.

    Raises:
        CheckpointError: a file is missing, corrupt or of another model.
        OptionError: an unknown dtype or a device this machine lacks.
    """
    if dtype not in _DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}.")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError(
            f"Device {device!r} is not there: no CUDA device found. Use device = 'cpu'."
        )
    folder = WEIGHTS if model == "tabletop" else Path(model)
    paths = {name: folder / file for name, file in _FILES.items()}
    inpainting = [folder / file for file in _INPAINTING_FILES]
    place = torch.device(device)
    return Pipeline(
        _channels_last_module(load_unet(paths["base"]).to(place)),
        _channels_last_module(load_unet(paths["upsample"]).to(place)),
        load_clip(paths["noised-clip"]).to(place),
        WordTokenizer(),
        {path.name: sha256(path) for path in [*paths.values(), *inpainting] if path.is_file()},
        place,
        _DTYPES[dtype],
        *(_optional(path, place) for path in inpainting),
    )


def _optional(path: Path, place: torch.device) -> TextUNet | None:
    return _channels_last_module(load_unet(path).to(place)) if path.is_file() else None


def _channels_last_module(unet: TextUNet) -> TextUNet:
    """Convolution weights in the layout that is fastest on CPUs and tensor cores."""
    return unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
