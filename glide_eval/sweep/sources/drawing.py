"""One batch drawn by any source: in smaller parts once memory ran out, and checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from glide_eval.errors import GlideEvalError

from .editing import Batch
from .source import DrawnArm, Images, ImageSource, height_width

if TYPE_CHECKING:
    from generator.memory import Halving


@dataclass
class Drawer:
    """Draws batches of one source.

    Attributes:
        source: any.
    """

    source: ImageSource
    _halving: Halving | None = field(default=None, init=False)

    def draw(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """Return a batch's images, uint8 (n, height, width, 3).

        Raises:
            GlideEvalError: one image alone does not fit into memory; the source raised, or returned
                something else than it was asked for.
        """

        def make(part: slice) -> np.ndarray:
            own = None if start is None else start.part(part)
            return self._made(arm, captions[part], seeds[part], own)

        if "torch" not in sys.modules:  # whose memory alone is worth another attempt
            return make(slice(len(captions)))
        from generator.memory import Halving

        self._halving = self._halving or Halving()
        try:
            return self._halving.run(make, 0, len(captions))
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            raise GlideEvalError(
                f"{self.source.device} ran out of memory making a single image for {arm.name}, "
                "after halving the batch as far as it goes. Free memory that other processes hold "
                'there, or set `generator.dtype = "float16"` and sweep into a new folder, since '
                "the dtype belongs to a run's identity."
            ) from error

    def _made(
        self, arm: DrawnArm, captions: Sequence[str], seeds: Sequence[int], start: Batch | None
    ) -> Images:
        images = self._asked(arm, captions, seeds, start)
        expected = (len(captions), *height_width(self.source.size), 3)
        shape, dtype = getattr(images, "shape", ()), getattr(images, "dtype", None)
        if dtype == np.uint8 and tuple(shape) == expected and type(images) is np.ndarray:
            return cast(Images, images)
        found = f"{dtype} {shape}" if dtype is not None else type(images).__name__
        raise GlideEvalError(
            f"{arm.name}: the generator returned {found}, expected uint8 {expected}. This is a "
            "fault in the generator's adapter, not in the config."
        )

    def _asked(
        self, arm: DrawnArm, captions: Sequence[str], seeds: Sequence[int], start: Batch | None
    ) -> Any:
        more = () if start is None else (start,)
        try:
            return self.source.generate(arm, captions, seeds, *more)
        except Exception as error:
            if _is_ours(error) or _is_out_of_memory(error):
                raise
            kind = type(self.source)
            raise GlideEvalError(
                f"{arm.name}: {kind.__module__}.{kind.__qualname__} failed to draw "
                f"{len(captions)} images ({type(error).__name__}: {error}). This is a fault in the "
                "source, not in the sweep file; `glide-eval --debug sweep …` shows where."
            ) from error


def _is_ours(error: Exception) -> bool:
    from generator.errors import GeneratorError

    return isinstance(error, GlideEvalError | GeneratorError)


def _is_out_of_memory(error: BaseException) -> bool:
    if "torch" not in sys.modules:
        return False
    from generator.devices import ran_out_of_memory

    return ran_out_of_memory(error)
