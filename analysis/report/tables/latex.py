"""Tables and text as LaTeX that compiles whatever arms and prompts are called."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator

import pandas as pd

from analysis.report.words.wording import strip_control

# Of `article` at 10 pt, in points, tables in \small; widths of text are estimates.
WIDTH = 338.0
CHARACTER, GAP = 4.4, 8.0  # of a letter on the mean, and between two columns
NARROWEST = 72.0  # of a column of wrapped text
SEP = rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}"
LENGTH = 44  # lines of one page; longer tables may break across pages
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "\u00a0": "~",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "½": r"$\frac{1}{2}$",
    "≈": r"$\approx$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "µ": r"$\mu$",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be \\'s argument
    "]": "{]}",
}

# Greek letters by their names; capitals that look Latin have no command and no need of one.
_GREEK = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma
tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"""
for _name in _GREEK.split():
    _case = "SMALL" if _name.islower() else "CAPITAL"
    _letter = {"lambda": "lamda"}.get(_name.lower(), _name)  # as Unicode spells it
    _LATEX[unicodedata.lookup(f"GREEK {_case} LETTER {_letter.upper()}")] = rf"$\{_name}$"


def latex(printed: pd.DataFrame, caption: str, label: str) -> str:
    """Return a booktabs table for the text width of `article`; words are set left, numbers right.

    Long texts wrap. A table still too wide for a page is cut into several, each with the columns
    that name its rows; pieces too long for one page become tables of their own, and a piece longer
    than a page a `longtable`.

    Args:
        printed: texts, with headings.
        caption: above it.
        label: after `tab:`; letters, digits and hyphens.
    """
    pieces = [_Piece(block) for block in _blocks(printed)]
    long = any(piece.lines > LENGTH for piece in pieces)
    lines = [rf"% \usepackage{{{', '.join(['array', 'booktabs'] + ['longtable'] * long)}}}"]
    if not _western(" ".join([caption, *printed.columns, *printed.to_numpy(str).ravel()])):
        lines.append("% Other scripts than Latin: compile with XeLaTeX or LuaLaTeX.")
    groups = list(_pages(pieces))
    for number, group in enumerate(groups):
        part = f" (part {number + 1} of {len(groups)})" if len(groups) > 1 else ""
        name = label + f"-{number + 1}" * bool(number)
        lines += _float(group, caption + part, name, long)
    return "\n".join(lines) + "\n"


def escape(text: object) -> str:
    """Return any text as LaTeX on one line, its special characters escaped."""
    plain = strip_control(unicodedata.normalize("NFC", str(text)))
    return "".join(_LATEX.get(character, character) for character in plain)


class _Piece:
    """Columns that stand side by side, how each is set, and how many lines they take."""

    def __init__(self, block: pd.DataFrame) -> None:
        widths = [_width(block, n) for n in range(block.shape[1])]
        wrapped = _wrapped(widths, block)
        room = WIDTH - sum(w for n, w in enumerate(widths) if n not in wrapped)
        each = max(room / max(len(wrapped), 1) - GAP, NARROWEST)
        share = int(100 * each / WIDTH) / 100
        paragraph = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
        sides = [_side(block, n) for n in range(len(widths))]
        self.columns = "".join(paragraph if n in wrapped else s for n, s in enumerate(sides))
        fits = max(int(each / CHARACTER), 1)
        heights = [
            max((-(-len(str(row[n])) // fits) for n in wrapped), default=1)
            for row in block.to_numpy()
        ]
        self.lines = sum(heights) + 3
        self.block = block.map(escape)
        self.block.columns = [_heading(block, n) for n in range(len(widths))]

    def tabular(self) -> str:
        """Return the piece within a float."""
        styler = self.block.style.hide(axis="index")
        return str(styler.to_latex(hrules=True, column_format=self.columns))

    def longtable(self, caption: str, label: str) -> str:
        """Return the piece over several pages, its caption and headings on each."""
        styler = self.block.style.hide(axis="index")
        return str(
            styler.to_latex(
                hrules=True, column_format=self.columns, environment="longtable", caption=caption,
                label=label,
            )
        )  # fmt: skip


def _heading(block: pd.DataFrame, n: int) -> str:
    """Return the column's name, broken over lines where it is longer than what stands below."""
    parts = _broken(block, n)
    if len(parts) == 1:
        return escape(parts[0])
    stacked = r" \\ ".join(map(escape, parts))
    return rf"\shortstack[{_side(block, n)}]{{{stacked}}}"


def _side(block: pd.DataFrame, n: int) -> str:
    return "l" if n == 0 or _is_text(block, n) else "r"


def _blocks(printed: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the table cut into widths that fit, each beginning with what names its rows."""
    widths = [_width(printed, n) for n in range(printed.shape[1])]
    least = [min(w, NARROWEST + GAP) if _is_text(printed, n) else w for n, w in enumerate(widths)]
    named = _names(printed)
    keys, start = list(printed.columns[:named]), sum(least[:named])
    chosen, used = [], start
    for name, width in zip(printed.columns[named:], least[named:], strict=True):
        if chosen and used + width > WIDTH:
            yield printed[[*keys, *chosen]]
            chosen, used = [], start
        chosen.append(name)
        used += width
    yield printed[[*keys, *chosen]]


def _names(printed: pd.DataFrame) -> int:
    """Return how many leading columns tell the rows apart: one or two."""
    return 2 if printed.shape[1] > 2 and printed.iloc[:, 0].duplicated().any() else 1


def _wrapped(widths: list[float], block: pd.DataFrame) -> set[int]:
    """Return columns of text to wrap, the widest first, until the block fits."""
    wrapped: set[int] = set()
    texts = sorted((n for n in range(len(widths)) if _is_text(block, n)), key=lambda n: -widths[n])
    for n in texts:
        narrow = len(wrapped) * (NARROWEST + GAP)
        if sum(w for m, w in enumerate(widths) if m not in wrapped) + narrow <= WIDTH:
            break
        if widths[n] > NARROWEST + GAP:
            wrapped.add(n)
    return wrapped


def _pages(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces that fit below each other on one page."""
    group: list[_Piece] = []
    for piece in pieces:
        if group and sum(p.lines for p in group) + piece.lines > LENGTH:
            yield group
            group = []
        group.append(piece)
    yield group


def _float(pieces: list[_Piece], caption: str, label: str, long: bool) -> list[str]:
    caption, label = escape(caption), f"tab:{label}"
    if long:
        tables = [p.longtable(caption, label) for p in pieces]
        return [rf"{{\small{SEP}", *tables, "}"]
    told = rf"\caption{{{caption}}}\label{{{label}}}"
    body = "\\par\\medskip\n".join(piece.tabular() for piece in pieces)
    return [r"\begin{table}", told, rf"\centering\small{SEP}", body + r"\end{table}"]


def _is_text(block: pd.DataFrame, n: int) -> bool:
    """Return whether the column holds words rather than numbers and their intervals."""
    cells = [str(cell) for cell in block.iloc[:, n]]
    return any(re.search(r"[^\W\d_]{2,}", cell.replace(" to ", " ")) for cell in cells)


def _width(block: pd.DataFrame, n: int) -> float:
    """Return the column's width in points, with the gap beside it."""
    cells = [str(cell) for cell in block.iloc[:, n]]
    return max(map(_points, [*cells, *_broken(block, n)])) + GAP


def _points(text: str) -> float:
    """Return about how wide the text is set, in points: Computer Modern at 9 pt."""
    wide = sum(7.2 for c in text if not c.isalnum() and ord(c) > 0x2000)
    capitals = sum(6.5 for c in text if c.isupper())
    small = sum(4.65 for c in text if c.islower() or c.isdigit())
    return wide + capitals + small + sum(3.2 for c in text if not c.isalnum() and ord(c) <= 0x2000)


def _broken(block: pd.DataFrame, n: int) -> list[str]:
    """Return a heading over enough lines to be no wider than the cells; words stay whole."""
    longest = max((len(str(cell)) for cell in block.iloc[:, n]), default=0)
    name = strip_control(str(block.columns[n]))
    return textwrap.wrap(name, max(longest, 10), break_long_words=False) or [""]


def _western(text: str) -> bool:
    """Return whether pdfLaTeX knows every character: Latin letters, and those replaced above."""
    return all(ord(c) < 0x180 or c in _LATEX for c in strip_control(text))
