"""How far the people came whom a recruiting site lists, for those who pay them.

A study stores ids from elsewhere only as keyed hashes. Whoever has the site's list can look the
people up; nobody can list them from the study.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from study_app.errors import StudyUsageError
from study_app.rating import RaterProgress, Study

from .export import votes_frame

Site = Literal["prolific", "mturk"]
ID_COLUMNS: dict[str, Site] = {"participant id": "prolific", "workerid": "mturk"}
"""Columns of the sites' exported CSV files, in lower case, and the site."""

_STATUS = ("status", "assignmentstatus")
_CODE = ("completion code", "answer.code", "answer.surveycode")


@dataclass(frozen=True, slots=True)
class SiteList:
    """A list of people as a site exports it, or ids alone.

    Attributes:
        site: whose export it is; None for ids alone.
        names: of the columns, as the file has them.
        rows: one per submission.
        ids: of the rows.
    """

    site: Site | None
    names: list[str]
    rows: list[list[str]]
    ids: list[str]

    def people(self) -> list[str]:
        """Return the ids, each once."""
        return list(dict.fromkeys(self.ids))

    def statuses(self) -> list[str]:
        """Return what the site says of each row, in lower case; empty where it says nothing."""
        return [told.lower() for told in self.column(_STATUS)]

    def codes(self) -> list[str]:
        """Return the completion code that each row hands in; empty where there is none."""
        return self.column(_CODE)

    def column(self, known: Sequence[str]) -> list[str]:
        """Return the column of one of these names (in lower case); empty texts without one."""
        lower = [name.strip().lower() for name in self.names]
        place = next((lower.index(name) for name in known if name in lower), None)
        if place is None:
            return [""] * len(self.rows)
        return [row[place].strip() if len(row) > place else "" for row in self.rows]


def read_list(path: Path) -> SiteList:
    """Read a site's exported CSV, or a text file with one id per line.

    Raises:
        StudyUsageError: it can't be read as either.
    """
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyUsageError(
            f"{path} can't be read as a list of ids ({error}). Expected the CSV that Prolific or "
            "Mechanical Turk exports, or a text file with one id per line."
        ) from error
    names = rows[0] if rows else []
    known = [name for name in names if name.strip().lower() in ID_COLUMNS]
    if known:
        return _export(names, rows[1:], known[0])
    if any(len(row) > 1 for row in rows):
        raise StudyUsageError(
            f'{path} has the columns {", ".join(names)}; expected "Participant id" (Prolific), '
            '"WorkerId" (Mechanical Turk), or one id per line.'
        )
    found = [row[0].strip() for row in rows if row and row[0].strip()]
    return SiteList(None, ["id"], [[one] for one in found], found)


def _export(names: list[str], rows: list[list[str]], column: str) -> SiteList:
    place = names.index(column)
    told = [row for row in rows if len(row) > place and row[place].strip()]
    ids = [row[place].strip() for row in told]
    return SiteList(ID_COLUMNS[column.strip().lower()], names, told, ids)


def people_of(study: Study, ids: list[str]) -> pd.DataFrame:
    """Return one row per id: `id, rater, answered, asked, done, code, excluded`.

    `rater` is the id in votes.csv, empty for somebody who never came; `excluded` is the rule that
    leaves the rater out, empty for none. `code` is what the last page says.
    """
    places = dict.fromkeys(ID_COLUMNS.values())
    known = study.raters_of([f"{place}:{one}" for place in places for one in ids])
    reasons = votes_frame(study).groupby("rater")["excluded"].first()
    codes, progress = study.completion_codes(), study.rater_progress()
    rows: list[dict[str, object]] = []
    for one in ids:
        rater = next((known[who] for place in places if (who := f"{place}:{one}") in known), "")
        far = progress.get(rater, RaterProgress())
        rows.append({
            "id": one,
            "rater": rater,
            "answered": far.answered,
            "asked": far.asked,
            "done": "yes" if rater in codes else "no",
            "code": study.code_of(rater) if rater else "",
            "excluded": reasons.get(rater, ""),
        })  # fmt: skip
    names = ["id", "rater", "answered", "asked", "done", "code", "excluded"]
    return pd.DataFrame(rows, columns=names)
