"""What a metric is: one record that says how to compute it, print it and what it needs.

Each module of this room lists its records in `METRICS`; `catalogue.collected` finds them. What a
record computes from is stated here as protocols, so that this room knows no extractor and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from .value import MetricValue, undefined

if TYPE_CHECKING:  # their modules import this one
    from .fid import Moments
    from .image_quality import Texture
    from .neighbours import Manifold

T = TypeVar("T")

OF_CAPTIONS = frozenset({"clip", "guiding_clip", "accuracy"})  # parts that need captions
NO_CAPTIONS = "needs captions, and the images have none"


@runtime_checkable
class ClipPart(Protocol):
    """A CLIP's embeddings of images and of their captions (`extractors.ClipFeatures`)."""

    @property
    def images(self) -> np.ndarray:
        """Float (n, e), unit length."""
        ...

    @property
    def texts(self) -> np.ndarray:
        """Float (n, e), unit length: each image's own caption."""
        ...

    @property
    def logit_scale(self) -> float:
        """The CLIP's s."""
        ...

    def cut_note(self, names: Sequence[str]) -> str:
        """Return what to say of captions this CLIP could not read whole; empty if it read all."""
        ...


@runtime_checkable
class Parts(Protocol):
    """What an extractor saw in n images (`extractors.Features`)."""

    @property
    def pool(self) -> np.ndarray:
        """Float (n, d)."""
        ...

    @property
    def logits(self) -> np.ndarray | None:
        """Float (n, k) class scores before the softmax."""
        ...

    @property
    def clip(self) -> ClipPart | None:
        """The scoring CLIP."""
        ...

    @property
    def guiding_clip(self) -> ClipPart | None:
        """The CLIP that guidance uses."""
        ...

    @property
    def texture(self) -> np.ndarray | None:
        """Float (n, q) low-level statistics."""
        ...

    @property
    def accuracy(self) -> dict[str, np.ndarray]:
        """Part of the caption → float (n,) in 0..1 or NaN."""
        ...

    def __len__(self) -> int: ...


class RealImages(Protocol):
    """The real images that distribution metrics compare with (`references.Reference`)."""

    @property
    def source(self) -> str:
        """What they are, in words."""
        ...

    @property
    def label(self) -> str:
        """What tables say a value was compared with."""
        ...

    @property
    def pool(self) -> np.ndarray | None:
        """Float (m, d); None if only moments are known."""
        ...

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the features."""
        ...

    @cached_property
    def manifold(self) -> Manifold:
        """Balls around the features."""
        ...

    @cached_property
    def kid_term(self) -> float:
        """What KID needs of the real images alone."""
        ...

    @cached_property
    def cmmd_term(self) -> float:
        """What CMMD needs of the real images alone."""
        ...

    @cached_property
    def texture_scale(self) -> Texture:
        """Low-level statistics as a scale."""
        ...


@dataclass(frozen=True, eq=False)
class Measured:
    """One arm as one extractor saw it: what every metric is computed from.

    Attributes:
        features: of its images.
        prompts: (n,) prompt id of each image, the clusters of every interval.
        reference: the real images; None if no chosen metric needs them.
        is_splits: into how many parts the Inception Score divides the images.
    """

    features: Parts
    prompts: Sequence[str]
    reference: RealImages | None
    is_splits: int = 1
    _shared: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    @property
    def real(self) -> RealImages:
        """The real images, for a metric that compares with them."""
        if self.reference is None:
            raise ValueError("This metric compares with real images: give a reference.")
        return self.reference

    @property
    def real_pool(self) -> np.ndarray:
        """Each real image's features, float (m, d), for a metric whose `least_real` is above 0."""
        pool = self.real.pool
        if pool is None:
            raise ValueError("This metric needs each real image's features: set `least_real`.")
        return pool

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return what several metrics of one arm share, computed by the first that asks."""
        if name not in self._shared:
            self._shared[name] = compute()
        return self._shared[name]


@dataclass(frozen=True)
class Metric:
    """One metric: how it is computed, what it needs and how it is printed.

    Attributes:
        name: as in `metrics.csv` and `scores.csv`.
        label: in tables and on axes.
        better: which direction is better.
        decimals: digits after the point in tables.
        place: metrics are listed in ascending order of it, then by name.
        needs: the part of `Features`, or the claim in `Extractor.provides`, it is computed from.
        needs_reference: whether it compares with real images.
        least_real: how many real images it needs the features of, not their moments alone.
        unit: of its values; empty for a pure number.
        drawn: whether figures show it against Elo; tables show every metric.
        biased_by_n: whether its expectation depends on the number of images, so that only arms of
            equal n compare.
        scores: its value for each image (n,), NaN where undefined, if it has one.
        value: its value for the arm, given the scores, if it has one.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    decimals: int
    needs: str
    place: int = 1000
    needs_reference: bool = False
    least_real: int = 0
    unit: str = ""
    drawn: bool = False
    biased_by_n: bool = False
    scores: Callable[[Measured], np.ndarray | None] | None = None
    value: Callable[[Measured, Any], MetricValue] | None = None

    @property
    def needs_captions(self) -> bool:
        """Whether it is computed from captions too."""
        return self.needs in OF_CAPTIONS

    def why_not(self, arm: Measured) -> str:
        """Return why the metric can't be computed for this arm; empty if it can."""
        if self.needs_captions and not getattr(arm.features, self.needs):
            return NO_CAPTIONS
        if not self.least_real:
            return ""
        pool = arm.real.pool
        if pool is None:
            return (
                f"{arm.real.source} gives moments only, and this needs each real image's features"
            )
        if len(pool) < self.least_real:
            return f"the reference has {len(pool)} images, needs at least {self.least_real}"
        return ""


def evaluate(metric: Metric, arm: Measured) -> tuple[MetricValue | None, np.ndarray | None]:
    """Return a metric's value for an arm and for each of its images, where it has them.

    Args:
        metric: its record in the catalogue.
        arm: what was measured.

    Returns:
        The value, undefined with a reason where the arm lacks what the metric needs, and (n,)
        values of the images; None for what the metric doesn't have.

    Raises:
        FeatureError: features that are not finite, or don't fit the reference.

    Examples:
        >>> from glide_eval.extractors import Features
        >>> from glide_eval.metrics import METRICS
        >>> arm = Measured(Features(np.eye(3)), ["p1", "p2", "p3"], reference=None)
        >>> value, scores = evaluate(METRICS["vendi"], arm)
        >>> round(value.value, 3)
        3.0
    """
    if reason := metric.why_not(arm):
        return (undefined(metric.name, len(arm.features), reason) if metric.value else None), None
    scores = metric.scores(arm) if metric.scores else None
    return metric.value(arm, scores) if metric.value else None, scores
