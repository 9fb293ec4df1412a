"""Where a sweep's images come from: one small interface, GLIDE behind it, and a shipped fake.

`ImageSource` is what a sweep needs of a generator. `GlideSource` is the `generator` package, with
its bundled miniature or full-size checkpoints; `FakeSource` draws procedural pictures in
microseconds, for tests and dry runs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .config import ArmConfig, FakeTable, GeneratorTable, SweepFile
from .errors import GlideEvalError

Images = NDArray[np.uint8]


class ImageSource(Protocol):
    """Makes images for captions and seeds."""

    @property
    def size(self) -> int:
        """Side of its images in pixels."""
        ...

    @property
    def device(self) -> str:
        """Where it computes (`cpu`, `cuda`)."""
        ...

    @property
    def dtype(self) -> str:
        """In which precision (`float32`)."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name; what must not change within a run."""
        ...

    def generate(self, arm: ArmConfig, captions: Sequence[str], seeds: Sequence[int]) -> Images:
        """Images uint8 (n, size, size, 3), one for each caption and its seed."""
        ...


@dataclass(frozen=True)
class SourceOpener:
    """Opens a sweep's image source; picklable, so a worker elsewhere can open its own."""

    generator: GeneratorTable
    model: str

    @classmethod
    def of(cls, sweep: SweepFile) -> SourceOpener:
        """The source a sweep file asks for; a model that is a path is relative to the file."""
        table = sweep.config.generator
        named = table.model in ("tabletop", "fake")
        return cls(table, table.model if named else str(sweep.resolve(table.model)))

    def __call__(self) -> ImageSource:
        """Load it (seconds for GLIDE)."""
        if self.model == "fake":
            return FakeSource(self.generator.fake or FakeTable())
        table = self.generator
        return GlideSource.load(self.model, table.device, table.dtype, table.accelerate)


@dataclass
class GlideSource:
    """The `generator` package's sampling pipeline as an image source."""

    pipeline: Any
    device: str
    dtype: str
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = int(self.pipeline.image_size)

    @classmethod
    def load(cls, model: str, device: str, dtype: str, accelerate: str = "auto") -> GlideSource:
        """Load a model by name or folder.

        Args:
            model: `tabletop`, or a folder of checkpoints.
            device: a torch device, or `auto`: CUDA if there is one.
            dtype: `float32`, `bfloat16`, `float16`, or `auto`: float32 on CPU, else bfloat16.
            accelerate: one of `generator.acceleration.MODES`.

        Raises:
            generator.errors.GeneratorError: the weights are missing, corrupt or of another model,
                or the device is not there.
        """
        import torch

        from generator.allocator import keep_freed_memory
        from generator.loading import load_pipeline

        keep_freed_memory()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        return cls(load_pipeline(model, device, dtype, accelerate=accelerate), device, dtype)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name."""
        return dict(self.pipeline.weights)

    def generate(self, arm: ArmConfig, captions: Sequence[str], seeds: Sequence[int]) -> Images:
        """Images uint8 (n, size, size, 3), one for each caption and its seed."""
        import torch

        from generator.options import Sampling

        keys = ("strategy", "scale", "sampler", "steps", "upsampler_steps")
        sampling = Sampling(**{key: getattr(arm, key) for key in keys})
        try:
            return self.pipeline.sample(list(captions), list(seeds), sampling)
        except torch.OutOfMemoryError as error:
            raise GlideEvalError(
                f"{self.device} ran out of memory making a single image for {arm.name}, after "
                "halving the batch as far as it goes. Free memory that other processes hold there, "
                'or set `generator.dtype = "float16"` and sweep into a new folder, since the '
                "dtype belongs to a run's identity."
            ) from error


@dataclass(frozen=True)
class FakeSource:
    """Procedural pictures: a colour field from the caption, seen through noise from the seed.

    Guidance clears the noise, so arms look ordered. As with real kernels the last bits depend on
    how many images are made together; a sweep that lost its fixed micro-batches would show it.
    """

    settings: FakeTable = field(default_factory=FakeTable)
    sleep: Callable[[float], None] = time.sleep
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Side of its images in pixels."""
        return self.settings.size

    def fingerprint(self) -> dict[str, str]:
        """A constant that stands for weights."""
        return {"fake": hashlib.sha256(b"fake, version 1").hexdigest()}

    def generate(self, arm: ArmConfig, captions: Sequence[str], seeds: Sequence[int]) -> Images:
        """Images uint8 (n, size, size, 3), one for each caption and its seed."""
        self.sleep(self.settings.seconds * len(captions))
        clarity = 1 - 0.7 / (1 + (arm.scale or 0.0) + 0.001 * (arm.steps or 0))
        images = [
            clarity * self._scene(caption) + (1 - clarity) * self._noise(seed)
            for caption, seed in zip(captions, seeds, strict=True)
        ]
        return (np.stack(images) + len(captions) % 8).clip(0, 255).round().astype(np.uint8)

    def _scene(self, caption: str) -> NDArray[np.float64]:
        """A disc on a ground, both coloured by the caption: (size, size, 3)."""
        rng = np.random.default_rng(list(hashlib.sha256(caption.encode()).digest()))
        ground, disc = rng.uniform(0, 255, (2, 3))
        x, y = np.meshgrid(*[np.linspace(-1, 1, self.size)] * 2)
        centre = rng.uniform(-0.4, 0.4, 2)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < rng.uniform(0.1, 0.4)
        return np.where(inside[..., None], disc, ground)

    def _noise(self, seed: int) -> NDArray[np.float64]:
        """Blocks of noise: (size, size, 3)."""
        cells = np.random.default_rng(seed).uniform(0, 255, (16, 16, 3))
        index = np.arange(self.size) * 16 // self.size
        return cells[index][:, index]
