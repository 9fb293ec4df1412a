"""The caption grammar: from a scene to a sentence, and from a sentence back to what it claims.

caption  = object | object relation object [", and " object] | object ", " object " and " object
         | object " and " object
object   = "a " [size] [material] color shape | "two " [size] [material] color shape "s"
relation = "to the left of" | "to the right of" | "in front of" | "behind"

A relation stands between single objects, never beside "two".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Protocol

import numpy as np

from .scenes import (
    COLORS,
    MATERIALS,
    MAX_OBJECTS,
    RELATION_GAP,
    SHAPES,
    SIZES,
    Object,
    Scene,
    arrange,
)

RELATIONS = ("to the left of", "to the right of", "in front of", "behind")
RELATION_SHARE = 0.75  # how often a caption says one, where one is clear


class Placed(Protocol):
    """Anything with an object's attributes and place: a scene's object or one read from a
    picture.
    """

    @property
    def shape(self) -> str:
        """One of `SHAPES`."""
        ...

    @property
    def color(self) -> str:
        """One of `COLORS`."""
        ...

    @property
    def size(self) -> str:
        """One of `SIZES`."""
        ...

    @property
    def material(self) -> str:
        """One of `MATERIALS`."""
        ...

    @property
    def x(self) -> float:
        """World units, growing to the right."""
        ...

    @property
    def y(self) -> float:
        """World units, growing away from the viewer."""
        ...


@dataclass(frozen=True, slots=True)
class Mention:
    """One object, or two alike, as a caption names them.

    Attributes:
        shape: one of `SHAPES`.
        color: one of `COLORS`.
        size: one of `SIZES`; None where the caption leaves it open.
        material: one of `MATERIALS`, or None likewise.
        count: 1 or 2 objects.
    """

    shape: str
    color: str
    size: str | None = None
    material: str | None = None
    count: int = 1

    def __str__(self) -> str:
        article, shape = ("a", self.shape) if self.count == 1 else ("two", f"{self.shape}s")
        words = [article, self.size, self.material, self.color, shape]
        return " ".join(w for w in words if w)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a caption says: its objects, and the relation of the first to the second, if any."""

    mentions: tuple[Mention, ...]
    relation: str | None = None

    @property
    def single(self) -> tuple[Mention, ...]:
        """Return one mention per object: "two blue spheres" gives two of a blue sphere."""
        return tuple(replace(m, count=1) for m in self.mentions for _ in range(m.count))

    def __str__(self) -> str:
        words = [str(m) for m in self.mentions]
        if len(words) == 1:
            return words[0]
        if self.relation:
            rest = f", and {words[2]}" if len(words) == 3 else ""
            return f"{words[0]} {self.relation} {words[1]}{rest}"
        return f"{', '.join(words[:-1])} and {words[-1]}"


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """Return a true caption of the scene: all objects, in random order and detail, twins counted.

    Size and material are each mentioned half of the time; a relation, where one is clear, three
    quarters of the time.
    """
    order = rng.permutation(len(scene.objects))
    groups: dict[tuple[str, str], list[Object]] = {}
    for o in (scene.objects[i] for i in order):
        groups.setdefault((o.color, o.shape), []).append(o)
    mentions = tuple(_mention(alike, rng) for alike in groups.values())
    relation = None
    if 1 < len(groups) == len(order) and rng.random() < RELATION_SHARE:
        true = _clear_relations([alike[0] for alike in groups.values()])
        relation = str(rng.choice(true)) if true else None
    return str(Claim(mentions, relation))


def _mention(alike: Sequence[Object], rng: np.random.Generator) -> Mention:
    """Name objects of one colour and shape; a detail only if it is true of all of them."""
    first = alike[0]
    size = first.size if rng.random() < 0.5 else None
    material = first.material if rng.random() < 0.5 else None
    return Mention(
        first.shape,
        first.color,
        size if all(o.size == size for o in alike) else None,
        material if all(o.material == material for o in alike) else None,
        len(alike),
    )


def can_illustrate(caption: str) -> bool:
    """Return whether a caption has scenes: it parses, to one to `MAX_OBJECTS` objects."""
    claim = parse(caption)
    return claim is not None and len(claim.single) <= MAX_OBJECTS


def illustrate(caption: str, rng: np.random.Generator) -> Scene:
    """Draw a scene that `describe` could have given this caption, as often as it would have.

    What the caption leaves open (places, light, a size) is drawn as `sample_scene` draws it. Scenes
    are kept with the probability that their description has the caption's relation, or none.

    Raises:
        ValueError: it can't, see `can_illustrate`.
    """
    claim = parse(caption)
    if claim is None or not can_illustrate(caption):
        raise ValueError(
            f"{caption!r} is no caption of one to {MAX_OBJECTS} tabletop objects: nothing to draw."
        )
    order = rng.permutation(len(claim.single))  # places are drawn one after the other
    owner = [i for i, mention in enumerate(claim.mentions) for _ in range(mention.count)]
    while True:
        kinds: dict[int, tuple[str, str, str, str]] = {}
        for i in dict.fromkeys(owner[j] for j in order):  # twins are drawn once
            mention = claim.mentions[i]
            size = mention.size or SIZES[rng.integers(len(SIZES))]
            material = mention.material or MATERIALS[rng.integers(len(MATERIALS))]
            kinds[i] = (mention.shape, mention.color, size, material)
        scene = arrange([kinds[owner[j]] for j in order], rng)
        if scene is not None:
            mentioned = [scene.objects[i] for i in np.argsort(order)]
            if len(mentioned) > len(claim.mentions) or rng.random() < _says(
                claim.relation, mentioned
            ):
                return scene


def _says(relation: str | None, objects: Sequence[Placed]) -> float:
    """Return the probability that `describe` gives the first two objects this relation, or none."""
    true = _clear_relations(objects)
    if relation is None:
        return 1.0 - RELATION_SHARE * bool(true)
    return RELATION_SHARE / len(true) if relation in true else 0.0


def _clear_relations(objects: Sequence[Placed]) -> list[str]:
    """Return the relations of the first object to the second that are plain to see."""
    if len(objects) < 2:
        return []
    return [r for r in RELATIONS if holds(r, objects[0], objects[1], RELATION_GAP)]


def holds(relation: str, a: Placed, b: Placed, gap: float = 0.0) -> bool:
    """Return whether `a relation b` holds by more than `gap` world units."""
    dx, dy = b.x - a.x, b.y - a.y
    amount = {RELATIONS[0]: dx, RELATIONS[1]: -dx, RELATIONS[2]: dy, RELATIONS[3]: -dy}
    return amount[relation] > gap


_OBJECT = re.compile(
    rf"(an?|two) (?:({'|'.join(SIZES)}) )?(?:({'|'.join(MATERIALS)}) )?"
    rf"({'|'.join(COLORS)}) ({'|'.join(SHAPES)})s?"
)


def parse(caption: str) -> Claim | None:
    """Return what a caption claims, or None if it is not of this grammar."""
    text = " ".join(caption.lower().strip(" .").split())
    found = list(_OBJECT.finditer(text))
    mentions = tuple(Mention(m[5], m[4], m[2], m[3], 1 + (m[1] == "two")) for m in found)
    relation = None
    if len(found) > 1:
        between = text[found[0].end() : found[1].start()].strip()
        relation = between if between in RELATIONS else None
    if relation and any(mention.count > 1 for mention in mentions[:2]):
        return None
    claim = Claim(mentions, relation)
    if not mentions or str(claim) != re.sub(r"\ban\b", "a", text):
        return None
    return claim


def caption_accuracy(caption: str, objects: Sequence[Placed]) -> dict[str, float]:
    """Return which parts of a caption a picture satisfies, given the objects read from it.

    Mentions are matched one to one to objects so that most attributes agree; "two blue spheres"
    are two mentions.

    Returns:
        Values in 0..1, NaN where the caption claims nothing of the kind or is not of the grammar:
        `object` (share of mentions found with right shape and colour), `color` and `shape` (share
        right), `attribute` (share of mentioned sizes and materials right), `count` (1 if as many
        objects as mentions), `relation` (1 if it holds between the matched objects), `caption` (1
        if everything claimed holds).
    """
    claim = parse(caption)
    names = ("object", "color", "shape", "attribute", "count", "relation", "caption")
    if claim is None:
        return dict.fromkeys(names, float("nan"))
    matched = _match(claim.single, objects)
    pairs = list(zip(claim.single, matched, strict=True))
    both = [o is not None and o.shape == m.shape and o.color == m.color for m, o in pairs]
    color = [o is not None and o.color == m.color for m, o in pairs]
    shape = [o is not None and o.shape == m.shape for m, o in pairs]
    details = [
        o is not None and getattr(o, name) == wanted
        for m, o in pairs
        for name, wanted in (("size", m.size), ("material", m.material))
        if wanted is not None
    ]
    relation = float("nan")
    if claim.relation:
        a, b = matched[0], matched[1]
        relation = float(both[0] and both[1] and a is not None and b is not None
                         and holds(claim.relation, a, b))  # fmt: skip
    count = float(len(objects) == len(claim.single))
    everything = all(both) and all(details) and count == 1 and relation != 0
    detail = np.mean(details) if details else float("nan")
    shares = (np.mean(both), np.mean(color), np.mean(shape), detail)
    values = (*shares, count, relation, everything)
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _match(mentions: Sequence[Mention], objects: Sequence[Placed]) -> list[Placed | None]:
    """Return the object that each mention means: the assignment in which most attributes agree."""
    if not objects:
        return [None] * len(mentions)
    pool: list[Placed | None] = [*objects, *[None] * len(mentions)]
    best = max(
        permutations(range(len(pool)), len(mentions)),
        key=lambda chosen: sum(
            _agreement(m, pool[i]) for m, i in zip(mentions, chosen, strict=True)
        ),
    )
    return [pool[i] for i in best]


def _agreement(mention: Mention, candidate: Placed | None) -> float:
    if candidate is None:
        return 0.0
    score = 3.0 * (mention.shape == candidate.shape) + 3.0 * (mention.color == candidate.color)
    for name in ("size", "material"):
        score += 0.5 * (getattr(mention, name) == getattr(candidate, name))
    return score
