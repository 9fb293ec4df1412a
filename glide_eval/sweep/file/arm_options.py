"""What a sweep file may ask of any arm once its images exist: reranking, then degrading.

    rerank = { clip = "tabletop-clean", best_of = 8 }
    degrade = "autoencoder" | { blur = 1.5 } | { jpeg = 20 } | { downsample = 4 }

GLIDE's Table 3 compares with DALL-E in both ways: DALL-E's images reranked by CLIP, and GLIDE's
softened by DALL-E's own autoencoder.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from glide_eval.extractors import GUIDING_CLIPS, SCORERS
from glide_eval.files import Table, Text, nearest


class RerankTable(Table):
    """`rerank = {...}`: of several candidates for each sample, keep the one a CLIP scores highest.

    Attributes:
        clip: a name in `scorers.SCORERS`, never of a CLIP that guides.
        best_of: how many candidates.
    """

    clip: Text
    best_of: Annotated[int, Field(ge=2, le=1024)]

    @field_validator("clip")
    @classmethod
    def _known_and_not_guiding(cls, name: str) -> str:
        known = ", ".join(f"`{clip}`" for clip in SCORERS)
        if name in GUIDING_CLIPS:
            raise ValueError(
                f"found {name!r}, the CLIP that guides, whose faults guidance has already learned "
                f"to please; expected one that takes no part in making images: {known}"
            )
        if name not in SCORERS:
            near = nearest(name, list(SCORERS))
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(f"found {name!r}, expected one of {known}{hint}")
        return name

    @property
    def suffix(self) -> str:
        """What it adds to an arm's name."""
        return f"best{self.best_of}"

    @property
    def words(self) -> str:
        """What it adds to an arm's label."""
        return f"best of {self.best_of}"


class VaryTable(Table):
    """`vary = {...}`: an arm for each value of one of its numeric options.

    Attributes:
        option: its key.
        values: in the order of the arms.
    """

    option: Text
    values: Annotated[list[int | float], Field(min_length=1, max_length=1000)]


class DegradeTable(Table):
    """`degrade = ...`: exactly one way of making finished images worse.

    Attributes:
        autoencoder: through the bundled discrete autoencoder; `degrade = "autoencoder"` in short.
        blur: standard deviation of a Gaussian, in pixels.
        jpeg: JPEG quality.
        downsample: factor by which images are made smaller, then enlarged again.
    """

    autoencoder: Literal[True] | None = None
    blur: Annotated[float, Field(gt=0, le=64)] | None = None
    jpeg: Annotated[int, Field(ge=1, le=95)] | None = None
    downsample: Annotated[int, Field(ge=2, le=64)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_word_or_one_key(cls, value: Any) -> Any:
        expected = (
            'expected "autoencoder", { blur = pixels }, { jpeg = quality } or '
            "{ downsample = factor }"
        )
        if value == "autoencoder":
            return {"autoencoder": True}
        if not isinstance(value, dict):
            raise ValueError(f"{expected}, found {value!r}")
        keys = [str(key) for key in cast(dict[Any, Any], value)]
        if len(keys) != 1:
            found = " and ".join(f"`{key}`" for key in keys) or "an empty table"
            raise ValueError(f"{expected}, found {found}")
        return cast(Any, value)

    @property
    def kind(self) -> str:
        """Which of the ways: the attribute that is set."""
        return next(key for key, value in self if value is not None)

    @property
    def amount(self) -> float | int:
        """How much of it; True for the autoencoder."""
        return getattr(self, self.kind)

    @property
    def setting(self) -> str:
        """Both in one, for a run's identity: `blur 1.5`."""
        return self.kind if self.autoencoder else f"{self.kind} {self.amount:g}"

    @property
    def suffix(self) -> str:
        """What it adds to an arm's name."""
        return self.setting.replace(" ", "").replace("downsample", "down")

    @property
    def words(self) -> str:
        """What it adds to an arm's label."""
        return {
            "autoencoder": "through the autoencoder",
            "blur": f"blurred by {self.amount:g} px",
            "jpeg": f"JPEG quality {self.amount:g}",
            "downsample": f"at 1/{self.amount:g} resolution",
        }[self.kind]
