"""How guidance strategies look in every figure, table and page.

The catalogues of installed packages are known (entry points of the group `glide_eval.strategies`);
a notebook may describe others (`describe_strategies`). A strategy that nobody described has its own
name, a colour that follows from its name, and a circle.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from analysis.installed import installed

_SPARE = (  # light and dark colours of strategies that nobody described
    ("#aa3377", "#d873ab"), ("#0e8ea6", "#4fc3d9"), ("#b8860b", "#e0b040"), ("#8c564b", "#c49287"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StrategyLook:
    """How one strategy looks.

    Attributes:
        name: as in tables of arms.
        words: what figures, tables and pages call it.
        colour: hex, on a light page; Okabe and Ito's in spirit.
        dark: the same on a dark page.
        marker: a key of `figures.theme.MARKERS`.
        dashes: of its lines where runs have colours, as in SVG.
    """

    name: str
    words: str
    colour: str
    dark: str
    marker: str = "circle"
    dashes: tuple[int, ...] = (1, 0)


def describe_strategies(looks: Iterable[StrategyLook]) -> None:
    """Make strategies known to every figure, table and page of this process.

    Args:
        looks: in the order in which legends show them; a later one replaces one of its name.
    """
    _described().update((look.name, look) for look in looks)


def described_strategies() -> list[str]:
    """Return the names of the strategies described so far, in order."""
    return list(_described())


def strategy_look(name: str) -> StrategyLook:
    """Return how a strategy looks; see the module for one that nobody described."""
    if name in _described():
        return _described()[name]
    colours = _SPARE[zlib.crc32(name.encode()) % len(_SPARE)]
    return StrategyLook(name, name.replace("_", " "), *colours)


def strategy_looks(names: Iterable[str]) -> list[StrategyLook]:
    """Return the looks of the strategies named, each once: described ones first, in their order."""
    wanted = dict.fromkeys(names)
    ordered = [name for name in _described() if name in wanted]
    return [strategy_look(name) for name in (*ordered, *(n for n in wanted if n not in ordered))]


def strategy_words(strategy: str) -> str:
    """Return the strategy as figures and pages print it."""
    return strategy_look(strategy).words


def series_words(series: str) -> str:
    """Return a series as figures and pages print it: `Classifier-free guidance [dpm20]`."""
    strategy, bracket, variant = series.partition(" [")
    return strategy_words(strategy) + bracket + variant


def strategy_css(names: Iterable[str]) -> str:
    """Return the page's styles of the strategies named: colours, legend marks, switching off."""
    rules: list[str] = []
    for look in strategy_looks(names):
        name, colour = look.name, f"var(--{look.name})"
        inks = ", ".join(f'[{part}="{colour}"]' for part in ("fill", "stroke"))
        rules += [
            f":root {{ --{name}: light-dark({look.colour}, {look.dark}); }}",
            f".mark.{name} {{ background: {colour}; {_SHAPES.get(look.marker, '')} }}",
            f".c-{name} {{ color: {colour}; }}",
            f'.hide-{name} :is({inks}, tr[data-strategy="{name}"]) {{ display: none; }}',
        ]
    return "\n".join(rules) + "\n"


_SHAPES = {  # of a legend's mark, by marker; without one it is a circle
    "square": "border-radius: 1px;",
    "diamond": "border-radius: 0; transform: rotate(45deg) scale(0.82);",
    "triangle-up": "border-radius: 0; clip-path: polygon(50% 0, 100% 100%, 0 100%);",
}


@cache
def _described() -> dict[str, StrategyLook]:
    """Return the strategies of this process by name, beginning with those of installed packages."""
    return {look.name: look for look in installed("glide_eval.strategies", StrategyLook)}
