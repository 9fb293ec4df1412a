"""Scenes: what lies on the table. Every draw takes an explicit NumPy generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHAPES = ("sphere", "cube", "cone")
COLORS = ("red", "green", "blue", "yellow", "purple", "cyan")
SIZES = ("large", "small")
MATERIALS = ("matte", "shiny")
MAX_OBJECTS = 3

# Colour-shape pairs that no training scene of the generator shows: zero-shot prompts are made of
# these.
HELD_OUT = (("purple", "cube"), ("yellow", "cone"), ("cyan", "sphere"))

# Share of scenes of two or three objects in which two are twins, alike but for their places, where
# twins are asked for.
TWIN_SHARE = 0.12

RADIUS = {"large": 0.70, "small": 0.44}  # world units; the table in view is about 3.9 wide
_HALF_WIDTH, _NEAR, _FAR = 1.15, -0.95, 1.15
RELATION_GAP = 0.55  # a relation is only said when the centres are this far apart along its axis


@dataclass(frozen=True, slots=True)
class Object:
    """One object. `x` grows to the right, `y` away from the viewer; `yaw` in radians."""

    shape: str
    color: str
    size: str
    material: str
    x: float
    y: float
    yaw: float = 0.0

    @property
    def radius(self) -> float:
        """World units."""
        return RADIUS[self.size]


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects on a table under one light.

    Attributes:
        objects: one to three, none touching, each mostly visible.
        light: (x, y) of the area light, 6 units above the table.
        table: RGB of the table, linear, 0..1.
    """

    objects: tuple[Object, ...]
    light: tuple[float, float]
    table: tuple[float, float, float]


def held_out(scene: Scene) -> bool:
    """Return whether any object has a colour-shape pair that is held out of training."""
    return any((o.color, o.shape) in HELD_OUT for o in scene.objects)


def sample_scene(
    rng: np.random.Generator, count: int | None = None, split: str = "all", twins: bool = False
) -> Scene:
    """Draw a scene.

    Args:
        rng: the source of randomness.
        count: number of objects, 1..3; drawn uniformly if None.
        split: `train` shows no held-out pair, `zero_shot` at least one, `all` anything.
        twins: make the first two of several objects alike in `TWIN_SHARE` of the scenes, which
            captions count ("two blue spheres"). Without, no two objects share shape and colour,
            and the scene is the one that earlier versions drew from the same `rng`.

    Raises:
        ValueError: an unknown split or count.
    """
    if split not in ("train", "zero_shot", "all"):
        raise ValueError(f"split must be train, zero_shot or all; got {split!r}")
    if count is None:
        count = int(rng.integers(1, MAX_OBJECTS + 1))
    if not 1 <= count <= MAX_OBJECTS:
        raise ValueError(f"count must be 1..{MAX_OBJECTS}; got {count}")
    while True:
        scene = arrange(_sample_kinds(rng, count, split, twins), rng)
        if scene is not None:
            return scene


def arrange(kinds: Sequence[tuple[str, str, str, str]], rng: np.random.Generator) -> Scene | None:
    """Put objects (shape, color, size, material) on a table; None if the table is too full.

    Places are drawn anew a few times first, since other places may fit where some did not.
    """
    places = _sample_places(rng, [RADIUS[size] for _, _, size, _ in kinds])
    if places is None:
        return None
    objects = tuple(
        Object(*kind, x=x, y=y, yaw=float(rng.uniform(0, np.pi / 2)))
        for kind, (x, y) in zip(kinds, places, strict=True)
    )
    grey = rng.uniform(0.32, 0.50)
    table = np.clip(grey + rng.uniform(-0.03, 0.03, 3) + np.array([0.02, 0.0, -0.02]), 0, 1)
    light = (float(rng.uniform(-4.0, -1.5)), float(rng.uniform(-3.5, -0.5)))
    return Scene(objects, light, (float(table[0]), float(table[1]), float(table[2])))


def _sample_kinds(
    rng: np.random.Generator, count: int, split: str, twins: bool
) -> list[tuple[str, str, str, str]]:
    """Draw attributes of `count` objects; only twins may share both shape and colour."""
    if twins and count > 1 and rng.random() < TWIN_SHARE:
        first, *others = _sample_kinds(rng, count - 1, split, twins=False)
        return [first, first, *others]
    while True:
        kinds = [
            (
                SHAPES[rng.integers(len(SHAPES))],
                COLORS[rng.integers(len(COLORS))],
                SIZES[rng.integers(len(SIZES))],
                MATERIALS[rng.integers(len(MATERIALS))],
            )
            for _ in range(count)
        ]
        pairs = [(color, shape) for shape, color, _, _ in kinds]
        any_held_out = any(pair in HELD_OUT for pair in pairs)
        if len(set(pairs)) < count:
            continue
        if split == "all" or any_held_out == (split == "zero_shot"):
            return kinds


def _sample_places(
    rng: np.random.Generator, radii: list[float]
) -> list[tuple[float, float]] | None:
    """Draw centres such that nothing touches and no object hides most of another, or None."""
    placed: list[tuple[float, float]] = []
    for i, radius in enumerate(radii):
        for _ in range(60):
            x = float(rng.uniform(-_HALF_WIDTH, _HALF_WIDTH))
            y = float(rng.uniform(_NEAR, _FAR))
            if all(_apart(x, y, radius, *placed[j], radii[j]) for j in range(i)):
                placed.append((x, y))
                break
        else:
            return None
    return placed


def _apart(x: float, y: float, r: float, x2: float, y2: float, r2: float) -> bool:
    """Return whether objects don't touch and overlap little in the picture.

    The camera looks down at about 30 degrees: a step of 1 in depth lifts a thing on the picture by
    about half a step sideways, so depth counts half in the projected distance.
    """
    touching = np.hypot(x - x2, y - y2) < (r + r2) * 1.15
    overlapping = np.hypot(x - x2, 0.55 * (y - y2)) < (r + r2) * 0.90
    return not touching and not overlapping
