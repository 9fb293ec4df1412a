"""How far the people came whom a recruiting site lists, for those who pay them.

A study stores ids from elsewhere only as keyed hashes. Whoever has the site's list can look the
people up; nobody can list them from the study.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from study_app.errors import StudyUsageError
from study_app.rating import Study

from .export import votes_frame

ID_COLUMNS = {"participant id": "prolific", "workerid": "mturk"}
"""Columns of the sites' exported CSV files, in lower case, and the site."""


def read_ids(path: Path) -> list[str]:
    """Return the ids in a site's exported CSV, or in a text file with one id per line.

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
    names = [name.strip().lower() for name in rows[0]] if rows else []
    column = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if column is not None:
        found = [row[column].strip() for row in rows[1:] if len(row) > column]
    elif any(len(row) > 1 for row in rows):
        raise StudyUsageError(
            f'{path} has the columns {", ".join(rows[0])}; expected "Participant id" (Prolific), '
            '"WorkerId" (Mechanical Turk), or one id per line.'
        )
    else:
        found = [row[0].strip() for row in rows if row]
    return list(dict.fromkeys(one for one in found if one))


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
        answered, asked = progress.get(rater, (0, 0))
        rows.append({
            "id": one,
            "rater": rater,
            "answered": answered,
            "asked": asked,
            "done": "yes" if rater in codes else "no",
            "code": study.code_of(rater) if rater else "",
            "excluded": reasons.get(rater, ""),
        })  # fmt: skip
    names = ["id", "rater", "answered", "asked", "done", "code", "excluded"]
    return pd.DataFrame(rows, columns=names)
