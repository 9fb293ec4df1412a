"""Simulated raters, marked as such for good: for demos, rehearsals and tests of the analysis.

Their votes go through the same assignment and storage as people's. They are a function of the
study, the scores and the seed alone, times included; run again after being stopped, the same
command adds what is missing and nothing twice.

The model: a rater r sees the utility u of a sample as its score plus r's own taste for its arm,
and prefers left by Δ = κ_r (u_left − u_right) + b_r + ε, with sensitivity κ_r, side bias b_r and
logistic noise ε; |Δ| below r's threshold is a tie. Without taste, bias and ties that is the
Bradley–Terry model. Where a question has grades, |Δ| far beyond the threshold is a strong answer.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session
from tqdm import tqdm

from analysis.ballots import AnswerName, RaterKind
from study_app.errors import StudyError, StudyUsageError
from study_app.rating import Assigned, Recipient, Study
from study_app.store import Repository

from .limits import RATERS_AT_ONCE, STRONG

SIMULATED: RaterKind = "simulated"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # nobody takes these times for a person's
WEIGHTS = {
    "photorealism": {"image_quality": 0.85, "caption_accuracy": 0.15},
    "caption_similarity": {"caption_accuracy": 0.85, "image_quality": 0.15},
}
OTHER_WEIGHTS = {"image_quality": 0.5, "caption_accuracy": 0.5}

Scores = Mapping[tuple[str, str, int], Mapping[str, float]]
"""(arm, prompt_id, replica) → metric → value in [0, 1]."""

Utilities = Mapping[int, Mapping[int, tuple[float, str]]]
"""question's row id → image's row id → (utility, arm)."""


@dataclass(frozen=True, slots=True)
class SimulatedRater:
    """How one simulated rater votes.

    Attributes:
        number: 0, 1, … among the raters of one seed.
        sensitivity: κ, logits per unit of utility.
        side_bias: b, logits in favour of the left image.
        tie_threshold: |Δ| below which no difference is seen, logits.
        taste: utility added to each arm's samples.
        pace: median seconds a vote.
    """

    number: int
    sensitivity: float
    side_bias: float
    tie_threshold: float
    taste: Mapping[str, float]
    pace: float


def draw_rater(seed: int, number: int, arms: list[str]) -> SimulatedRater:
    """Draw the `number`-th rater of a seed."""
    rng = np.random.default_rng([seed, number])
    return SimulatedRater(
        number=number,
        sensitivity=float(5.0 * rng.lognormal(0, 0.3)),
        side_bias=float(rng.normal(0.1, 0.2)),
        tie_threshold=float(rng.uniform(0.2, 0.9)),
        taste=dict(zip(arms, rng.normal(0, 0.05, len(arms)).tolist(), strict=True)),
        pace=float(rng.lognormal(math.log(4.0), 0.3)),
    )


def simulated_answer(
    rater: SimulatedRater,
    left: tuple[float, str],
    right: tuple[float, str],
    rng: np.random.Generator,
    *,
    graded: bool = False,
) -> tuple[AnswerName, float]:
    """Draw a rater's answer to a pair of (utility, arm), and the seconds that it took.

    Graded answers fall into five steps of what decides the plain ones, at the threshold of a tie
    and at `STRONG` beyond it, so a study with grades has the same winners as one without.
    """
    utility = [value + rater.taste[arm] for value, arm in (left, right)]
    noise = float(rng.logistic())
    seconds = float(rater.pace * rng.lognormal(0, 0.35))
    delta = rater.sensitivity * (utility[0] - utility[1]) + rater.side_bias + noise
    if abs(delta) < rater.tie_threshold:
        return "tie", seconds
    if not graded:
        return ("left" if delta > 0 else "right"), seconds
    strong = abs(delta) > rater.tie_threshold + STRONG
    if delta > 0:
        return ("left_strongly" if strong else "left_slightly"), seconds
    return ("right_strongly" if strong else "right_slightly"), seconds


def read_scores(path: Path) -> Scores:
    """Read the scores that simulated raters follow from a run's scores.csv.

    Raises:
        StudyError: the file is missing or is not a table of scores.
    """
    needed = {"image_quality", "caption_accuracy"}
    scores: dict[tuple[str, str, int], dict[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["metric"] in needed:
                    key = (row["arm"], row["prompt_id"], int(row["replica"]))
                    scores.setdefault(key, {})[row["metric"]] = float(row["value"])
    except FileNotFoundError as error:
        raise StudyError(
            f"{path} is missing; simulated raters follow its image_quality and caption_accuracy. "
            "Make it with `glide-eval metrics RUN`, then simulate again."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{path} is not a table of scores ({error!r}); expected the columns arm, prompt_id, "
            "replica, metric, value. Make it again with `glide-eval metrics RUN`."
        ) from error
    return scores


def simulate(study: Study, scores: Scores, *, raters: int, votes: int | None, seed: int) -> int:
    """Add simulated raters and their votes, and return how many votes were added.

    Args:
        study: where they vote.
        scores: what they follow (see `read_scores`).
        raters: how many.
        votes: in all; None for as many as the study wants. Fewer are cast when the study has no
            pair left that a rater hasn't had.
        seed: another seed brings other raters.

    Raises:
        StudyUsageError: no raters, or fewer votes than raters.
        StudyError: a sample has no score.
    """
    if votes is None:
        votes = sum(study.progress().wanted.values())
    if raters < 1 or votes < raters:
        raise StudyUsageError(
            f"{votes} votes from {raters} raters can't be simulated; expected at least one rater "
            "and a vote from each. Change --raters or --votes."
        )
    arms = list(study.info.arms)
    crowd = [draw_rater(seed, number, arms) for number in range(raters)]
    shares = [votes // raters + (number < votes % raters) for number in range(raters)]
    utilities = _utilities(study, scores)
    chunks = [
        range(start, min(start + RATERS_AT_ONCE, raters))
        for start in range(0, raters, RATERS_AT_ONCE)
    ]
    added = 0
    with tqdm(total=votes, desc="Simulated votes", unit="vote", disable=None) as bar:
        rows: dict[int, tuple[int, int]] = {}
        for chunk in chunks:
            rows |= study.write(
                partial(_join, crowd=crowd, shares=shares, numbers=chunk, seed=seed)
            )
        bar.update(sum(done for _, done in rows.values()))
        for turn in range(max(shares)):
            for chunk in chunks:
                due = [(crowd[i], rows[i][0]) for i in chunk if rows[i][1] <= turn < shares[i]]
                if not due:
                    continue
                cast = study.write(
                    partial(_vote, study, due=due, turn=turn, seed=seed, utilities=utilities)
                )
                added += cast
                bar.update(cast)
    return added


def _join(
    session: Session, crowd: list[SimulatedRater], shares: list[int], numbers: range, seed: int
) -> dict[int, tuple[int, int]]:
    """Return (row id, votes so far) by number; a rater who joined before is found again."""
    repository = Repository(session)
    found: dict[int, tuple[int, int]] = {}
    for number in numbers:
        public_id = _public_id(seed, number)
        row = repository.rater(public_id)
        if row is not None:
            found[number] = (row.id, row.done)
        else:
            joined = EPOCH + timedelta(seconds=number)
            row_id = repository.add_rater(public_id, public_id, SIMULATED, shares[number], joined)
            found[number] = (row_id, 0)
    return found


def _public_id(seed: int, number: int) -> str:
    """Return the id, also stored as the token hash: no token has it, so nobody votes as them."""
    return f"simulated-{seed}-{number:04d}"


def _vote(
    study: Study,
    session: Session,
    *,
    due: list[tuple[SimulatedRater, int]],
    turn: int,
    seed: int,
    utilities: Utilities,
) -> int:
    """Cast the `turn`-th vote of each rater in `due`, and return how many were cast."""
    repository = Repository(session)
    cast = 0
    for rater, row_id in due:
        now = EPOCH + timedelta(minutes=turn, seconds=rater.number)
        name = f"{study.info.name}/{seed}/{rater.number}/{turn}"
        uid = hashlib.sha256(name.encode()).hexdigest()[:32]
        given = study.assign(repository, Recipient(row_id, SIMULATED, turn), uid, now)
        if given is None:
            continue
        rng = np.random.default_rng([seed, rater.number, turn])
        left, right = (
            _utility(given, image, utilities)
            for image in (given.left_image_id, given.right_image_id)
        )
        graded = study.info.questions[given.question_id].graded
        answer, seconds = simulated_answer(rater, left, right, rng, graded=graded)
        seconds = round(max(seconds, study.info.rules.min_seconds), 3)
        stored = repository.assignment(uid, _public_id(seed, rater.number))
        assert stored is not None, "it was handed out above"
        repository.add_vote(stored.id, 0, answer, seconds, now + timedelta(seconds=seconds))
        repository.count_answer(row_id, 1, None, now, implausible=False)
        cast += 1
    return cast


def _utility(given: Assigned, image: int, utilities: Utilities) -> tuple[float, str]:
    """Return an image's worth for a question (1 or 0 in a gold pair) and its arm."""
    worth, arm = utilities[given.question_id][image]
    if given.right_answer_id is not None:
        worth = float(image == given.right_answer_id)
    return worth, arm


def _utilities(study: Study, scores: Scores) -> Utilities:
    with study.database.reading() as session:
        images = Repository(session).images()
    utilities: dict[int, dict[int, tuple[float, str]]] = {}
    for question_id, question in study.info.questions.items():
        weights = WEIGHTS.get(question.key, OTHER_WEIGHTS)
        worth = utilities[question_id] = {}
        for image in images:
            values = scores.get((image.arm, image.prompt_id, image.replica), {})
            missing = [
                metric for metric in weights if not math.isfinite(values.get(metric, math.nan))
            ]
            if missing:
                raise StudyError(
                    f"scores.csv has no {' and no '.join(missing)} for the sample "
                    f"{image.arm}/{image.prompt_id}-{image.replica}, which simulated raters "
                    "follow. Measure the run again with `glide-eval metrics RUN`."
                )
            value = sum(weight * values[metric] for metric, weight in weights.items())
            worth[image.id] = (value, image.arm)
    return utilities
