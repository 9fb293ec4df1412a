"""Where arms do best and worst, and which pairs raters disagree about."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ballots import left_wins, tied

PRIOR_VOTES = 4  # of the arm's own share, added to each prompt: one lucky vote is no best prompt
MEASURES = ("caption_accuracy", "clip_score", "image_quality", "guiding_clip_score")


def prompt_shares(votes: pd.DataFrame) -> pd.DataFrame:
    """Return how each arm fares on each prompt.

    Args:
        votes: on one question by one kind of rater, with arm_left, arm_right, answer, prompt_id.

    Returns:
        arm, prompt_id, wins (ties half), n, value (wins / n), rank_by (the share after
        `PRIOR_VOTES` votes of the arm's own share, which orders prompts of unequal n). Empty
        where votes carry no prompts.
    """
    columns = ["arm", "prompt_id", "wins", "n", "value", "rank_by"]
    if "prompt_id" not in votes or votes.empty:
        return pd.DataFrame(columns=columns)
    left = left_wins(votes)
    sides = [
        pd.DataFrame({"arm": votes[side].astype(str).to_numpy(),
                      "prompt_id": votes["prompt_id"].astype(str).to_numpy(), "wins": wins})
        for side, wins in (("arm_left", left), ("arm_right", 1 - left))
    ]  # fmt: skip
    both = pd.concat(sides)
    table = both.groupby(["arm", "prompt_id"])["wins"].agg(wins="sum", n="count").reset_index()
    own = both.groupby("arm")["wins"].mean()
    table["value"] = table["wins"] / table["n"]
    prior = PRIOR_VOTES * table["arm"].map(own)
    table["rank_by"] = (table["wins"] + prior) / (table["n"] + PRIOR_VOTES)
    return table[columns]


def prompt_scores(scores: pd.DataFrame | None) -> tuple[str, pd.DataFrame]:
    """Return how each arm fares on each prompt by a metric of single samples, without votes.

    Args:
        scores: arm, prompt_id, metric, value, and extractor and fingerprint where known.

    Returns:
        The metric taken (the first of `MEASURES` there is; empty without one), and arm,
        prompt_id, n (samples), value (their mean), rank_by (the same).
    """
    columns = ["arm", "prompt_id", "n", "value", "rank_by"]
    if scores is None:
        return "", pd.DataFrame(columns=columns)
    metric = next((name for name in MEASURES if (scores["metric"] == name).any()), "")
    chosen = scores[(scores["metric"] == metric) & np.isfinite(scores["value"])]
    origin = [name for name in ("extractor", "fingerprint") if name in chosen]
    if origin and len(chosen):  # of one extractor and version: the one with most values
        versions = chosen.groupby(origin, dropna=False).ngroup()
        chosen = chosen[versions == versions.mode().iloc[0]]
    table = chosen.groupby(["arm", "prompt_id"])["value"].agg(value="mean", n="count")
    table = table.reset_index().assign(rank_by=lambda t: t["value"])
    return metric, table[columns]


def best_and_worst(table: pd.DataFrame, each: int = 2) -> pd.DataFrame:
    """Return the prompts on which each arm fares best and worst.

    Args:
        table: of `prompt_shares` or `prompt_scores`.
        each: how many best and how many worst prompts; no prompt is both.

    Returns:
        The table's rows, with `place`: best or worst, the best first and the worst last.
    """
    if table.empty:
        return table.assign(place="")
    arm = pd.Series(pd.factorize(table["arm"])[0], table.index)
    ordered = table.assign(order=arm).sort_values(
        ["order", "rank_by", "prompt_id"], ascending=[True, False, True]
    )
    groups = ordered.groupby("order")
    place, size = groups.cumcount(), groups["order"].transform("size")
    count = (size // 2).clip(upper=each)
    ordered["place"] = np.where(place < count, "best", "worst")
    chosen = ordered[(place < count) | (place >= size - count)]
    return chosen.drop(columns="order").reset_index(drop=True)


def disputed_pairs(votes: pd.DataFrame, most: int = 6) -> pd.DataFrame:
    """Return the pairs of samples on which raters split most evenly.

    Args:
        votes: on one question by one kind of rater.
        most: the largest number of rows.

    Returns:
        prompt_id, replica, arm, against, wins, losses, ties: pairs on which raters chose both
        sides, those with most votes on the weaker side first. Empty where there are none, or
        votes carry no prompts.
    """
    columns = ["prompt_id", "replica", "arm", "against", "wins", "losses", "ties"]
    if "prompt_id" not in votes or votes.empty:
        return pd.DataFrame(columns=columns)
    left, right = (votes[side].astype(str).to_numpy() for side in ("arm_left", "arm_right"))
    turned, ties = left > right, tied(votes)
    first_won = (left_wins(votes) == 1) != turned
    units = pd.DataFrame({
        "prompt_id": votes["prompt_id"].astype(str).to_numpy(),
        "replica": votes["replica"].astype(str).to_numpy() if "replica" in votes else "0",
        "arm": np.where(turned, right, left),
        "against": np.where(turned, left, right),
        "wins": (first_won & ~ties).astype(int),
        "losses": (~first_won & ~ties).astype(int),
        "ties": ties.astype(int),
    })  # fmt: skip
    table = units.groupby(columns[:4], as_index=False)[columns[4:]].sum()
    table["weaker"] = table[["wins", "losses"]].min(axis=1)
    table["gap"] = (table["wins"] - table["losses"]).abs()
    split = table[table["weaker"] > 0]
    ordered = split.sort_values(
        ["weaker", "gap", "ties", *columns[:4]], ascending=[False, True, False] + [True] * 4
    )
    # Of equally disputed pairs, one of each prompt before a second of any.
    nth = ordered.groupby(["weaker", "gap", "prompt_id"]).cumcount()
    ordered = ordered.assign(nth=nth).sort_values(
        ["weaker", "gap", "nth"], ascending=[False, True, True], kind="stable"
    )
    return ordered.head(most).reset_index(drop=True)[columns]
