"""Votes drawn from known scores, for the analysis tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ballots import Ballot
from analysis.scores import win_probability


def draw_ballot(
    scores: np.ndarray,
    raters: int,
    votes_each: int | np.ndarray,
    rng: np.random.Generator,
    taste: float = 0.0,
    prompts: int | None = None,
    prompt_effect: float = 0.0,
) -> Ballot:
    """Votes of raters whose own scores differ from `scores` by N(0, taste²) Elo points an arm.

    `votes_each` is a number, or one for each rater. `prompt_effect` is the same for prompts,
    shared by all raters. No ties.
    """
    rater = np.repeat(np.arange(raters), votes_each)
    K, N = len(scores), len(rater)
    left = rng.integers(0, K, N)
    right = (left + rng.integers(1, K, N)) % K
    own = scores + taste * rng.standard_normal((raters, K))
    gaps = own[rater, left] - own[rater, right]
    prompt = None
    if prompts is not None:
        prompt = np.tile(np.arange(prompts), N // prompts + 1)[:N]
        effect = prompt_effect * rng.standard_normal((prompts, K))
        gaps += effect[prompt, left] - effect[prompt, right]
    wins = (rng.random(N) < win_probability(gaps)).astype(float)
    arms = tuple(f"arm{i}" for i in range(K))
    return Ballot("photorealism", "person", arms, left, right, wins, rater, prompt)


def ballot_frame(ballot: Ballot) -> pd.DataFrame:
    """The ballot as rows of votes.csv."""
    names = np.array(ballot.arms)
    answer = np.select([ballot.left_wins == 1, ballot.left_wins == 0], ["left", "right"], "tie")
    count = ballot.votes
    return pd.DataFrame(
        {
            "study": "test",
            "question": ballot.question,
            "prompt_id": [f"p{i:04d}" for i in ballot.prompt]
            if ballot.prompt is not None
            else "p0000",
            "replica": 0,
            "arm_left": names[ballot.left],
            "arm_right": names[ballot.right],
            "answer": answer,
            "rater": [f"r{i:04d}" for i in ballot.rater],
            "rater_kind": ballot.rater_kind,
            "seconds": 3.0 + np.arange(count) % 7,
            "created_at": "2026-01-01T00:00:00+00:00",
            "assignment": [f"{ballot.question}-{ballot.rater_kind}-{i}" for i in range(count)],
        }
    )


def votes_of(rows: list[tuple[str, str, str]], **columns: object) -> pd.DataFrame:
    """A small votes table of (arm_left, arm_right, answer); each vote by a rater of its own."""
    frame = pd.DataFrame(rows, columns=["arm_left", "arm_right", "answer"])
    frame["question"] = "photorealism"
    frame["rater"] = [f"r{i}" for i in range(len(rows))]
    return frame.assign(**columns)
