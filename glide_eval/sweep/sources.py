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

from glide_eval.errors import GlideEvalError

from .edited_arms import Batch
from .file.arms import STRATEGIES, ArmConfig
from .file.edit_options import EditTable, InpaintTable
from .file.prompt_notes import prompt_notes
from .file.sweep_file import FakeTable, GeneratorTable, SweepFile

Images = NDArray[np.uint8]
NAMED_MODELS = ("tabletop", "glide", "fake")  # anything else is a folder


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

    def check(self, arm: ArmConfig) -> None:
        """Refuse an arm that needs what this source has not, before any image is made.

        Raises:
            GlideEvalError or generator.errors.GeneratorError: says what is missing.
        """
        ...

    def notes(self, captions: Sequence[str], guided_by_clip: bool) -> list[str]:
        """Return what it will not read of some captions, one line each."""
        ...

    def generate(
        self,
        arm: ArmConfig,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """Return images uint8 (n, size, size, 3), one for each caption and its seed.

        An arm that edits gets the pictures it starts from, one a caption.
        """
        ...


@dataclass(frozen=True)
class SourceOpener:
    """Opens a sweep's image source; picklable, so a worker elsewhere can open its own."""

    generator: GeneratorTable
    model: str
    networks: tuple[str, ...] = ("base", "upsampler", "clip")
    optional: tuple[str, ...] = ()

    @classmethod
    def of(cls, sweep: SweepFile) -> SourceOpener:
        """Return the source of a sweep file; paths of models are relative to the file."""
        table = sweep.config.generator
        named = table.model in NAMED_MODELS
        model = table.model if named else str(sweep.resolve(table.model))
        used = {arm.strategy for arm in sweep.config.expand()}
        guides = tuple(s.network for s in STRATEGIES.values() if s.network and s.name in used)
        edits = [arm.editing for arm in sweep.config.expand()]
        told = any(isinstance(e, InpaintTable) and e.context != "implicit" for e in edits)
        inpaints = ("base_inpaint", "upsample_inpaint") if told else ()
        return cls(table, model, ("base", "upsampler", *guides), inpaints)

    def __call__(self) -> ImageSource:
        """Load it (seconds for GLIDE)."""
        if self.model == "fake":
            return FakeSource(self.generator.fake or FakeTable())
        table = self.generator
        return GlideSource.load(
            self.model,
            table.device,
            table.dtype,
            networks=self.networks,
            optional=self.optional,
            low_memory=table.low_memory,
            accelerate=table.accelerate,
        )


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
    def load(
        cls,
        model: str,
        device: str,
        dtype: str,
        *,
        networks: Sequence[str] = ("base", "upsampler", "clip"),
        optional: Sequence[str] = (),
        low_memory: bool = False,
        accelerate: str = "auto",
    ) -> GlideSource:
        """Load a model by name or folder.

        Args:
            model: `tabletop`, `glide`, or a folder of checkpoints.
            device: a torch device, or `auto`: CUDA if there is one.
            dtype: `float32`, `tf32`, `bfloat16`, `float16`, or `auto` (`devices.fastest_dtype`).
            networks: the networks its arms need; their files are checked now.
            optional: those they use if the model has them.
            low_memory: one network in memory at a time.
            accelerate: one of `generator.acceleration.MODES`.

        Raises:
            generator.errors.GeneratorError: the weights are missing, corrupt or of another model,
                or the device is not there.
        """
        from generator.allocator import keep_freed_memory
        from generator.devices import checked_device, fastest_dtype
        from generator.loading import load_pipeline

        keep_freed_memory()
        place = checked_device(device)
        device = str(place)
        if dtype == "auto":
            dtype = fastest_dtype(place)
        pipeline = load_pipeline(
            model, device, dtype, networks=networks, optional=optional, low_memory=low_memory,
            accelerate=accelerate,
        )  # fmt: skip
        return cls(pipeline, device, dtype)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name."""
        return dict(self.pipeline.weights)

    def check(self, arm: ArmConfig) -> None:
        """See `ImageSource.check`: a model context needs a model fine-tuned for inpainting."""
        if isinstance(arm.editing, InpaintTable):
            from generator.editing import base_for

            base_for(self.pipeline, arm.editing.context)

    def notes(self, captions: Sequence[str], guided_by_clip: bool) -> list[str]:
        """See `ImageSource.notes`."""
        return prompt_notes(self.pipeline, captions, guided_by_clip)

    def generate(
        self,
        arm: ArmConfig,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`."""
        import torch

        from generator.errors import SamplingError
        from generator.options import Sampling

        try:
            sampling = Sampling(**arm.sampling)
            if start is not None:
                return self._edit(arm, list(captions), list(seeds), start, sampling)
            return self.pipeline.sample(list(captions), list(seeds), sampling)
        except SamplingError as error:
            raise GlideEvalError(f"Arm {arm.name}: {error}") from error
        except torch.OutOfMemoryError as error:
            raise GlideEvalError(
                f"{self.device} ran out of memory making a single image for {arm.name}, after "
                "halving the batch as far as it goes. Free memory that other processes hold there, "
                'or set `generator.dtype = "float16"` and sweep into a new folder, since the '
                "dtype belongs to a run's identity."
            ) from error

    def _edit(
        self, arm: ArmConfig, captions: list[str], seeds: list[int], start: Batch, sampling: Any
    ) -> Images:
        from generator.editing import from_sketch, inpaint

        table = arm.editing
        common = (self.pipeline, captions, seeds, start.images)
        if isinstance(table, InpaintTable) and start.known is not None:
            return inpaint(*common, start.known, sampling, context=table.context)
        assert isinstance(table, EditTable)
        return from_sketch(*common, table.strength, sampling)


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
        """Return a constant that stands for weights."""
        return {"fake": hashlib.sha256(b"fake, version 1").hexdigest()}

    def check(self, arm: ArmConfig) -> None:
        """It can do anything."""

    def notes(self, captions: Sequence[str], guided_by_clip: bool) -> list[str]:
        """It reads every caption whole."""
        return []

    def generate(
        self,
        arm: ArmConfig,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`; a sketch shines through as far as its strength leaves it."""
        self.sleep(self.settings.seconds * len(captions))
        steps = arm.generated.steps if arm.generated else 0
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
        x, y = np.meshgrid(*[np.linspace(-1, 1, self.size)] * 2)
        centre = rng.uniform(-0.4, 0.4, 2)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < rng.uniform(0.1, 0.4)
        return np.where(inside[..., None], disc, ground)  # pyright: ignore[reportUnknownVariableType]

    def _noise(self, seed: int) -> NDArray[np.float64]:
        """Return blocks of noise: (size, size, 3)."""
        cells = np.random.default_rng(seed).uniform(0, 255, (16, 16, 3))
        index = np.arange(self.size) * 16 // self.size
        return cells[index][:, index]
