"""Make a study: plan its pairs, blind its images, store all of it in one transaction."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from tqdm import tqdm

from analysis.ballots import QUESTIONS, RATER_KINDS, Question
from glide_eval.files import RunFolder, Sample
from study_app.rating import Clock, utc_now
from study_app.rules import (
    Estimate,
    PlannedPair,
    QuestionTable,
    RatersTable,
    Rules,
    RunTable,
    StudyDesign,
    VotesTable,
    estimated,
    plan_pairs,
)
from study_app.store import (
    ArmRow,
    Database,
    ImageRow,
    PairRow,
    PracticeRow,
    QuestionRow,
    QuotaRow,
    StudyRow,
    hash_password,
    make_tables,
    new_password,
    new_secret,
    new_token,
    require_empty,
)

from .gold import KnownPair, plan_gold, plan_practice
from .images import Picture, PictureKey, blind_copies, common_size
from .materials import Materials, gather

IMAGE_FOLDER = "study_images"


@dataclass(frozen=True, slots=True)
class CreatedStudy:
    """What `create_study` made.

    Attributes:
        pairs: how many, over all questions, gold ones not counted.
        votes: how many it wants of people.
        estimate: what that asks of people, and what they are paid.
        gold: pairs with a known answer.
        images: how many were made for raters.
        image_size: width and height in pixels.
        resized: images that had to be made smaller to equal the others.
        left_out: images that the study file leaves out.
        password: the owner's; told here and nowhere else.
    """

    pairs: int
    votes: int
    estimate: Estimate
    gold: int
    images: int
    image_size: tuple[int, int]
    resized: bool
    password: str
    left_out: int = 0


def create_study(
    run: RunFolder,
    url: URL,
    *,
    questions: Sequence[Question] = tuple(QUESTIONS.values()),
    pairs_per_question: int | None = None,
    rules: Rules | None = None,
    seed: int = 0,
    name: str | None = None,
    password: str | None = None,
    clock: Clock = utc_now,
) -> CreatedStudy:
    """Make a study of a run's samples in an empty database, without a study file.

    Args:
        run: where the samples are; their blind copies go to its `study_images/`.
        url: an SQLite file that isn't there yet, or an empty database.
        questions: in the order raters meet them.
        pairs_per_question: None for every arm pair of every prompt.
        rules: how votes are collected.
        seed: of the pairs' choice and order and of their sides.
        name: what votes.csv calls the study; the run folder's name by default.
        password: the owner's; generated when None.
        clock: stamps the study.

    Raises:
        StudyUsageError: no pairs can be made, or fewer than asked for.
        DatabaseError: the database holds something, or can't be written.
        RunError, ImageError, StorageError: the run is not whole, or the disk is full.
    """
    rules = rules or Rules()
    tables = [
        QuestionTable(
            key=question.key,
            text=question.text,
            shows_caption=question.shows_caption,
            pairs=pairs_per_question,
            graded=question.graded,
        )
        for question in questions
    ]
    votes = VotesTable(
        per_pair=rules.votes_per_pair,
        min_seconds=rules.min_seconds,
        extra_answers=list(rules.extra_answers),
    )
    raters = RatersTable(pairs=rules.pairs_per_rater, break_every=rules.break_every)
    design = StudyDesign(name=name, seed=seed, questions=tables, votes=votes, raters=raters)
    return create_from_design(design, url, run=run, password=password, clock=clock)


def create_from_design(
    design: StudyDesign,
    url: URL,
    *,
    run: RunFolder | None = None,
    base: Path | None = None,
    source: Path | None = None,
    password: str | None = None,
    clock: Clock = utc_now,
) -> CreatedStudy:
    """Make a study as its design says, in an empty database.

    Args:
        design: of the study.
        url: an SQLite file that isn't there yet, or an empty database.
        run: takes part instead of the design's runs; None for those.
        base: the folder that the design's paths are relative to; here by default.
        source: the study file; `serve` refuses when it was changed since.
        password: the owner's; generated when None.
        clock: stamps the study.

    Raises:
        StudyUsageError, DatabaseError, RunError, ImageError, StorageError: as `create_study`.
    """
    secret = new_secret()
    design = with_full_paths(design, base or Path(), run)
    materials = gather(design, base or Path(), run)
    plan = _plan(design, materials.samples)
    database = Database(url)
    try:
        require_empty(database)
        size, resized = common_size(Path(picture.sample.path) for picture in plan.pictures)
        folder = _image_folder(run, database.folder, base)
        names = _blind_images(plan.pictures, folder, size)
        password = password or new_password()
        study = StudyRow(
            id=1,
            name=design.name or _default_name(run, source),
            seed=design.seed,
            created_at=clock(),
            design=design.model_dump_json(),
            source=None if source is None else os.fspath(source.resolve()),
            state="open",
            secret=secret,
            image_size=f"{size[0]}x{size[1]}",
            image_root=_image_root(folder, database.folder),
            password_hash=hash_password(password),
        )
        wanted = _stored(database, study, design, materials, plan, names)
    finally:
        database.close()
    return CreatedStudy(
        pairs=len(plan.pairs),
        votes=wanted,
        estimate=estimated(design, wanted, len(plan.pairs)),
        gold=len(plan.gold),
        images=len(plan.pictures),
        image_size=size,
        resized=resized,
        password=password,
        left_out=materials.left_out,
    )


def _blind_images(
    pictures: list[Picture], folder: Path, size: tuple[int, int]
) -> dict[PictureKey, str]:
    with tqdm(total=len(pictures), desc="Images", unit="image", disable=None) as bar:
        return blind_copies(pictures, folder, size, bar.update)


def _stored(
    database: Database,
    study: StudyRow,
    design: StudyDesign,
    materials: Materials,
    plan: _Plan,
    names: dict[PictureKey, str],
) -> int:
    """Store the study in one transaction, and return the votes wanted of people."""

    def work(session: Session) -> int:
        make_tables(session.connection())
        session.add(study)
        return _Store(session, design, materials, plan, names).all()

    with database.explaining():
        return database.writer.run(work)


def with_full_paths(design: StudyDesign, base: Path, run: RunFolder | None) -> StudyDesign:
    """Return the design with absolute paths, so that it means the same from anywhere."""
    if run is not None:
        return design.model_copy(update={"runs": [RunTable(path=os.fspath(run.root.resolve()))]})

    def full(path: str | None) -> str | None:
        return path and os.fspath((base / Path(path).expanduser()).resolve())

    tables: list[RunTable] = []
    for table in design.runs:
        files = {"list": full(table.leave_out.list), "scores": full(table.leave_out.scores)}
        rules = table.leave_out.model_copy(update=files)
        tables.append(table.model_copy(update={"path": full(table.path), "leave_out": rules}))
    return design.model_copy(update={"runs": tables})


@dataclass(frozen=True, slots=True)
class _Plan:
    pairs: list[PlannedPair]
    gold: list[KnownPair]
    practice: list[KnownPair]
    pictures: list[Picture]  # everything that is shown, once each


def _plan(design: StudyDesign, samples: list[Sample]) -> _Plan:
    pairs = plan_pairs(
        [sample.key for sample in samples],
        [question.key for question in design.questions],
        {question.key: question.pairs for question in design.questions},
        design.seed,
        together=design.raters.questions == "together",
    )
    questions = [table.question() for table in design.questions]
    gold = plan_gold(samples, questions, design.gold, design.seed)
    practice = plan_practice(samples, design.practice, design.seed)
    used = {(arm, p.prompt_id, p.replica) for p in pairs for arm in (p.arm_a, p.arm_b)}
    pictures = {p.key: p for p in map(Picture, samples) if p.sample.key in used}
    for known in [*gold, *practice]:
        pictures |= {known.right.key: known.right, known.wrong.key: known.wrong}
    return _Plan(pairs, gold, practice, list(pictures.values()))


class _Store:
    """Writes a planned study, in one session."""

    def __init__(
        self,
        session: Session,
        design: StudyDesign,
        materials: Materials,
        plan: _Plan,
        names: dict[PictureKey, str],
    ) -> None:
        self._session = session
        self._design = design
        self._materials = materials
        self._plan = plan
        self._names = names
        self._arms = {arm.name: number for number, arm in enumerate(materials.arms, 1)}
        self._questions = {table.key: number for number, table in enumerate(design.questions, 1)}
        self._images = {picture.key: number for number, picture in enumerate(plan.pictures, 1)}

    def all(self) -> int:
        """Write everything, and return the votes wanted of people."""
        self._session.add_all(
            ArmRow(id=self._arms[arm.name], name=arm.name, label=arm.label)
            for arm in self._materials.arms
        )
        for table in self._design.questions:
            question = table.question()
            self._session.add(
                QuestionRow(
                    id=self._questions[table.key],
                    key=question.key,
                    text=question.text,
                    shows_caption=question.shows_caption,
                )
            )
        self._session.flush()
        self._insert(ImageRow, [self._image(picture) for picture in self._plan.pictures])
        pairs = [self._pair(number, pair) for number, pair in enumerate(self._plan.pairs, 1)]
        first = len(pairs) + 1
        gold = [self._gold(number, pair) for number, pair in enumerate(self._plan.gold, first)]
        self._insert(PairRow, [*pairs, *gold])
        quotas = [*self._quotas(pairs), *_gold_quotas(gold)]
        self._insert(QuotaRow, quotas)
        self._insert(PracticeRow, [self._practice(n) for n in range(len(self._plan.practice))])
        return sum(_wanted(self._design, [pair.question for pair in self._plan.pairs]))

    def _insert(self, table: type, rows: list[dict[str, object]]) -> None:
        if rows:
            self._session.execute(insert(table), rows)

    def _image(self, picture: Picture) -> dict[str, object]:
        sample = picture.sample
        return {
            "id": self._images[picture.key],
            "name": self._names[picture.key],
            "arm_id": self._arms[sample.arm],
            "prompt_id": sample.prompt_id,
            "replica": sample.replica,
            "caption": sample.caption,
            "sha256": sample.sha256,
            "variant": picture.twin,
        }

    def _pair(self, number: int, pair: PlannedPair) -> dict[str, object]:
        return {
            "id": number,
            "question_id": self._questions[pair.question],
            "image_a_id": self._images[pair.arm_a, pair.prompt_id, pair.replica, ""],
            "image_b_id": self._images[pair.arm_b, pair.prompt_id, pair.replica, ""],
            "a_first": pair.a_first,
            "gold": False,
        }

    def _gold(self, number: int, pair: KnownPair) -> dict[str, object]:
        return {
            "id": number,
            "question_id": self._questions[pair.question],
            "image_a_id": self._images[pair.right.key],
            "image_b_id": self._images[pair.wrong.key],
            "a_first": pair.right_first,
            "gold": True,
        }

    def _quotas(self, pairs: list[dict[str, object]]) -> list[dict[str, object]]:
        wanted = _wanted(self._design, [pair.question for pair in self._plan.pairs])
        arms = arm_pairs(list(self._arms))
        return [
            {
                "pair_id": row["id"],
                "question_id": row["question_id"],
                "rater_kind": kind,
                "arm_pair": arms[frozenset((pair.arm_a, pair.arm_b))],
                "wanted": votes,
                "taken": 0,
                "draws": 0,
                "withdrawn": False,
            }
            for row, pair, votes in zip(pairs, self._plan.pairs, wanted, strict=True)
            for kind in RATER_KINDS
        ]

    def _practice(self, number: int) -> dict[str, object]:
        known, table = self._plan.practice[number], self._design.practice[number]
        right, wrong = self._images[known.right.key], self._images[known.wrong.key]
        answers = ["left" if known.right_first else "right"]
        if table.tie_is_right:
            answers.append("tie")
        return {
            "id": number + 1,
            "uid": new_token(),
            "question_id": self._questions[known.question],
            "left_image_id": right if known.right_first else wrong,
            "right_image_id": wrong if known.right_first else right,
            "caption": known.right.sample.caption,
            "expected": ",".join(answers),
            "explanation": table.explanation,
        }


def arm_pairs(arms: Sequence[str]) -> dict[frozenset[str], int]:
    """Number each pair of arms: 1, 2, … in the order of the arms."""
    return {frozenset(two): n for n, two in enumerate(itertools.combinations(arms, 2), 1)}


def _wanted(design: StudyDesign, questions: list[str]) -> list[int]:
    """Return the votes wanted on each planned pair. The overlap is the first pairs of a question.

    Any prefix of the plan is balanced over arm pairs and prompts, so the overlap is too.
    """
    overlap = design.votes.overlap
    if overlap is None:
        return [design.votes.per_pair] * len(questions)
    left = {key: round(overlap.share * questions.count(key)) for key in set(questions)}
    wanted: list[int] = []
    for key in questions:
        wanted.append(overlap.votes if left[key] > 0 else design.votes.per_pair)
        left[key] -= 1
    return wanted


def _gold_quotas(gold: list[dict[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "pair_id": row["id"],
            "question_id": row["question_id"],
            "rater_kind": kind,
            "arm_pair": 0,
            "wanted": 0,
            "taken": 0,
            "draws": 0,
            "withdrawn": False,
        }
        for row in gold
        for kind in RATER_KINDS
    ]


def _default_name(run: RunFolder | None, source: Path | None) -> str:
    if run is not None:
        return run.root.resolve().name
    return source.stem if source is not None else "study"


def _image_folder(run: RunFolder | None, database_folder: Path | None, base: Path | None) -> Path:
    root = run.root if run is not None else database_folder or base or Path()
    return root / IMAGE_FOLDER


def _image_root(folder: Path, database_folder: Path | None) -> str:
    """Return the image folder, relative to an SQLite file beside it: run folders can be moved."""
    folder = folder.resolve()
    if database_folder is not None and folder.parent == database_folder.resolve():
        return folder.name
    return os.fspath(folder)
