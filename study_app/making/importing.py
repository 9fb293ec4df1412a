"""Turn votes made elsewhere into a study, so that status, export and report serve them too."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import insert
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Session

from analysis.ballots import RATER_KINDS, in_our_columns, layout_of, read_file
from study_app.errors import StudyUsageError
from study_app.rating import utc_now
from study_app.rules import StudyDesign
from study_app.store import (
    ArmRow,
    AssignmentRow,
    Database,
    ImageRow,
    PairRow,
    QuestionRow,
    QuotaRow,
    RaterRow,
    StudyRow,
    UndoRow,
    VoteRow,
    hash_password,
    hash_token,
    make_tables,
    new_password,
    new_secret,
    new_token,
    require_empty,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """What came in; the owner's password is told here and nowhere else."""

    votes: int
    raters: int
    arms: int
    password: str


def import_votes(
    path: Path,
    url: URL,
    *,
    columns: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    question: str | None = None,
    name: str | None = None,
    password: str | None = None,
) -> Imported:
    """Make a closed study, without images, of a file of votes.

    Args:
        path: of any file that `read_votes` reads. Needed columns: arm_left, arm_right, answer,
            rater, and question unless `question` is given; also read when present: prompt_id,
            replica, rater_kind, seconds, created_at, assignment, gold, repeat_of, revised. Other
            columns are ignored. Columns of other tools (`analysis.ballots.LAYOUTS`) are known;
            rows that such a tool sets aside are left out.
        url: an SQLite file that isn't there yet, or an empty database.
        columns: our name → the name in the file.
        answers: what the file says → a name in `analysis.ballots.ANSWERS`.
        question: asked in every vote, when the file has no such column.
        name: of the study; the file's stem by default.
        password: the owner's; generated when None.

    Raises:
        StudyUsageError: the file is missing, or a row can't be a vote; its number is told.
        DatabaseError: the database holds something, or can't be written.
    """
    votes = _read(path, columns or {}, answers or {}, question)
    password = password or new_password()
    with _no_file_left(url):
        _store(votes, url, name or path.stem, password)
    arms = {*votes["arm_left"], *votes["arm_right"]}
    return Imported(len(votes), votes["rater"].nunique(), len(arms), password)


@contextlib.contextmanager
def _no_file_left(url: URL) -> Generator[None, None, None]:
    """Remove the SQLite file that was made in here if something is refused."""
    made = url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()
    try:
        yield
    except BaseException:
        if made:
            Path(str(url.database)).unlink(missing_ok=True)
        raise


def _store(votes: pd.DataFrame, url: URL, name: str, password: str) -> None:
    database = Database(url)
    try:
        require_empty(database)

        def work(session: Session) -> None:
            make_tables(session.connection())
            _Import(session, votes, name, password).all()

        with database.explaining():
            database.writer.run(work)
    finally:
        database.close()


def _read(
    path: Path, columns: Mapping[str, str], answers: Mapping[str, str], question: str | None
) -> pd.DataFrame:
    from analysis import AnalysisError, read_votes

    try:
        raw = _texts(read_file(path))
        unknown = [theirs for theirs in columns.values() if theirs not in raw.columns]
        if unknown:
            raise StudyUsageError(
                f"{path} has no column {unknown[0]!r}; it has {', '.join(raw.columns)}. "
                "Mend --column."
            )
        votes = raw.rename(columns={theirs: ours for ours, theirs in columns.items()})
        if layout_of(votes.columns) is not None:
            votes = _texts(in_our_columns(votes.replace("", pd.NA), str(path)))
            if "excluded" in votes:  # the other tool's own: a study excludes raters by its rules
                votes = votes[votes["excluded"] == ""].reset_index(drop=True)
    except AnalysisError as error:
        raise StudyUsageError(str(error)) from error
    if question is not None:
        votes["question"] = question
    if "answer" in votes:
        votes["answer"] = votes["answer"].replace(dict(answers))
    for optional in ("gold", "repeat_of"):
        if optional not in votes:
            votes[optional] = ""
    revised = votes["revised"].str.lower() if "revised" in votes else pd.Series("", votes.index)
    votes["revised"] = revised.isin(["true", "1"])
    if "prompt_id" not in votes:  # unknown: every vote its own, so that none seem repeated
        votes["prompt_id"] = [f"v{number:07d}" for number in range(1, len(votes) + 1)]
    plain = votes.loc[(votes["gold"] == "") & (votes["repeat_of"] == "") & ~votes["revised"]]
    checked = plain.replace("", pd.NA).drop(columns=["gold", "repeat_of"])
    try:
        read_votes(checked)
    except AnalysisError as error:
        raise StudyUsageError(f"{path}: {error}") from error
    return votes.reset_index(drop=True)


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return every cell as text; missing ones are empty."""
    cells = table.astype(object)
    return cells.where(cells.notna(), "").astype(str)


class _Import:
    """Writes imported votes as a study, in one session."""

    def __init__(self, session: Session, votes: pd.DataFrame, name: str, password: str) -> None:
        self._session = session
        self._votes = votes
        self._name = name
        self._password = password
        self._rows: dict[type, list[dict[str, object]]] = {}
        self._ids: dict[tuple[str, object], int] = {}

    def all(self) -> None:
        """Write everything."""
        for key in dict.fromkeys(self._votes["question"]):
            text = str(key).replace("_", " ").capitalize()
            self._add(QuestionRow, key, key=key, text=text, shows_caption=True)
        for name in sorted({*self._votes["arm_left"], *self._votes["arm_right"]}):
            self._add(ArmRow, name, name=name, label=name)
        for row in self._votes.to_dict("records"):
            self._vote({str(key): value for key, value in row.items()})
        self._session.add(self._study())
        self._session.flush()
        for table in (
            QuestionRow, ArmRow, ImageRow, PairRow, QuotaRow, RaterRow, AssignmentRow, VoteRow,
            UndoRow,
        ):  # fmt: skip
            if self._rows.get(table):
                self._session.execute(insert(table), self._rows[table])

    def _study(self) -> StudyRow:
        return StudyRow(
            id=1,
            name=self._name,
            seed=0,
            created_at=utc_now(),
            image_size="1x1",
            image_root="",
            password_hash=hash_password(self._password),
            design=StudyDesign(name=self._name).model_dump_json(),
            source=None,
            state="closed",
            secret=new_secret(),
        )

    def _vote(self, row: dict[str, object]) -> None:
        arms = (str(row["arm_left"]), str(row["arm_right"]))
        left, right = (self._image(arm, row, side) for side, arm in enumerate(arms))
        pair = self._pair(row, left, right)
        rater = self._rater(row)
        uid = str(row.get("assignment") or "")
        known = self._ids.get(("assignment", uid)) if uid else None
        time = _time(row.get("created_at"))
        revision = 0
        if known is None:
            known = self._assignment(uid or new_token(), rater, pair, (left, right), row, time)
        else:
            revision = 1
        if row["revised"]:
            self._add(UndoRow, known, assignment_id=known, created_at=time)
            self._rows[AssignmentRow][known - 1]["revision"] = 1
        seconds = str(row.get("seconds") or "")
        number = len(self._rows.get(VoteRow, [])) + 1
        self._add(
            VoteRow,
            number,
            assignment_id=known,
            revision=revision,
            answer=str(row["answer"]),
            seconds=float(seconds) if seconds else None,
            created_at=time,
        )

    def _image(self, arm: str, row: dict[str, object], side: int) -> int:
        """Add a sample without a file; the worse one of a gold pair has a variant of its own."""
        gold = str(row["gold"])
        worse = "worse" if gold and gold != ("left", "right")[side] else ""
        replica = int(str(row.get("replica") or 0))
        return self._add(
            ImageRow,
            (arm, row["prompt_id"], replica, worse),
            name=new_token(),
            arm_id=self._ids["arm", arm],
            prompt_id=row["prompt_id"],
            replica=replica,
            caption="",
            sha256="0" * 64,
            variant=worse,
        )

    def _pair(self, row: dict[str, object], left: int, right: int) -> int:
        gold = str(row["gold"])
        first, second = (right, left) if gold == "right" else (left, right)
        if not gold and first > second:
            first, second = second, first
        question = self._ids["question", row["question"]]
        key = (question, first, second)
        known = self._ids.get(("pair", key))
        pair = self._add(
            PairRow, key, question_id=question, image_a_id=first, image_b_id=second,
            a_first=True, gold=bool(gold),
        )  # fmt: skip
        if known is None:
            self._rows.setdefault(QuotaRow, []).extend(
                {
                    "pair_id": pair, "rater_kind": kind, "question_id": question, "arm_pair": 0,
                    "wanted": 0, "taken": 0, "draws": 0, "withdrawn": False,
                }
                for kind in RATER_KINDS
            )  # fmt: skip
        return pair

    def _rater(self, row: dict[str, object]) -> int:
        public = str(row["rater"])
        kind = str(row.get("rater_kind") or "person")
        return self._add(
            RaterRow, public, public_id=public, token_hash=hash_token(new_token()),
            outside_hash=None, kind=kind, share=0, joined_at=_time(row.get("created_at")),
            consented_at=None, instructed_at=None, practised=0, rested=0, given=0, done=0,
            undoable_id=None,
        )  # fmt: skip

    def _assignment(
        self,
        uid: str,
        rater: int,
        pair: int,
        sides: tuple[int, int],
        row: dict[str, object],
        time: datetime,
    ) -> int:
        first = self._ids.get(("answered", (rater, pair)))
        if first is not None and ("again", (rater, pair)) in self._ids:
            raise StudyUsageError(
                f"The rater {row['rater']} answered one pair more than twice: arms "
                f"{row['arm_left']} and {row['arm_right']}, prompt {row['prompt_id']}. Expected a "
                "vote and at most one repeat. Remove the others, or give each pair a prompt_id."
            )
        stored = self._add(
            AssignmentRow, uid, uid=uid, rater_id=rater, pair_id=pair, left_image_id=sides[0],
            right_image_id=sides[1], assigned_at=time, expires_at=None, state="answered",
            revision=0, repeated=first is not None, repeat_of_id=first,
        )  # fmt: skip
        self._ids["answered" if first is None else "again", (rater, pair)] = stored
        counts = self._rows[RaterRow][rater - 1]
        for name in ("share", "given", "done"):
            counts[name] = int(str(counts[name])) + 1
        return stored

    def _add(self, table: type[DeclarativeBase], known_by: object, **values: object) -> int:
        """Return the id of a row: a new one, or the one known by this."""
        name = table.__tablename__
        if (name, known_by) not in self._ids:
            rows = self._rows.setdefault(table, [])
            self._ids[name, known_by] = len(rows) + 1
            rows.append({"id": len(rows) + 1, **values})
        return self._ids[name, known_by]


def _time(text: object) -> datetime:
    """Return a moment in UTC; without one, 1 January 1970, which nobody takes for real."""
    if not text:
        return datetime(1970, 1, 1, tzinfo=UTC)
    try:
        time = pd.Timestamp(str(text))
        return (time.tz_localize(UTC) if time.tz is None else time).to_pydatetime().astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise StudyUsageError(
            f"{str(text)[:40]!r} is no time; expected ISO 8601, such as 2026-05-01T12:00:00+00:00."
        ) from error


def parse_pairs(specs: tuple[str, ...], option: str) -> dict[str, str]:
    """Return `A=B` options as a mapping.

    Raises:
        StudyUsageError: one without an equals sign.
    """
    split = [spec.partition("=") for spec in specs]
    wrong = next((spec for spec, parts in zip(specs, split, strict=True) if not parts[1]), None)
    if wrong is not None:
        raise StudyUsageError(f"{option} {wrong!r}: expected OURS=THEIRS with an equals sign.")
    return {left.strip(): right.strip() for left, _, right in split}
