"""The records that every part of the toolkit shares: plain data, no torch, no pandas.

A *prompt* is a caption with a stable id; an *arm* one way of making images; a *sample* one image:
(arm, prompt, replica). DESIGN §2 fixes these words.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from glide_eval.errors import RunError

from .columns import checked, column
from .paths import inside
from .reading import parse_json


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption with a stable id.

    Attributes:
        id: letters, digits, `_` and `.`; unique in a run, stable across runs (`p0007`).
        caption: the text given to the generator and to caption-based metrics.
    """

    id: str
    caption: str


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of making images, as a report needs to know it.

    Attributes:
        name: unique in a run, safe as a folder name (`cfg-3`).
        strategy: the guidance strategy; `imported` for a folder of images.
        scale: guidance scale; None when unguided or imported.
        label: what tables and figures print (`Classifier-free, s = 3`).
        sampler: such as `ddpm` or `dpm++2m`; None when imported.
        steps: base model's denoising steps, a count or a respacing string; None when imported.
        reranked_by: the CLIP that chose its images among candidates; None if nobody did.
        degraded_by: what made its images worse in the end (`blur 1.5`); None if nothing did.
        unguided_at: the scale that is no guidance by its strategy (1 or 0); None where there is no
            scale, or nobody said what it means.
        varied: the option whose values its table of the sweep file varies; else None.
        varied_at: its value in this arm.
    """

    name: str
    strategy: str
    scale: float | None
    label: str
    sampler: str | None = None
    steps: int | str | None = None
    reranked_by: str | None = None
    degraded_by: str | None = None
    unguided_at: float | None = None
    varied: str | None = None
    varied_at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The arm as JSON-ready values; what varies only where something does."""
        told = dataclasses.asdict(self)
        return told if self.varied else {k: v for k, v in told.items() if k not in _VARIED}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The arm that `to_dict` wrote.

        Raises:
            TypeError: other keys, or a value of another type.
            ValueError: the name is no file name.
        """
        arm = checked(cls(**values))
        inside(Path(), arm.name, "an arm", ValueError)
        if "/" in arm.name:
            raise ValueError(f"an arm is named {arm.name!r}, which is no file name")
        return arm


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a run: a line of `manifest.jsonl`."""

    arm: str = column("name of the arm")
    prompt_id: str = column("id of the prompt")
    caption: str = column("caption of the prompt")
    replica: int = column("0, 1, … for several samples of one prompt")
    seed: int | None = column(
        "noise seed of the sample, equal in every arm for the same prompt and replica; in a "
        "reranked arm, the seed of the kept candidate; null for imported images"
    )
    path: str = column("PNG file, relative to the run folder, with forward slashes")
    sha256: str = column("SHA-256 of the file, hexadecimal")
    seconds: float = column("the sample's share of the time of its batch, in seconds")
    candidate_scores: tuple[float, ...] | None = column(
        "only in reranked arms: the score of every candidate; the first highest was kept",
        default=None,
    )

    @property
    def key(self) -> tuple[str, str, int]:
        """(arm, prompt_id, replica): unique in a run."""
        return (self.arm, self.prompt_id, self.replica)

    def to_json(self) -> str:
        """One manifest line, without the newline."""
        names = _NAMES if self.candidate_scores is not None else _NAMES[:-1]
        return _ENCODE({name: getattr(self, name) for name in names})

    @classmethod
    def from_json(cls, line: str, where: str = "manifest.jsonl") -> Self:
        """The sample of one manifest line.

        Raises:
            RunError: the line is not a sample; `where` is named in the message.
        """
        try:
            return cls.of(parse_json(line))
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{where}: expected one sample per line, found {line[:80]!r} ({error}). "
                "The manifest was edited or cut; run the sweep again to rebuild it."
            ) from error

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the sample of a parsed line.

        Raises:
            TypeError: it is none.
        """
        if "candidate_scores" in values:
            values["candidate_scores"] = tuple(values["candidate_scores"])
        return checked(cls(**values))


_VARIED = ("varied", "varied_at")
_NAMES = tuple(field.name for field in dataclasses.fields(Sample))
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
