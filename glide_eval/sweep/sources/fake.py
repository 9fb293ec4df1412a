"""A source without a network: procedural pictures in microseconds, for tests and dry runs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from generator.strategies import STRATEGIES

from .editing import Batch, EditTable
from .glide import FakeTable, GlideOptions, GlideSettings, GlideSource
from .source import DrawnArm, Images, ImageSource, Opening, Size
from .tables import ArmOptions, GeneratorTable


@dataclass
class FakeSource(ImageSource):
    """A colour field from the caption, seen through noise from the seed.

    Guidance clears the noise, so arms look ordered. As with real kernels the last bits depend on
    how many images are made together; a sweep that lost its fixed micro-batches would show it.
    It takes all that GLIDE takes.
    """

    settings: FakeTable = field(default_factory=FakeTable)
    sleep: Callable[[float], Any] = time.sleep
    size: Size = field(init=False)

    Settings: ClassVar[type[GeneratorTable]] = GlideSettings
    Options: ClassVar[type[ArmOptions]] = GlideOptions
    strategies = STRATEGIES

    def __post_init__(self) -> None:
        self.size = self.settings.size

    @classmethod
    def options_of(cls, strategy: str) -> type[ArmOptions]:
        """See `ImageSource.options_of`."""
        return GlideSource.options_of(strategy)

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """See `ImageSource.open`."""
        return cls(cast(GlideSettings, opening.settings).fake or FakeTable())

    def fingerprint(self) -> dict[str, str]:
        """Return a constant that stands for weights."""
        return {"fake": hashlib.sha256(b"fake, version 1").hexdigest()}

    def generate(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`; a sketch shines through as far as its strength leaves it."""
        self.sleep(self.settings.seconds * len(captions))
        steps = cast(GlideOptions, arm.options).steps
        steps = steps if isinstance(steps, int) else 0
        clarity = 1 - 0.7 / (1 + (arm.scale or 0.0) + 0.001 * steps)
        images = [
            clarity * self._scene(caption) + (1 - clarity) * self._noise(seed)
            for caption, seed in zip(captions, seeds, strict=True)
        ]
        made = np.stack(images) + len(captions) % 8
        if start is not None and start.known is None and isinstance(arm.editing, EditTable):
            made = start.images + arm.editing.strength * (made - start.images)
        finished = made.clip(0, 255).round().astype(np.uint8)
        if start is None or start.known is None:
            return finished
        return np.where(start.known[..., None], start.images, finished)

    def _scene(self, caption: str) -> NDArray[np.float64]:
        """Return a disc on a ground, both coloured by the caption: (size, size, 3)."""
        rng = np.random.default_rng(list(hashlib.sha256(caption.encode()).digest()))
        ground, disc = rng.uniform(0, 255, (2, 3))
        x, y = np.meshgrid(*[np.linspace(-1, 1, self.settings.size)] * 2)
        centre = rng.uniform(-0.4, 0.4, 2)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < rng.uniform(0.1, 0.4)
        return np.where(inside[..., None], disc, ground)  # pyright: ignore[reportUnknownVariableType]

    def _noise(self, seed: int) -> NDArray[np.float64]:
        """Return blocks of noise: (size, size, 3)."""
        cells = np.random.default_rng(seed).uniform(0, 255, (16, 16, 3))
        index = np.arange(self.settings.size) * 16 // self.settings.size
        return cells[index][:, index]
