"""Making a study from a run: pairs planned, images blinded, all stored in one transaction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from tqdm import tqdm

from glide_eval.records import Arm, Sample
from glide_eval.run_store import RunFolder

from .database import Database, require_empty
from .design import QuestionTable, RatersTable, StudyDesign, VotesTable
from .domain import DEFAULT_QUESTIONS, RATER_KINDS, Question, Rules
from .images import blind_copies, common_size, require_samples
from .orm import (
    APPLICATION,
    SCHEMA_VERSION,
    ArmRow,
    Base,
    ImageRow,
    PairRow,
    QuestionRow,
    QuotaRow,
    SchemaInfo,
    StudyRow,
)
from .pairing import PlannedPair, plan_pairs
from .passwords import hash_password, new_password
from .secret import new_secret
from .services import Clock, utc_now

IMAGE_FOLDER = "study_images"


@dataclass(frozen=True, slots=True)
class CreatedStudy:
    """What `create_study` made.

    Attributes:
        pairs: how many, over all questions.
        images: how many were copied.
        image_size: width and height in pixels.
        resized: images that had to be made smaller to equal the others.
        password: the owner's; told here and nowhere else.
    """

    pairs: int
    images: int
    image_size: tuple[int, int]
    resized: bool
    password: str


def create_study(
    run: RunFolder,
    url: URL,
    *,
    questions: tuple[Question, ...] = DEFAULT_QUESTIONS,
    pairs_per_question: int | None = None,
    rules: Rules | None = None,
    seed: int = 0,
    name: str | None = None,
    password: str | None = None,
    clock: Clock = utc_now,
) -> CreatedStudy:
    """Make a study of a run's samples in an empty database.

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
    design = StudyDesign(
        name=name,
        seed=seed,
        questions=[
            QuestionTable(
                key=question.key,
                text=question.text,
                shows_caption=question.shows_caption,
                pairs=pairs_per_question,
            )
            for question in questions
        ],
        votes=VotesTable(
            per_pair=rules.votes_per_pair, min_seconds=rules.min_seconds, both_bad=rules.both_bad
        ),
        raters=RatersTable(pairs=rules.pairs_per_rater, break_every=rules.break_every),
    )
    return create_from_design(run, url, design, password=password, clock=clock)


def create_from_design(
    run: RunFolder,
    url: URL,
    design: StudyDesign,
    *,
    password: str | None = None,
    clock: Clock = utc_now,
) -> CreatedStudy:
    """Make a study as its design says; see `create_study`."""
    arms, samples = run.arms(), run.samples()
    require_samples(samples, run.manifest_path)
    plan = plan_pairs(
        [sample.key for sample in samples],
        [question.key for question in design.questions],
        design.questions[0].pairs,
        design.seed,
    )
    database = Database(url)
    try:
        require_empty(database)
        used = _used_samples(samples, plan)
        size, resized = common_size(run.root / sample.path for sample in used)
        folder = run.root / IMAGE_FOLDER
        with tqdm(total=len(used), desc="Images", unit="image", disable=None) as bar:
            names = blind_copies(run.root, used, folder, size, bar.update)
        password = password or new_password()
        study = StudyRow(
            id=1,
            name=design.name or run.root.resolve().name,
            seed=design.seed,
            created_at=clock(),
            design=design.model_dump_json(),
            state="open",
            secret=new_secret(),
            image_size=f"{size[0]}x{size[1]}",
            image_root=_image_root(folder, database.folder),
            password_hash=hash_password(password),
        )

        def work(session: Session) -> None:
            Base.metadata.create_all(session.connection())
            session.add(SchemaInfo(application=APPLICATION, version=SCHEMA_VERSION))
            session.add(study)
            _store_plan(session, arms, design, used, names, plan)

        with database.explaining():
            database.writer.run(work)
    finally:
        database.close()
    return CreatedStudy(len(plan), len(used), size, resized, password)


def _store_plan(
    session: Session,
    arms: list[Arm],
    design: StudyDesign,
    samples: list[Sample],
    names: dict[tuple[str, str, int], str],
    plan: list[PlannedPair],
) -> None:
    arm_ids = {arm.name: number for number, arm in enumerate(arms, 1)}
    questions = [table.question() for table in design.questions]
    question_ids = {question.key: number for number, question in enumerate(questions, 1)}
    image_ids = {sample.key: number for number, sample in enumerate(samples, 1)}
    session.add_all(ArmRow(id=arm_ids[arm.name], name=arm.name, label=arm.label) for arm in arms)
    session.add_all(
        QuestionRow(id=number, key=q.key, text=q.text, shows_caption=q.shows_caption)
        for number, q in enumerate(questions, 1)
    )
    session.flush()
    images = [
        {
            "id": image_ids[sample.key],
            "name": names[sample.key],
            "arm_id": arm_ids[sample.arm],
            "prompt_id": sample.prompt_id,
            "replica": sample.replica,
            "caption": sample.caption,
            "sha256": sample.sha256,
            "variant": "",
        }
        for sample in samples
    ]
    pairs = [
        {
            "id": number,
            "question_id": question_ids[pair.question],
            "image_a_id": image_ids[pair.arm_a, pair.prompt_id, pair.replica],
            "image_b_id": image_ids[pair.arm_b, pair.prompt_id, pair.replica],
            "a_first": pair.a_first,
            "gold": False,
        }
        for number, pair in enumerate(plan, 1)
    ]
    quotas = [
        {
            "pair_id": pair["id"],
            "question_id": pair["question_id"],
            "rater_kind": kind,
            "arm_pair": 0,
            "wanted": design.votes.per_pair,
            "taken": 0,
            "draws": 0,
            "withdrawn": False,
        }
        for pair in pairs
        for kind in RATER_KINDS
    ]
    session.execute(insert(ImageRow), images)
    session.execute(insert(PairRow), pairs)
    session.execute(insert(QuotaRow), quotas)


def _used_samples(samples: list[Sample], plan: list[PlannedPair]) -> list[Sample]:
    used = {(arm, p.prompt_id, p.replica) for p in plan for arm in (p.arm_a, p.arm_b)}
    return [sample for sample in samples if sample.key in used]


def _image_root(folder: Path, database_folder: Path | None) -> str:
    """Relative to an SQLite file in the same run, so that run folders can be moved."""
    folder = folder.resolve()
    if database_folder is not None and folder.parent == database_folder.resolve():
        return folder.name
    return os.fspath(folder)
