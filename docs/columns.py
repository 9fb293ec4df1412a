"""Write the tables of docs/reference/files.md from the records that declare each file's columns.

    python docs/columns.py

A table stands below a mark, `<!-- columns: metrics.csv -->`, and is replaced as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path

from analysis.ballots import COLUMNS
from glide_eval.measure import tables_described

PAGE = Path(__file__).parent / "reference" / "files.md"

# How the page names the types of values, by the records' own names of them.
TYPES = {
    "str": "text", "int": "integer", "int | None": "integer or null", "float": "number",
    "tuple[float, ...] | None": "list of numbers",
    "label": "text", "text": "text", "id": "text", "whole": "integer", "number": "number",
    "time": "time", "truth": "boolean",
}  # fmt: skip

_TABLE = re.compile(r"(<!-- columns: (\S+) -->\n\n)(?:\|.*\n)+")


def tables() -> dict[str, list[tuple[str, str, str]]]:
    """Return the columns of each file: name, type, meaning."""
    votes = [(c.name, c.kind, c.meaning) for c in COLUMNS if c.exported]
    return {**dict(tables_described()), "votes.csv": votes}


def filled(page: str) -> str:
    """Return the page with every marked table made anew."""
    known = tables()

    def table(match: re.Match[str]) -> str:
        rows = [f"| `{name}` | {TYPES[kind]} | {said} |" for name, kind, said in known[match[2]]]
        heads = ["| column | type | meaning |", "| --- | --- | --- |"]
        return match[1] + "\n".join([*heads, *rows]) + "\n"

    return _TABLE.sub(table, page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), encoding="utf-8")
