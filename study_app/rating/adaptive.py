"""Adaptive studies: which two arms to ask about next, and when a question is settled.

The statistics are `analysis.planning.adaptive`'s; here its advice is kept up to date while votes
come in. A rater never waits for it: advice is renewed on a thread of its own, and until the
first is there pairs are handed out balanced. Simulated raters get theirs at once,
so that a seed gives the same votes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from analysis.ballots import ANSWERS, RaterKind, ballots, counted, read_votes
from study_app.rules import StopTable, of_kind
from study_app.store import OwnerRepository

from .limits import RENEW_EVERY, RENEW_SHARE, SHARPNESS


@dataclass(frozen=True, slots=True)
class Advice:
    """Arm pairs by number, and the probability with which each is drawn."""

    arm_pairs: NDArray[np.int64]
    probability: NDArray[np.float64]

    @classmethod
    def of(cls, wins: NDArray[np.float64], arms: list[str]) -> Advice:
        """Return what the votes so far advise.

        Args:
            wins: (K, K) votes won by the row's arm against the column's, ties half each.
            arms: K names, in the order that numbers arm pairs.
        """
        from analysis.planning import pair_gains  # what a study without advice starts without

        number, pairs = {name: index for index, name in enumerate(arms)}, _numbers(len(arms))
        table = pair_gains(wins, arms)
        found = [
            pairs[number[one], number[other]]
            for one, other in zip(table["arm"], table["against"], strict=True)
        ]
        # No pair's chance is zero: advice from few votes may be wrong, and votes must correct it.
        weight = np.maximum(table["gain"].to_numpy(np.float64), 1e-12)
        weight = (weight / weight.max()) ** SHARPNESS + 1e-9
        return cls(np.array(found), weight / weight.sum())

    def order(self, seed: int, rater: int, given: int) -> list[int]:
        """Draw an order of all arm pairs for one hand-out, from the study's seed."""
        rng = np.random.default_rng([seed, 4, rater, given])
        return rng.choice(self.arm_pairs, len(self.arm_pairs), False, self.probability).tolist()


class Adviser:
    """Keeps the advice of one study, in one process.

    Args:
        arms: names, in the order that numbers arm pairs.
        read: runs a function on a reading session of its own; used by the renewing thread.
        settle: called by it with the ids of questions and why they are settled.
        stop: the study's stopping rule; None for none.
        votes: the table of all votes, for the stopping rule.
    """

    def __init__(
        self,
        arms: list[str],
        read: Callable[[Callable[[Session], dict[int, Advice]]], dict[int, Advice]],
        settle: Callable[[dict[str, str]], None],
        stop: StopTable | None,
        votes: Callable[[], pd.DataFrame],
    ) -> None:
        self._arms = arms
        self._read = read
        self._settle = settle
        self._stop = stop
        self._votes = votes
        self._advice: dict[RaterKind, dict[int, Advice]] = {}
        self._handed: dict[RaterKind, int] = {}
        self._due: dict[RaterKind, int] = {}
        self._renewing = threading.Lock()

    def order(
        self,
        session: Session,
        kind: RaterKind,
        question_id: int,
        *,
        seed: int,
        rater: int,
        given: int,
    ) -> list[int]:
        """Return arm pairs to try for the next hand-out, in order; none before there is advice."""
        handed = self._handed[kind] = self._handed.get(kind, 0) + 1
        if handed >= self._due.get(kind, 0):
            self._due[kind] = renewal_due(handed)
            if kind == "simulated":
                self._advice[kind] = advise(session, kind, self._arms)
            # One renewal at a time: a second would compute the same from the same votes.
            elif self._renewing.acquire(blocking=False):
                threading.Thread(target=self._renew, name="study-adviser", daemon=True).start()
        advice = self._advice.get(kind, {}).get(question_id)
        return advice.order(seed, rater, given) if advice is not None else []

    def renew(self) -> None:
        """Renew the advice for people now, and look at the stopping rule."""
        self._advice["person"] = self._read(lambda session: advise(session, "person", self._arms))
        if self._stop is not None:
            settled = settled_questions(self._votes(), self._stop)
            if settled:
                self._settle(settled)

    def _renew(self) -> None:
        try:
            self.renew()
        except Exception:  # advice only: without it pairs are handed out as before
            self._due["person"] = 0
        finally:
            self._renewing.release()


def advise(session: Session, kind: RaterKind, arms: list[str]) -> dict[int, Advice]:
    """Return advice for each question, from the votes so far and the pairs that raters look at now.

    A pair that is with a rater counts as a tie: its vote is on its way, its answer unknown.
    """
    number = {name: index for index, name in enumerate(arms)}
    wins: dict[int, NDArray[np.float64]] = {}
    for row in OwnerRepository(session).tallies(kind):
        matrix = wins.setdefault(row.question_id, np.zeros((len(arms), len(arms))))
        left, right = number[row.arm_left], number[row.arm_right]
        # Without these ties, raters who ask at the same time would all get the same pair.
        share = 0.5 if row.answer is None else ANSWERS[row.answer].left_wins
        matrix[left, right] += share * row.votes
        matrix[right, left] += (1 - share) * row.votes
    return {question_id: Advice.of(matrix, arms) for question_id, matrix in wins.items()}


def renewal_due(handed: int) -> int:
    """Return after how many pairs handed out to renew the advice next, if renewed at `handed`."""
    return handed + max(RENEW_EVERY, round(RENEW_SHARE * handed))


def settled_questions(votes: pd.DataFrame, rule: StopTable) -> dict[str, str]:
    """Return the questions whose stopping rule holds for people's votes, each with the reason."""
    from analysis.planning import stop

    mine = of_kind(votes, "person")
    mine = mine.loc[counted(mine)]
    if mine.empty:
        return {}
    settled: dict[str, str] = {}
    for ballot in ballots(read_votes(mine)):
        decision = stop(
            ballot, rule.precision, rule.level, rule.typical, min_raters=rule.min_raters
        )
        if decision.stop:
            settled[ballot.question] = decision.reason
    return settled


def _numbers(arms: int) -> dict[tuple[int, int], int]:
    """Number each pair of arms, in either order, as `create.arm_pairs` does."""
    first, second = np.triu_indices(arms, 1)
    found: dict[tuple[int, int], int] = {}
    for number, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True), 1):
        found[i, j] = found[j, i] = number
    return found
