"""A study's state as text for a terminal."""

from __future__ import annotations

import math

import pandas as pd

from .domain import RATER_KINDS, RaterKind
from .export import votes_frame
from .live_elo import live_elo
from .overview import of_kind, votes_by_question
from .services import Progress, Study

_TITLES: dict[RaterKind, str] = {"person": "people", "simulated": "SIMULATED raters"}


def status_text(study: Study) -> str:
    """Progress, raters and, for each question and kind of rater, the live Elo table."""
    votes, progress = votes_frame(study), study.progress()
    arms = ", ".join(study.info.arms)
    lines = [f"Study {study.info.name!r} at {study.database.shown_url}", f"Arms: {arms}", ""]
    for kind in RATER_KINDS:
        lines += _progress_lines(of_kind(votes, kind), progress, kind)
    for kind in RATER_KINDS:
        for question in study.info.questions.values():
            lines += _elo_lines(live_elo(votes, question.key, kind), question.key, kind)
    return "\n".join(lines).rstrip()


def _progress_lines(votes: pd.DataFrame, progress: Progress, kind: RaterKind) -> list[str]:
    raters = progress.raters.get(kind, 0)
    if kind == "simulated" and not raters:
        return []
    wanted = sum(progress.wanted.values())
    lines = [
        f"{raters:,} {_TITLES[kind]}: {len(votes):,} of {wanted:,} votes "
        f"({len(votes) / wanted:.0%})"
    ]
    width = max(len(question) for question in progress.wanted)
    done = votes_by_question(votes)
    for question, goal in progress.wanted.items():
        lines.append(f"  {question:<{width}}  {done[question]:>7,} of {goal:,}")
    return [*lines, ""]


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
