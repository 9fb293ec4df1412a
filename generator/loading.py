"""From a model's name to a pipeline of its networks."""

from __future__ import annotations

from pathlib import Path

import torch

from generator.tabletop.words import WordTokenizer

from .acceleration import accelerate as accelerated
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


def load_pipeline(
    model: str = "tabletop", device: str = "cpu", dtype: str = "float32", accelerate: str = "auto"
) -> Pipeline:
    """Load a model by name (`tabletop`, the bundled miniature) or from a folder of its three files.

    `accelerate` is one of `acceleration.MODES`.

    Raises:
        CheckpointError: a file is missing, corrupt or of another model.
        OptionError: an unknown dtype or acceleration, or a device this machine lacks.
    """
    if dtype not in _DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}.")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError(
            f"Device {device!r} is not there: no CUDA device found. Use device = 'cpu'."
        )
    folder = WEIGHTS if model == "tabletop" else Path(model)
    paths = {name: folder / file for name, file in _FILES.items()}
    place = torch.device(device)
    return Pipeline(
        _placed(load_unet(paths["base"]), place, _DTYPES[dtype], accelerate),
        _placed(load_unet(paths["upsample"]), place, _DTYPES[dtype], accelerate),
        load_clip(paths["noised-clip"]).to(place),
        WordTokenizer(),
        {path.name: sha256(path) for path in paths.values()},
        place,
        _DTYPES[dtype],
    )


def _placed(
    unet: TextUNet, device: torch.device, dtype: torch.dtype, acceleration: str
) -> TextUNet:
    """The network ready to sample: its torso in `dtype`, convolution weights channels last, the
    layout that is fastest on CPUs and tensor cores, its forward accelerated.
    """
    unet = unet.cast_torso(dtype).to(device)
    unet = unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return accelerated(unet, acceleration)
