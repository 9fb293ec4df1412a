"""Coverage of the intervals of a metric's accuracy as a predictor of votes.

python -m benchmarks.predictors --studies 300
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import click
import numpy as np
import pandas as pd

from analysis import read_votes, vote_predictors

ARMS, RATERS, EACH = 3, 30, 40
NEW_PROMPTS = 200_000  # on which the true accuracy is computed


@dataclass(frozen=True)
class Setting:
    """How votes follow a metric: P(left) = 1 / (1 + e^−(w g + u)), with g its difference.

    Attributes:
        words: of the table.
        worth: w, in log-odds per standard deviation of the metric.
        varies: sd of w between raters.
        images: sd of u, what else all raters see in an image.
        prompts: in a study.
        ties: share of votes.
    """

    words: str
    worth: float
    varies: float = 0.0
    images: float = 0.0
    prompts: int = 60
    ties: float = 0.0


ABSENT = Setting("absent", 0.0)
PRESENT = Setting("present", 0.8)
SETTINGS = (
    ABSENT,
    replace(ABSENT, words="absent; images differ in other ways", images=1.0),
    replace(ABSENT, words="absent on average; raters differ", varies=0.8),
    PRESENT,
    replace(PRESENT, words="present; images differ in other ways", images=1.0),
    replace(PRESENT, words="present; raters differ", varies=0.8),
    replace(PRESENT, words="present; images and raters differ, 15 prompts",
            images=1.0, varies=0.8, prompts=15),
    replace(PRESENT, words="present; images and raters differ, a fifth are ties",
            images=1.0, varies=0.8, ties=0.2),
)  # fmt: skip


def chance(setting: Setting, worth: np.ndarray, gap: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """P(left) of votes whose raters have these worths."""
    return 1 / (1 + np.exp(-(worth * gap + setting.images * unseen)))


def truth(setting: Setting) -> float:
    """Share of decided votes on new prompts, by new raters, that the better image wins."""
    rng = np.random.default_rng(1)
    gap, unseen = rng.normal(0, np.sqrt(2), (2, NEW_PROMPTS))
    worth = rng.normal(setting.worth, setting.varies, NEW_PROMPTS)
    return float(chance(setting, worth, np.abs(gap), unseen).mean())


def draw(setting: Setting, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One study: votes, and the metric of each image."""
    count = RATERS * EACH
    rater, prompt = np.repeat(np.arange(RATERS), EACH), rng.integers(0, setting.prompts, count)
    left = rng.integers(0, ARMS, count)
    right = (left + rng.integers(1, ARMS, count)) % ARMS
    metric, unseen = rng.normal(size=(2, setting.prompts, ARMS))
    worth = rng.normal(setting.worth, setting.varies, RATERS)[rater]
    gaps = (each[prompt, left] - each[prompt, right] for each in (metric, unseen))
    won = rng.random(count) < chance(setting, worth, *gaps)
    answer = np.where(won, "left", "right")
    answer[rng.random(count) < setting.ties] = "tie"
    votes = pd.DataFrame({
        "question": "q", "rater": np.char.mod("r%d", rater), "replica": 0, "answer": answer,
        "prompt_id": np.char.mod("p%d", prompt), "arm_left": np.char.mod("arm%d", left),
        "arm_right": np.char.mod("arm%d", right),
    })  # fmt: skip
    of_prompt, of_arm = np.indices(metric.shape)
    samples = pd.DataFrame({
        "arm": np.char.mod("arm%d", of_arm.ravel()), "replica": 0, "metric": "clip_score",
        "prompt_id": np.char.mod("p%d", of_prompt.ravel()), "value": metric.ravel(),
    })  # fmt: skip
    return read_votes(votes), samples


@click.command()
@click.option("--studies", default=300, show_default=True)
def main(studies: int) -> None:
    """Print a Markdown row per setting: true accuracy, its interval's coverage, and detections."""
    for setting in SETTINGS:
        true, rng = truth(setting), np.random.default_rng(0)
        found = pd.concat(vote_predictors(*draw(setting, rng)).table for _ in range(studies))
        held = ((found["low"] <= true) & (true <= found["high"])).mean()
        click.echo(
            f"| {setting.words} | {true:.1%} | {found['accuracy'].mean():.1%} | {held:.1%} "
            f"| {(found['high'] - found['low']).mean():.1%} | {(found['low'] > 0.5).mean():.1%} |"
        )


if __name__ == "__main__":
    main()
