"""Metric values as tables for a terminal; values that can't be compared never share one."""

from __future__ import annotations

import math
import re
import shutil
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glide_eval.extractors import difference_in_words
from glide_eval.metrics import METRICS

if TYPE_CHECKING:
    from glide_eval.measure import DifferenceRow, MetricRow

NARROWEST, WIDEST, USUAL = 72, 160, 100  # characters a line


@dataclass(frozen=True)
class Table:
    """Rows that can be compared with each other.

    Attributes:
        rows: of one extractor and fingerprint, against one reference at most.
        apart: why they are not in the table before; empty for an extractor's first.
    """

    rows: list[MetricRow]
    apart: str = ""


def comparable_tables(
    rows: Sequence[MetricRow],
    facts: Mapping[str, Mapping[str, str]],
    current: Sequence[str] = (),
) -> list[Table]:
    """Divide rows into tables: two share one only if extractor, fingerprint and reference match.

    Rows without a reference stand with their extractor's first one.

    Args:
        rows: of one run or several.
        facts: fingerprint -> what it stands for, where known.
        current: fingerprints to begin with: those measured just now.
    """
    groups: dict[tuple[str, str], dict[str, list[MetricRow]]] = {}
    ordered = sorted(rows, key=lambda row: row.fingerprint not in current)
    for row in ordered:
        digests = groups.setdefault((row.extractor, row.fingerprint), {})
        digests.setdefault(_digest(row.reference), []).append(row)
    tables: list[Table] = []
    first: dict[str, str] = {}  # extractor -> fingerprint of its first table
    for extractor in dict.fromkeys(name for name, _ in groups):
        for (name, fingerprint), by_reference in groups.items():
            if name != extractor:
                continue
            other = first.setdefault(name, fingerprint)
            why = ""
            if other != fingerprint:
                found = [(name, facts.get(key, {})) for key in (other, fingerprint)]
                why = difference_in_words(found[0], found[1])
            tables += _by_reference(by_reference, why, rows)
    return tables


def format_table(
    rows: Sequence[MetricRow], labels: Mapping[str, str], width: int | None = None
) -> str:
    """One table for reading in a terminal.

    Arms down, metrics across in as many blocks as the width needs, each value with its interval;
    then what the values are compared with and what to doubt.

    Args:
        rows: of one extractor, at least one.
        labels: arm's name -> what to print.
        width: characters a line; None asks the terminal.
    """
    width = width or terminal_width()
    arms = list(dict.fromkeys(row.arm for row in rows))
    by_metric: dict[str, dict[str, MetricRow]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, {})[row.arm] = row
    columns = [_column(metric, arms, found) for metric, found in by_metric.items()]
    names = ["", *(labels.get(arm, arm) for arm in arms)]
    n = _n(_images(rows).values())
    title = f"{rows[0].extractor}: value [{rows[0].level:.0%} interval], n = {n} an arm"
    lines = [title, "", *_grid(names, columns, width)]
    for reference in sorted({row.reference for row in rows} - {""}):
        compared = dict.fromkeys(row.metric for row in rows if row.reference == reference)
        lines += wrapped(f"{', '.join(compared)}: against {reference}.", width)
    for note in [*_notes(rows, labels), *_notes_on_n(rows)]:
        lines += wrapped(note, width)
    return "\n".join(lines) + "\n"


def format_differences(
    gaps: Sequence[DifferenceRow], labels: Mapping[str, str], width: int | None = None
) -> str:
    """Differences between arms of one extractor, laid out like `format_table`.

    Args:
        gaps: rows of `differences.csv`, at least one.
        labels: arm's name -> what to print.
        width: characters a line; None asks the terminal.
    """
    width = width or terminal_width()
    pairs = list(dict.fromkeys((gap.arm, gap.baseline) for gap in gaps))
    by_metric: dict[str, dict[tuple[str, str], DifferenceRow]] = {}
    for gap in gaps:
        by_metric.setdefault(gap.metric, {})[gap.arm, gap.baseline] = gap
    columns = []
    for metric, found in by_metric.items():
        decimals = _decimals([gap.ci_high - gap.ci_low for gap in found.values()])
        cells = [
            _cell(gap.difference, gap.ci_low, gap.ci_high, decimals, "+") if gap else ""
            for gap in map(found.get, pairs)
        ]
        columns.append(_justified([metric, *cells]))
    names = [" − ".join(labels.get(arm, arm) for arm in pair) for pair in pairs]
    title = f"{gaps[0].extractor}: difference [{gaps[0].level:.0%} interval]"
    alone = [name for name, pair in zip(names, pairs, strict=True) if not _shared(gaps, pair)]
    lines = [title, "", *_grid(["", *names], columns, width)]
    if len(alone) < len(names):
        lines += wrapped("Images of one prompt in both arms are taken as pairs.", width)
    if alone:
        about = "" if len(alone) == len(names) else f" ({', '.join(alone)})"
        lines += wrapped(f"Taken as independent, for they share no prompt{about}.", width)
    return "\n".join(lines) + "\n"


def terminal_width() -> int:
    """Characters a line."""
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size((USUAL, 24)).columns))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, the second and later ones indented; words are never cut."""
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _shared(gaps: Sequence[DifferenceRow], pair: tuple[str, str]) -> bool:
    return any(gap.n for gap in gaps if (gap.arm, gap.baseline) == pair)


def _by_reference(
    by_reference: dict[str, list[MetricRow]], why: str, rows: Sequence[MetricRow]
) -> list[Table]:
    alone = by_reference.pop("", [])
    groups = list(by_reference.values()) or [[]]
    places = {id(row): number for number, row in enumerate(rows)}
    groups[0] = sorted(groups[0] + alone, key=lambda row: places[id(row)])
    return [
        Table(group, why if not number else _joined(why, "they are against other real images"))
        for number, group in enumerate(groups)
    ]


def _joined(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _digest(reference: str) -> str:
    """The digest at a label's end: the same images may be named in other words."""
    found = re.search(r"\(([0-9a-f]{12})\)$", reference)
    return found[1] if found else reference


def _n(counts: Iterable[int]) -> str:
    """`1,000 images`, or `20 to 1,000 images`."""
    known = sorted({count for count in counts if count})
    ends = dict.fromkeys([*known[:1], *known[-1:]])
    return f"{' to '.join(f'{count:,}' for count in ends) or '0'} images"


def _images(rows: Sequence[MetricRow]) -> dict[str, int]:
    """How many images each arm has: what its metrics have, or the most of them."""
    most: dict[str, int] = {}
    for row in rows:
        most[row.arm] = max(row.n, most.get(row.arm, 0))
    return most


def _notes(rows: Sequence[MetricRow], labels: Mapping[str, str]) -> list[str]:
    """Each note once, with the metrics it is about, and the arms where that is not all of them."""
    about: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        found = [row for row in rows if row.metric == metric]
        for note in dict.fromkeys(row.note for row in found if row.note):
            arms = tuple(labels.get(row.arm, row.arm) for row in found if row.note == note)
            about.setdefault((note, arms if len(arms) < len(found) else ()), []).append(metric)
    return [
        f"{', '.join(metrics)}{_bracketed(arms)}: {note}."
        for (note, arms), metrics in about.items()
    ]


def _bracketed(arms: tuple[str, ...]) -> str:
    return f" ({', '.join(arms)})" if arms else ""


def _notes_on_n(rows: Sequence[MetricRow]) -> list[str]:
    """Where a metric is of fewer images than its arm has, or arms differ and that moves it."""
    images = _images(rows)
    notes = []
    for metric in dict.fromkeys(row.metric for row in rows):
        found = [row for row in rows if row.metric == metric and not math.isnan(row.value)]
        if any(row.n < images[row.arm] for row in found):
            notes.append(f"{metric}: of {_n(row.n for row in found)} an arm.")
        if METRICS[metric].biased_by_n and len({row.n for row in found}) > 1:
            notes.append(
                f"{metric}: arms have {_n(row.n for row in found)}, and its bias depends on their "
                "number: compare arms of equal n only."
            )
    return notes


def _grid(names: list[str], columns: list[list[str]], width: int) -> list[str]:
    """Names and columns as lines, in as many blocks as the width needs, a blank line after each."""
    first = max(len(name) for name in names)
    lines = []
    for block in _blocks(columns, width - first):
        for i, name in enumerate(names):
            lines.append("  ".join([name.ljust(first), *(column[i] for column in block)]).rstrip())
        lines.append("")
    return lines


def _column(metric: str, arms: list[str], found: dict[str, MetricRow]) -> list[str]:
    """The metric's name and each arm's value, as wide as the widest."""
    decimals = _decimals([row.ci_high - row.ci_low for row in found.values()])
    return _justified(
        [metric]
        + [
            _cell(row.value, row.ci_low, row.ci_high, decimals) if row else ""
            for row in map(found.get, arms)
        ]
    )


MOST_DECIMALS = 6


def _decimals(widths: Sequence[float]) -> int:
    """Two digits of the typical half-width are as many as are worth reading."""
    half = statistics.median([w for w in widths if w > 0] or [0.1]) / 2
    return max(0, 1 - math.floor(math.log10(half)))


def _justified(cells: list[str]) -> list[str]:
    width = max(len(cell) for cell in cells)
    return [cell.rjust(width) for cell in cells]


def _cell(value: float, low: float, high: float, decimals: int, sign: str = "-") -> str:
    """`12.3 [11.0, 13.6]`; `sign` "+" shows it of all numbers."""
    if math.isnan(value):
        return "undefined"
    if math.isnan(low):
        return f"{_number(value, decimals, sign)} [none]"
    ends = ", ".join(_number(end, decimals, sign) for end in (low, high))
    return f"{_number(value, decimals, sign)} [{ends}]"


def _number(value: float, decimals: int, sign: str) -> str:
    """A number with so many digits after the point, in powers of ten beyond `MOST_DECIMALS`."""
    if decimals > MOST_DECIMALS:
        return f"{value:{sign}.2g}"
    text = f"{value:{sign}.{decimals}f}"
    if float(text) == 0 and value != 0 and decimals < 2:
        return f"{value:{sign}.1g}"
    return text.lstrip("-") if float(text) == 0 else text


def _blocks(columns: list[list[str]], width: int) -> list[list[list[str]]]:
    blocks: list[list[list[str]]] = [[]]
    for column in columns:
        used = sum(len(c[0]) + 2 for c in blocks[-1])
        if blocks[-1] and used + len(column[0]) + 2 > width:
            blocks.append([])
        blocks[-1].append(column)
    return blocks
