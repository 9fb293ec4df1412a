"""A scene file (`scene.toml`): a picture painted step by step, each on the one before.

    source = "table.png"          # optional: without it the first step draws the whole picture

    [[steps]]
    prompt = "a large shiny red sphere"

    [[steps]]
    prompt = "a large shiny red sphere to the left of a small matte blue cube"
    box = [0.5, 0.0, 1.0, 1.0]    # or: mask = "mask.png", white where to paint

Paths are relative to the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from glide_eval.errors import ConfigError, UsageError
from glide_eval.files import (
    Mask,
    Table,
    Text,
    box_mask,
    check_box,
    fit_mask,
    known_from,
    parsed,
    read_mask,
    read_text,
)

Fraction = Annotated[float, Field(ge=0, le=1)]


class StepTable(Table):
    """`[[steps]]`.

    Attributes:
        prompt: what the whole picture shows after this step.
        mask: image of the source's size, white where to paint.
        invert_mask: paint in its black instead.
        box: left, top, right, bottom as fractions of the picture: paint inside.
    """

    prompt: Text
    mask: Text | None = None
    invert_mask: bool = False
    box: Annotated[list[Fraction], Field(min_length=4, max_length=4)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> StepTable:
        if self.mask is not None and self.box is not None:
            raise ValueError("expected `mask` or `box`, found both")
        if self.invert_mask and self.mask is None:
            raise ValueError("found `invert_mask` without a `mask` to invert")
        if self.box is not None:
            try:
                check_box(self.box)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return self


class SceneConfig(Table):
    """A whole scene file."""

    source: Text | None = None
    steps: Annotated[list[StepTable], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class SceneFile:
    """A scene file that was read and understood.

    Attributes:
        path: where it lies.
        config: what it says.
    """

    path: Path
    config: SceneConfig

    @property
    def source(self) -> Path | None:
        """The picture it begins with."""
        return self.path.parent / self.config.source if self.config.source else None

    def known(self, size: int, shape: tuple[int, ...]) -> tuple[list[Mask | None], tuple[str, ...]]:
        """Return what each step keeps, bool (size, size); None where it draws the whole picture.

        Args:
            size: side of the model's pictures in pixels.
            shape: (height, width, …) that masks must share: the source's, or the model's.

        Raises:
            ImageError: a mask can't be read, has another size or nothing to paint.
        """
        masks: list[Mask | None] = []
        notes: list[str] = []
        for step in self.config.steps:
            if step.mask is not None:
                path = self.path.parent / step.mask
                paint = fit_mask(read_mask(path, shape, step.invert_mask), size)
            elif step.box is not None:
                path, paint = "box", box_mask(step.box, size)
            else:
                masks.append(None)
                continue
            known, more = known_from(paint, path)
            masks.append(known)
            notes += more
        return masks, tuple(notes)


def load_scene(path: Path) -> SceneFile:
    """Read a scene file.

    Raises:
        ConfigError: it is missing, not TOML, or no list of steps.
    """
    text = read_text(path, "scene file", "the one in docs/how-to/edit-pictures.md", ConfigError)
    return SceneFile(path, parsed(text, SceneConfig, str(path), "scene file", ConfigError))
