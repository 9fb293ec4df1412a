"""A study's state, as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from analysis.ballots import RATER_KINDS, RaterKind, read_votes
from analysis.raters import study_conduct
from study_app.rating import Progress, Study
from study_app.rules import of_kind

from .export import votes_frame
from .live_elo import live_elo
from .overview import rater_table, time_to_finish, votes_by_question

_TOLD = {
    "side_bias": "left chosen, {question}: {part:,} of {n:,} decided votes ({value:.0%}; {bounds})",
    "gold_accuracy": "gold, {question}: {part:,} of {n:,} right ({value:.0%}; {bounds})",
    "repeat_consistency": (
        "repeated pairs, {question}: {part:,} of {n:,} answered alike ({value:.0%}; {bounds})"
    ),
    "krippendorff_alpha": (
        "agreement, {question}: Krippendorff's alpha {value:.2f} on {n:,} pairs"
    ),
}
"""How each measure of `study_conduct` is told; other measures are not."""

_TITLES: dict[RaterKind, str] = {"person": "people", "simulated": "SIMULATED raters"}


def status_text(study: Study) -> str:
    """Return progress, raters, conduct, and a live Elo table per question and kind of rater."""
    votes, progress = votes_frame(study), study.progress()
    arms = ", ".join(study.info.arms)
    state = "" if study.state == "open" else f", {study.state.upper()}"
    lines = [f"Study {study.info.name!r} at {study.database.shown_url}{state}", f"Arms: {arms}", ""]
    for kind in RATER_KINDS:
        lines += _progress_lines(of_kind(votes, kind), progress, kind)
    if study.state == "open":
        lines += _forecast_lines(votes, progress, study)
    for kind in RATER_KINDS:
        lines += _conduct_lines(of_kind(votes, kind), kind)
    for kind in RATER_KINDS:
        for question in study.info.questions.values():
            lines += _elo_lines(live_elo(votes, question.key, kind), question.key, kind)
    return "\n".join(lines).rstrip()


def status_record(study: Study) -> dict[str, Any]:
    """Return the same for scripts, as JSON values: what is asked for, given and found.

    `votes` count towards `wanted`. NaN is None; times are ISO 8601 in UTC.
    """
    votes, progress = votes_frame(study), study.progress()
    forecast = time_to_finish(votes, progress.wanted, study.now())
    kinds: list[RaterKind] = [
        kind for kind in RATER_KINDS if progress.raters.get(kind) or kind == "person"
    ]
    return {
        "study": study.info.name,
        "state": study.state,
        "at": study.now().isoformat(),
        "arms": list(study.info.arms),
        "wanted": dict(progress.wanted),
        "votes_per_hour": _or_none(forecast.per_hour),
        "hours_left": None
        if forecast.remaining is None
        else forecast.remaining.total_seconds() / 3600,
        "raters": {
            kind: {
                "raters": progress.raters.get(kind, 0),
                "votes": dict(votes_by_question(of_kind(votes, kind))),
                "excluded": _excluded(of_kind(votes, kind)),
                "elo": {
                    question.key: _rows(live_elo(votes, question.key, kind))
                    for question in study.info.questions.values()
                },
            }
            for kind in kinds
        },
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _excluded(votes: pd.DataFrame) -> dict[str, str]:
    """Return the rule that leaves out each excluded rater."""
    if votes.empty:
        return {}
    table = rater_table(votes)
    left_out = table[table["excluded"] != ""]
    return dict(zip(left_out["rater"], left_out["excluded"], strict=True))


def _rows(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _progress_lines(votes: pd.DataFrame, progress: Progress, kind: RaterKind) -> list[str]:
    raters = progress.raters.get(kind, 0)
    if kind == "simulated" and not raters:
        return []
    wanted = sum(progress.wanted.values())
    done = votes_by_question(votes)
    votes_done = sum(done.values())
    share = f" of {wanted:,} votes ({votes_done / wanted:.0%})" if wanted else " votes"
    lines = [f"{raters:,} {_TITLES[kind]}: {votes_done:,}{share}"]
    width = max(len(question) for question in progress.wanted)
    for question, goal in progress.wanted.items():
        lines.append(f"  {question:<{width}}  {done[question]:>7,} of {goal:,}")
    return [*lines, ""]


def _forecast_lines(votes: pd.DataFrame, progress: Progress, study: Study) -> list[str]:
    forecast = time_to_finish(votes, progress.wanted, study.now())
    if forecast.remaining is None or not forecast.votes:
        return []
    hours = forecast.remaining.total_seconds() / 3600
    left = f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
    return [f"At {forecast.per_hour:,.0f} votes per hour, done in about {left}.", ""]


def _conduct_lines(votes: pd.DataFrame, kind: RaterKind) -> list[str]:
    """Return sides, gold, repeats, agreement and who is left out, as far as there is any of it."""
    if votes.empty:
        return []
    measures = study_conduct(read_votes(votes))
    lines = [
        f"  {_TOLD[row['measure']].format_map(row | _told(row))}"
        for row in measures.to_dict("records")
        if row["measure"] in _TOLD and not math.isnan(row["value"])
    ]
    lines += [
        f"  excluded: {row['rater']}, {row['excluded']}; votes kept, flagged"
        for row in rater_table(votes).to_dict("records")
        if row["excluded"]
    ]
    return [f"Conduct, {_TITLES[kind]}", *lines, ""]


def _told(row: Mapping[Hashable, Any]) -> dict[str, object]:
    """Return how many of the n votes a share stands for, and its interval in percent."""
    bounds = "no interval" if math.isnan(row["low"]) else f"{row['low']:.0%} to {row['high']:.0%}"
    return {"part": round(row["value"] * row["n"]), "bounds": bounds}


def _elo_lines(table: pd.DataFrame, question: str, kind: RaterKind) -> list[str]:
    if table.empty:
        return []
    width = max(3, *(len(arm) for arm in table["arm"]))
    lines = [
        f"Live Elo, {question}, {_TITLES[kind]}",
        f"  {'arm':<{width}} {'Elo':>7}  {'95% interval':^15} {'votes':>7}",
    ]
    for row in table.to_dict("records"):
        interval = f"[{_number(row['ci_low'])}, {_number(row['ci_high'])}]"
        line = (
            f"  {row['arm']:<{width}} {_number(row['elo']):>7}  {interval:^15} {row['votes']:>7,}"
        )
        lines.append(f"{line}  {row['note']}".rstrip())
    return [*lines, ""]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.0f}"
