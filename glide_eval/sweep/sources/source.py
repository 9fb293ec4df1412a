"""The interface of whatever draws a sweep's images.

A source is a class. It is found by the `model` of a sweep file (`find_source`), says by pydantic
models what sweep files may ask of it, and is opened once for all arms of a run.
"""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from generator.strategies import STRATEGIES, Strategy

from .editing import Batch, EditTable, InpaintTable
from .tables import ArmOptions, GeneratorTable

Images = NDArray[np.uint8]
Size = int | tuple[int, int]


class DrawnArm(Protocol):
    """An arm as a source sees it."""

    @property
    def name(self) -> str:
        """Unique in a run, for messages."""
        ...

    @property
    def strategy(self) -> str:
        """A name in the source's `strategies`."""
        ...

    @property
    def scale(self) -> float | None:
        """Guidance scale; None if the strategy has none."""
        ...

    @property
    def options(self) -> Any:
        """The source's own `Options`, validated."""
        ...

    @property
    def editing(self) -> InpaintTable | EditTable | None:
        """The pictures it inpaints or begins from; None if it draws from nothing."""
        ...


@dataclass(frozen=True)
class Opening:
    """What a source is opened with.

    Attributes:
        argument: the model as the sweep file names it, without the source's own name before `:`.
        folder: of the sweep file, which paths are relative to.
        settings: the source's `Settings`.
        arms: all that it will draw.
    """

    argument: str
    folder: Path
    settings: Any
    arms: tuple[DrawnArm, ...] = ()

    def place(self) -> tuple[str, str]:
        """Return the device and the precision to compute with, `auto` decided.

        Raises:
            generator.errors.OptionError: this machine has no such device.
        """
        from generator.devices import checked_device, fastest_dtype

        device = checked_device(self.settings.device)
        dtype = self.settings.dtype
        return str(device), fastest_dtype(device) if dtype == "auto" else dtype


class ImageSource(ABC):
    """Draws images of captions from seeds.

    A subclass needs a `size` and `generate`. The frame splits batches when memory runs out, checks
    what comes back, and prints the notes.

    Attributes:
        Settings: the keys of its `[generator]` table.
        Options: the keys of its `[[arms]]` tables, beside those of any arm.
        strategies: the guidance it knows, by name.
        size: of its images in pixels: the side of a square, or (width, height).
        device: where it computes (`cpu`, `cuda`).
        dtype: in which precision (`float32`).
    """

    Settings: ClassVar[type[GeneratorTable]] = GeneratorTable
    Options: ClassVar[type[ArmOptions]] = ArmOptions
    strategies: ClassVar[Mapping[str, Strategy]] = {
        name: STRATEGIES[name] for name in ("unguided", "classifier_free")
    }
    size: Size
    device: str = "cpu"
    dtype: str = "float32"

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Load what the arms need. By default the class is called without arguments."""
        del opening
        return cls()

    @classmethod
    def located(cls, argument: str, folder: Path) -> str:
        """Return the model's name or path as it can be opened from here."""
        del folder
        return argument

    @classmethod
    def options_of(cls, strategy: str) -> type[ArmOptions]:
        """Return the options of one strategy's arms. By default all strategies share `Options`."""
        del strategy
        return cls.Options

    @classmethod
    def defaults_of(cls, argument: str, folder: Path) -> Mapping[str, Any]:
        """Return what arms of this model take for options that they leave out.

        By default nothing, so that the defaults in `Options` hold.

        Args:
            argument: as `Opening.argument`.
            folder: as `Opening.folder`.
        """
        del argument, folder
        return {}

    def fingerprint(self) -> dict[str, str]:
        """Return the SHA-256 of each weights file by name: what must not change within a run.

        By default it is that of the file in which the class is defined.
        """
        path = inspect.getsourcefile(type(self))
        if path is None or not Path(path).is_file():
            return {}
        return {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest()}

    def facts(self) -> dict[str, Any]:
        """Return what run.json says of it beside the weights, JSON-ready; by default nothing."""
        return {}

    def check(self, arm: DrawnArm) -> None:
        """Refuse an arm that needs what this source has not, before any image is made.

        Raises:
            GlideEvalError or generator.errors.GeneratorError: says what is missing.
        """
        del arm

    def notes(self, captions: Sequence[str], strategies: Sequence[str] = ()) -> list[str]:
        """Return what it will not read of some captions, one line each. By default it reads all."""
        del captions, strategies
        return []

    @abstractmethod
    def generate(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """Return images uint8 (n, height, width, 3), one for each caption and its seed.

        An arm that edits gets the pictures it starts from, one per caption.
        """


def height_width(size: Size) -> tuple[int, int]:
    """Return a size as the shape of an array.

    Examples:
        >>> height_width(64), height_width((96, 64))
        ((64, 64), (64, 96))
    """
    width, height = (size, size) if isinstance(size, int) else size
    return height, width
