"""Tables and text as LaTeX that compiles as it stands, whatever arms and prompts are called."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pandas as pd

from .wording import strip_control

WIDTH = 100  # characters of a line of cells; wider tables become several below each other
LENGTH = 42  # rows of one page; longer tables may break across pages
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
    """A booktabs table; the first column is set left, the others right.

    A table too wide for a page becomes several, one below the other, each with the first column;
    one too long for a page becomes a `longtable`.

    Args:
        printed: texts, with headings.
        caption: above it.
        label: after `tab:`; letters, digits and hyphens.
    """
    needs = ["booktabs"] + ["longtable"] * (len(printed) > LENGTH)
    lines = [rf"% \usepackage{{{', '.join(needs)}}}"]
    if not _western(" ".join([caption, *printed.columns, *printed.to_numpy(str).ravel()])):
        lines.append("% Other scripts than Latin: compile with XeLaTeX or LuaLaTeX.")
    blocks = list(_blocks(printed))
    if len(printed) > LENGTH:
        for number, block in enumerate(blocks):
            name = label + f"-{number + 1}" * bool(number)
            lines += _long(block, caption, name)
        return "\n".join(lines) + "\n"
    lines += [r"\begin{table}", rf"  \caption{{{escape(caption)}}}", rf"  \label{{tab:{label}}}",
              r"  \centering"]  # fmt: skip
    for number, block in enumerate(blocks):
        lines += [r"  \par\medskip"] * bool(number) + _tabular(block)
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: object) -> str:
    """Any text as LaTeX on one line, its special characters escaped."""
    plain = strip_control(unicodedata.normalize("NFC", str(text)))
    return "".join(_LATEX.get(character, character) for character in plain)


def _blocks(printed: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The table cut into widths that fit, each beginning with the first column."""
    widths = [
        max([len(str(name)), *(len(str(cell)) for cell in printed[name])]) + 2
        for name in printed.columns
    ]
    first, chosen, used = printed.columns[0], [], widths[0] if widths else 0
    for name, width in zip(printed.columns[1:], widths[1:], strict=True):
        if chosen and used + width > WIDTH:
            yield printed[[first, *chosen]]
            chosen, used = [], widths[0]
        chosen.append(name)
        used += width
    yield printed[[first, *chosen]]


def _tabular(block: pd.DataFrame) -> list[str]:
    return [
        rf"  \begin{{tabular}}{{{_columns(block)}}}",
        r"    \toprule",
        _row(block.columns),
        r"    \midrule",
        *map(_row, block.to_numpy()),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]


def _long(block: pd.DataFrame, caption: str, label: str) -> list[str]:
    head = [r"    \toprule", _row(block.columns), r"    \midrule"]
    return [
        rf"\begin{{longtable}}{{{_columns(block)}}}",
        rf"  \caption{{{escape(caption)}}}\label{{tab:{label}}} \\",
        *head,
        r"    \endfirsthead",
        *head,
        r"    \endhead",
        r"    \bottomrule",
        r"    \endfoot",
        *map(_row, block.to_numpy()),
        r"\end{longtable}",
    ]


def _columns(block: pd.DataFrame) -> str:
    """Column types: numbers right, the first column and long texts left, very long wrapped."""
    kinds = []
    for number, name in enumerate(block.columns):
        longest = max((len(str(cell)) for cell in block[name]), default=0)
        if longest > 48:
            kinds.append(r"p{0.45\linewidth}")
        else:
            kinds.append("l" if number == 0 or longest > 28 else "r")
    return "".join(kinds)


def _row(cells: object) -> str:
    return "    " + " & ".join(map(escape, cells)) + r" \\"  # type: ignore[call-overload]


def _western(text: str) -> bool:
    """Whether pdfLaTeX knows every character: Latin letters, and those replaced above."""
    return all(ord(c) < 0x180 or c in _LATEX for c in strip_control(text))
