"""Models by name: where their files lie, and how they like to be drawn with. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .released import released_folder
from .weight_files import WEIGHTS

MODELS = ("tabletop", "glide")  # names; anything else is a folder
DEFAULTED = ("sampler", "steps", "upsampler_steps")  # of which a model may have its own defaults
BASE_FILE = "base.safetensors"  # of the network that draws, with the model's defaults in its notes


def model_folder(model: str) -> Path:
    """Return the folder of a model by name, or the path itself."""
    named = {"tabletop": WEIGHTS, "glide": released_folder()}
    return named.get(model) or Path(model)


def model_defaults(model: str) -> dict[str, Any]:
    """Return how a model's pictures are drawn unless told otherwise.

    The notes of its base model name them: fields of `options.Sampling`. A model whose base model
    names none, or can't be read, has none.

    Args:
        model: a name, or a folder.
    """
    try:
        with (model_folder(model) / BASE_FILE).open("rb") as file:
            header = file.read(min(int.from_bytes(file.read(8), "little"), 1 << 24))
        found = json.loads(json.loads(header)["__metadata__"]["notes"])["defaults"]
        return {name: found[name] for name in DEFAULTED if name in found}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}  # whoever loads the file says what is wrong with it
