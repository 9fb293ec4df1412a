"""A share of some work that several tasks do side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Share:
    """Part `index` of `of` parts, 1 ≤ index ≤ of."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def of_items(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return every `of`-th item, which spreads each arm over all parts."""
        return items[self.index - 1 :: self.of]
