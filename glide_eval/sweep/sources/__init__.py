"""What draws images: one interface, GLIDE and a shipped fake behind it, and sources of your own."""

from __future__ import annotations

from .drawing import Drawer
from .editing import Batch, EditTable, InpaintTable
from .fake import FakeSource
from .find import Found, find_source, sources
from .glide import FakeTable, GlideOptions, GlideSettings, GlideSource
from .guiders import BESIDE
from .prompt_notes import check_prompts, prompt_notes
from .source import DrawnArm, Images, ImageSource, Opening, Size, height_width
from .tables import ArmOptions, GeneratorTable, Scalar

__all__ = [
    "BESIDE",
    "ArmOptions",
    "Batch",
    "Drawer",
    "DrawnArm",
    "EditTable",
    "FakeSource",
    "FakeTable",
    "Found",
    "GeneratorTable",
    "GlideOptions",
    "GlideSettings",
    "GlideSource",
    "ImageSource",
    "Images",
    "InpaintTable",
    "Opening",
    "Scalar",
    "Size",
    "check_prompts",
    "find_source",
    "height_width",
    "prompt_notes",
    "sources",
]
