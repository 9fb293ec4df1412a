"""Single pictures on request: sampled, inpainted, edited."""

from __future__ import annotations

from .draw import (
    Images,
    Make,
    Request,
    batch_of,
    check_free,
    draw,
    plan,
    sampling_story,
    save,
    sheet,
)
from .scene_file import SceneFile, load_scene

__all__ = [
    "Images",
    "Make",
    "Request",
    "SceneFile",
    "batch_of",
    "check_free",
    "draw",
    "load_scene",
    "plan",
    "sampling_story",
    "save",
    "sheet",
]
