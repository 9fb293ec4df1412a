"""What a sweep file may ask of a generated arm: to edit pictures instead of drawing from nothing.

    inpaint = { images = "photos", masks = "masks" }       # or: box = [0.5, 0.0, 1.0, 1.0]
    edit = { sketches = "sketches", strength = 0.6 }

Both have the names of the commands that do the same for one picture. docs/how-to/edit-pictures.md
says how pictures find their prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from glide_eval.errors import UsageError
from glide_eval.files import Table, Text, check_box

Fraction = Annotated[float, Field(ge=0, le=1)]
Settings = dict[str, str | int | float]


@dataclass(frozen=True)
class Batch:
    """Pictures for one call of an image source.

    Attributes:
        images: uint8 (n, height, width, 3).
        known: bool (n, height, width), True where a picture is kept; None for sketches.
    """

    images: NDArray[np.uint8]
    known: NDArray[np.bool_] | None

    def part(self, rows: slice) -> Batch:
        """Return the pictures of some rows."""
        return Batch(self.images[rows], None if self.known is None else self.known[rows])


class InpaintTable(Table):
    """`inpaint = {...}`: repaint a part of a picture for each prompt.

    Attributes:
        images: a folder with a picture for each prompt, or one file for all.
        masks: a folder with a mask for each picture, of its name, or one file for all; white where
            to paint.
        invert_mask: paint in the masks' black instead.
        box: instead of masks: left, top, right, bottom as fractions, to paint inside.
        context: as `generator.editing.inpaint`'s.
    """

    images: Text
    masks: Text | None = None
    invert_mask: bool = False
    box: Annotated[list[Fraction], Field(min_length=4, max_length=4)] | None = None
    context: Literal["auto", "model", "implicit"] = "auto"

    @model_validator(mode="after")
    def _one_place(self) -> InpaintTable:
        if (self.masks is None) == (self.box is None):
            found = "neither" if self.box is None else "both"
            raise ValueError(f"expected one of `masks` and `box`, found {found}")
        if self.invert_mask and self.masks is None:
            raise ValueError("found `invert_mask` without `masks` to invert")
        if self.box is not None:
            try:
                check_box(self.box)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def pictures(self) -> str:
        """Where the pictures lie, as written."""
        return self.images

    @property
    def suffix(self) -> str:
        """What it adds to an arm's name."""
        return "inpaint" if self.context == "auto" else f"inpaint-{self.context}"

    @property
    def words(self) -> str:
        """What it adds to an arm's label."""
        return "inpainted" if self.context == "auto" else f"inpainted ({self.context} context)"

    def settings(self) -> Settings:
        """Return what decides its images beside the pictures themselves."""
        found: Settings = {"inpaint.context": self.context, "inpaint.invert_mask": self.invert_mask}
        if self.box is not None:
            found["inpaint.box"] = ", ".join(f"{edge:g}" for edge in self.box)
        return found


class EditTable(Table):
    """`edit = {...}`: begin each picture from a sketch (SDEdit).

    Attributes:
        sketches: a folder with a sketch for each prompt, or one file for all.
        strength: above 0 and at most 1: near 0 the sketch comes back, at 1 it hardly matters.
    """

    sketches: Text
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6

    @property
    def pictures(self) -> str:
        """Where the sketches lie, as written."""
        return self.sketches

    @property
    def suffix(self) -> str:
        """What it adds to an arm's name."""
        return f"edit{self.strength:g}"

    @property
    def words(self) -> str:
        """What it adds to an arm's label."""
        return f"from sketches at {self.strength:g}"

    def settings(self) -> Settings:
        """Return what decides its images beside the pictures themselves."""
        return {"edit.strength": self.strength}
