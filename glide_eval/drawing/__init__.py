"""Single pictures on request: sampled, inpainted, edited."""

from __future__ import annotations

from .arm import ENDING, ArmDrawing, found_arm, is_glide, spelled_arm
from .draw import (
    Images,
    Make,
    OnStep,
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
    "ENDING",
    "ArmDrawing",
    "Images",
    "Make",
    "OnStep",
    "Request",
    "SceneFile",
    "batch_of",
    "check_free",
    "draw",
    "found_arm",
    "is_glide",
    "load_scene",
    "plan",
    "sampling_story",
    "save",
    "sheet",
    "spelled_arm",
]
