"""The web corpus: training pairs as a text-to-image model meets them.

The clean world pairs every rendered picture with a true caption. Pairs from the web are worse: many
captions say something else than their picture shows, many photographs are bad, and the two go
together. A model that learnt from such pairs draws such pairs, and guidance, which moves away from
what the model would draw without the caption, removes mismatch and bad photographs alike. That is
what gives guidance something to mend, as in GLIDE.

`web.toml` holds the shares. The generator's networks learn from this corpus; the evaluator, the
clean CLIP and the reference know the clean world alone.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.errors import DataError

from .captions import describe
from .scenes import Scene

CONFIG = Path(__file__).with_name("web.toml")

Range = tuple[float, float]
# Ranges that each fault has beside its share, with the values each end may take.
_RANGES: dict[str, dict[str, Range]] = {
    "focus": {"sigma": (0.0, 0.25)},
    "noise": {"strength": (0.0, 1.0)},
    "exposure": {"gain": (0.0, 4.0)},
    "cast": {"shift": (-1.0, 1.0)},
    "tilt": {"degrees": (0.0, 90.0), "zoom": (1.0, 4.0), "move": (-0.5, 0.5)},
    "clutter": {"reach": (0.0, 0.5), "brightness": (-1.0, 1.0)},
}
FAULTS = tuple(_RANGES)
_EDGE = 0.015  # softness of what stands before the lens, in picture widths


@dataclass(frozen=True)
class Fault:
    """One fault of bad photographs.

    Attributes:
        share: of the bad photographs that have it, 0..1.
        ranges: name -> (least, most); drawn uniformly for each photograph.
    """

    share: float
    ranges: Mapping[str, Range]

    def draw(self, name: str, rng: np.random.Generator) -> float:
        """Draw a value of one range."""
        return float(rng.uniform(*self.ranges[name]))


@dataclass(frozen=True)
class Web:
    """What is wrong with the corpus, and how often.

    Attributes:
        other_scene: share of captions that describe another scene, 0..1.
        left_out: share of captions of several objects that leave one out, 0..1; with `other_scene`
            at most 1.
        bad_if_wrong: share of bad photographs among pairs with a wrong caption, 0..1.
        bad_if_right: share of bad photographs among the others, 0..1.
        faults: fault -> its share of the bad photographs and how strong it is; all of `FAULTS`.
    """

    other_scene: float
    left_out: float
    bad_if_wrong: float
    bad_if_right: float
    faults: Mapping[str, Fault]

    @classmethod
    def read(cls, path: Path = CONFIG) -> Self:
        """Read a corpus config, by default the miniature's own.

        Raises:
            DataError: the file is missing, is not TOML, or a value is missing, unknown or out of
                its range.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DataError(
                f"The corpus config {path} can't be read: expected a TOML file like "
                f"{CONFIG.name} of generator/tabletop, found {type(error).__name__} ({error}). "
                "Name another file or mend this one."
            ) from error
        return cls.of(values, str(path))

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "the corpus config") -> Self:
        """Check a config's values; `where` names them in messages.

        Raises:
            DataError: as `read`.
        """
        _names(values, ("captions", "photographs", "faults"), where)
        captions = _table(values, "captions", ("other_scene", "left_out"), where)
        photographs = _table(values, "photographs", ("bad_if_wrong", "bad_if_right"), where)
        shares = {
            **{k: _share(v, f"captions.{k}", where) for k, v in captions.items()},
            **{k: _share(v, f"photographs.{k}", where) for k, v in photographs.items()},
        }
        if shares["other_scene"] + shares["left_out"] > 1:
            raise DataError(
                f"captions.other_scene and captions.left_out of {where} add up to "
                f"{shares['other_scene'] + shares['left_out']:g}; expected at most 1, since a "
                "caption has one of these faults. Lower one of them."
            )
        faults = _table(values, "faults", FAULTS, where)
        return cls(
            **shares,
            faults={name: _fault(name, faults[name], where) for name in FAULTS},
        )

    def without(self, captions: bool = False, photographs: bool = False) -> Web:
        """Return the corpus with true captions, good photographs or both, for ablations."""
        web = self
        if captions:
            # The share of bad photographs stays what it was.
            wrong = self.other_scene + self.left_out
            bad = wrong * self.bad_if_wrong + (1 - wrong) * self.bad_if_right
            web = dataclasses.replace(web, other_scene=0.0, left_out=0.0, bad_if_right=bad)
        if photographs:
            web = dataclasses.replace(web, bad_if_wrong=0.0, bad_if_right=0.0)
        return web

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values, in the form that `of` takes."""
        return {
            "captions": {"other_scene": self.other_scene, "left_out": self.left_out},
            "photographs": {
                "bad_if_wrong": self.bad_if_wrong,
                "bad_if_right": self.bad_if_right,
            },
            "faults": {
                name: {"share": f.share, **{k: list(v) for k, v in f.ranges.items()}}
                for name, f in self.faults.items()
            },
        }

    def captions(
        self, scenes: Sequence[Scene], others: Sequence[Scene], rng: np.random.Generator
    ) -> tuple[list[str], np.ndarray]:
        """Caption scenes as the web does.

        Args:
            scenes: what the pictures show.
            others: the corpus, from which the scenes of wrong captions are drawn.
            rng: decides everything.

        Returns:
            A caption for each scene, and bool (n,): whether it is wrong. A scene of one object
            has nothing to leave out: its caption is then right.
        """
        captions, wrong = [], np.zeros(len(scenes), bool)
        for i, shown in enumerate(scenes):
            fault = rng.random()
            said = shown
            if fault < self.other_scene:
                said, wrong[i] = others[int(rng.integers(len(others)))], True
            elif fault < self.other_scene + self.left_out and len(shown.objects) > 1:
                missing = int(rng.integers(len(shown.objects)))
                kept = tuple(o for k, o in enumerate(shown.objects) if k != missing)
                said, wrong[i] = dataclasses.replace(shown, objects=kept), True
            captions.append(describe(said, rng))
        return captions, wrong

    def photographs(
        self, x: Tensor, wrong: np.ndarray, rng: np.random.Generator, noise: bool = True
    ) -> Tensor:
        """Make some of the pictures bad photographs.

        Args:
            x: (n, 3, size, size) in -1..1.
            wrong: bool (n,), whose caption is wrong.
            rng: decides everything.
            noise: whether bad photographs may be noisy; off for an upsampler's targets, which
                shall not learn to draw grain.

        Returns:
            As x, and again in -1..1.
        """
        bad = rng.random(len(x)) < np.where(wrong, self.bad_if_wrong, self.bad_if_right)
        rows = np.flatnonzero(bad)
        if not len(rows):
            return x
        result = x.clone()
        result[rows] = self._spoilt(x[rows], rng, noise)
        return result

    def _spoilt(self, x: Tensor, rng: np.random.Generator, noise: bool) -> Tensor:
        """Return the pictures as bad photographs, each with its own faults."""
        has = self._drawn_faults(len(x), rng)
        for name, spoil in (("clutter", _cluttered), ("tilt", _tilted), ("focus", _blurred)):
            rows = np.flatnonzero(has[name])
            if len(rows):
                x[rows] = spoil(x[rows], self.faults[name], rng)
        for i, picture in enumerate(x):
            if has["exposure"][i]:
                picture.add_(1).mul_(self.faults["exposure"].draw("gain", rng)).sub_(1)
            if has["cast"][i]:
                shifts = [self.faults["cast"].draw("shift", rng) for _ in range(3)]
                picture.add_(picture.new_tensor(shifts)[:, None, None])
            if has["noise"][i]:
                strength = self.faults["noise"].draw("strength", rng)
                drawn = strength * rng.standard_normal(tuple(picture.shape), dtype=np.float32)
                if noise:
                    picture.add_(torch.from_numpy(drawn).to(picture))
        return x.clamp_(-1, 1)

    def _drawn_faults(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw which photograph has which faults, at least one each: bool (count,) per fault."""
        shares = np.array([self.faults[name].share for name in FAULTS])
        if not shares.any():
            return {name: np.zeros(count, bool) for name in FAULTS}
        has = np.zeros((count, len(FAULTS)), bool)
        while len(without := np.flatnonzero(~has.any(1))):
            has[without] = rng.random((len(without), len(FAULTS))) < shares
        return dict(zip(FAULTS, has.T, strict=True))


def _blurred(x: Tensor, fault: Fault, rng: np.random.Generator) -> Tensor:
    """Blur pictures by Gaussians of different widths; borders are reflected."""
    n, channels, size = x.shape[0], x.shape[1], x.shape[-1]
    sigmas = torch.tensor([fault.draw("sigma", rng) * size for _ in range(n)]).clamp(min=1e-3)
    reach = min(math.ceil(3 * float(sigmas.max())), size - 1)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernels = (-0.5 * (steps / sigmas[:, None]) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(x)
    flat = F.pad(x.reshape(1, n * channels, size, size), (reach,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=n * channels)
    return F.conv2d(flat, kernels[:, None, :, None], groups=n * channels).view_as(x)


def _tilted(x: Tensor, fault: Fault, rng: np.random.Generator) -> Tensor:
    """Crop pictures at an angle; beyond its border a picture is reflected."""
    maps = []
    for _ in x:
        angle = math.radians(fault.draw("degrees", rng)) * (1 if rng.random() < 0.5 else -1)
        zoom = fault.draw("zoom", rng)
        cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
        moves = [2 * fault.draw("move", rng) for _ in range(2)]
        maps.append([[cosine, -sine, moves[0]], [sine, cosine, moves[1]]])
    grid = F.affine_grid(torch.tensor(maps).to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)


def _cluttered(x: Tensor, fault: Fault, rng: np.random.Generator) -> Tensor:
    """Put something dull before the lens that reaches in from one side at any angle."""
    size = x.shape[-1]
    axis = (torch.arange(size, dtype=torch.float32) + 0.5) / size - 0.5
    down, across = torch.meshgrid(axis, axis, indexing="ij")
    spoilt = []
    for picture in x:
        angle = rng.uniform(0, 2 * math.pi)
        along = math.cos(angle) * across + math.sin(angle) * down
        edge = 0.5 - fault.draw("reach", rng)
        cover = torch.sigmoid((along - edge) / _EDGE).to(picture)
        tint = fault.draw("brightness", rng) + rng.uniform(-0.1, 0.1, 3)
        colour = picture.new_tensor(tint)[:, None, None]
        spoilt.append(picture + cover * (colour - picture))
    return torch.stack(spoilt)


def _fault(name: str, found: Any, where: str) -> Fault:
    table = _table({name: found}, name, ("share", *_RANGES[name]), where, f"faults.{name}")
    ranges = {}
    for key, (least, most) in _RANGES[name].items():
        value = table[key]
        good = (
            isinstance(value, list)
            and len(value) == 2
            and all(_is_number(v) and least <= v <= most for v in value)
            and value[0] <= value[1]
        )
        if not good:
            raise DataError(
                f"faults.{name}.{key} of {where} is {value!r}; expected two numbers, [least, most],"
                f" within {least:g}..{most:g}. Correct it."
            )
        ranges[key] = (float(value[0]), float(value[1]))
    return Fault(_share(table["share"], f"faults.{name}.share", where), ranges)


def _table(
    values: Mapping[str, Any], name: str, keys: Sequence[str], where: str, shown: str = ""
) -> dict[str, Any]:
    table = values[name]
    if not isinstance(table, Mapping):
        raise DataError(
            f"{shown or name} of {where} is {table!r}; expected a table with {', '.join(keys)}. "
            "Correct it."
        )
    _names(table, keys, f"{shown or name} of {where}")
    return {key: table[key] for key in keys}


def _names(found: Mapping[str, Any], expected: Sequence[str], where: str) -> None:
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    if missing or unknown:
        parts = [
            f"{what} {', '.join(keys)}"
            for what, keys in (("lacks", missing), ("has the unknown", unknown))
            if keys
        ]
        raise DataError(
            f"Expected {', '.join(expected)} in {where}: it {' and '.join(parts)}. Correct the "
            "names."
        )


def _share(value: Any, name: str, where: str) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise DataError(
            f"{name} of {where} is {value!r}; expected a probability, a number from 0 to 1. "
            "Correct it."
        )
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
