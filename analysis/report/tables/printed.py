"""The report's tables as printed, and as files: CSV for machines, LaTeX (booktabs) for papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import csv_of, rows_of
from analysis.claims import Claims
from analysis.metrics import metric_info
from analysis.report.inputs import defined
from analysis.report.words.claims import rank_sets
from analysis.report.words.wording import (
    ballot_words,
    bounds,
    lower_first,
    measure_words,
    question_words,
    signed,
    voters,
)
from analysis.scores import COLUMNS

from .latex import latex

OF_PAIRS = ("raw_agreement", "repeat_consistency", "gold_accuracy")  # shares of pairs, not votes
SHARES = ("tie_share", "side_bias", "fast_share", *OF_PAIRS)


def table_files(name: str, data: pd.DataFrame, printed: pd.DataFrame, caption: str) -> dict[
    str, bytes
]:  # fmt: skip
    """`name.csv` with full numbers and `name.tex` as printed.

    Args:
        name: file name without extension.
        data: for the CSV.
        printed: the same as strings, with headings, for LaTeX.
        caption: of the LaTeX table.
    """
    return {
        f"{name}.csv": csv_of(data.drop(columns=list(COLUMNS), errors="ignore")).encode("utf-8"),
        f"{name}.tex": latex(printed, caption, name).encode("utf-8"),
    }


def with_rank_sets(elo: pd.DataFrame, claims: Claims) -> pd.DataFrame:
    """Return an `elo_table` with rank_best and rank_worst, the ends of each arm's rank set."""
    ranks = claims.comparisons.ranks.set_index("arm")
    best, worst = (ranks[name].reindex(elo["arm"]).to_numpy() for name in ("best", "worst"))
    return elo.assign(rank_best=best, rank_worst=worst)


def printed_elo(elo: pd.DataFrame, claims: Claims) -> pd.DataFrame:
    """Return an `elo_table` with labels, as printed, groups that votes don't link by number."""
    ranks = rank_sets(claims)
    scored = elo["group"].where(np.isfinite(elo["elo"]))
    groups = {group: str(n) for n, group in enumerate(dict.fromkeys(scored.dropna()), 1)}
    printed = pd.DataFrame(
        {
            "Arm": elo["label"],
            "Elo": [signed(value) for value in elo["elo"]],
            "95% interval": [bounds(*ends) for ends in zip(elo["low"], elo["high"], strict=True)],
            "Rank set": [ranks.get(arm, "–") for arm in elo["arm"]],
            "Votes": elo["votes"].astype(str),
            "Won": ["–" if np.isnan(s) else f"{100 * s:.0f}%" for s in elo["win_share"]],
        }
    )
    if len(groups) > 1:
        printed.insert(1, "Scored apart", [groups.get(group, "–") for group in scored])
    return printed


def printed_wins(wins: pd.DataFrame) -> pd.DataFrame:
    """Return a `win_table` with labels, as printed."""

    def share(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.0f}%"

    return pd.DataFrame(
        {
            "Arm": wins["label"],
            "Against": wins["against_label"],
            "P(win)": [share(p) for p in wins["probability"]],
            "95% interval": [
                f"{share(low)} to {share(high)}" if np.isfinite(low) else "–"
                for low, high in zip(wins["low"], wins["high"], strict=True)
            ],
            "Observed": [share(p) for p in wins["observed"]],
            "Votes": wins["n"].astype(str),
        }
    )


def metric_columns(metrics: pd.DataFrame) -> list[tuple[str, str]]:
    """(metric, extractor) pairs: values of different extractors never share a column.

    One that is undefined for every arm has no column; its note says why.
    """
    pairs = defined(metrics)[["metric", "extractor"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def printed_metrics(metrics: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Return arms × metrics as printed: `8.42 (8.10 to 8.77)`."""
    columns = metric_columns(metrics)
    several = len({extractor for _, extractor in columns}) > 1
    table: dict[str, list[str]] = {"Arm": list(arms["label"])}
    for metric, extractor in columns:
        info = metric_info(metric)
        chosen = metrics[(metrics["metric"] == metric) & (metrics["extractor"] == extractor)]
        decimals = column_decimals(chosen, info.decimals)
        parts = {row.arm: metric_parts(row, decimals) for row in rows_of(chosen)}
        heading = f"{info.label} {info.arrow}" + (f" ({extractor})" if several else "")
        found = [parts.get(arm, ("–", "")) for arm in arms["name"]]
        table[heading] = [v + (f" ({interval})" if interval else "") for v, interval in found]
    return pd.DataFrame(table)


def column_decimals(column: pd.DataFrame, usual: int) -> int:
    """Return digits after the point: as usual, or fewer where intervals are wide."""
    widths = (column["ci_high"] - column["ci_low"]).to_numpy(np.float64)
    widths = widths[np.isfinite(widths) & (widths > 0)]
    if not len(widths):
        return usual
    return int(np.clip(2 - np.floor(np.log10(np.median(widths))), 0, usual))


def metric_parts(row: Any, decimals: int) -> tuple[str, str]:
    """Return a metric's value and interval as printed; a missing interval is empty."""
    finite = np.isfinite(row.ci_low) and np.isfinite(row.ci_high)
    return signed(row.value, decimals), bounds(row.ci_low, row.ci_high, decimals) if finite else ""


def printed_correlations(correlations: pd.DataFrame) -> pd.DataFrame:
    """`metric_correlations` as printed."""
    rows = rows_of(correlations)
    return pd.DataFrame(
        [
            (
                metric_info(row.metric).label,
                ballot_words(row.question, row.rater_kind),
                str(row.n),
                signed(row.spearman, 2),
                bounds(row.low, row.high, 2),
                signed(row.pearson, 2),
            )
            for row in rows
        ],
        columns=["Metric", "Question", "Arms", "Spearman's ρ", "95% interval", "Pearson's r"],
    )


def printed_prompts(prompts: pd.DataFrame, labels: dict[str, str], captions: dict[str, str]) -> (
    pd.DataFrame
):  # fmt: skip
    """`highlights.best_and_worst` as printed."""
    voted = "wins" in prompts
    rows = [
        (
            labels.get(row.arm, row.arm),
            row.place,
            captions.get(row.prompt_id, row.prompt_id),
            f"{row.wins:g} of {row.n:,}" if voted else signed(row.value, 3),
        )
        for row in rows_of(prompts)
    ]
    return pd.DataFrame(rows, columns=["Arm", "Place", "Prompt", "Won" if voted else "Value"])


def printed_disputed(pairs: pd.DataFrame, labels: dict[str, str], captions: dict[str, str]) -> (
    pd.DataFrame
):  # fmt: skip
    """`highlights.disputed_pairs` as printed."""
    rows = [
        (captions.get(row.prompt_id, row.prompt_id), labels.get(row.arm, row.arm),
         labels.get(row.against, row.against), f"{row.wins} : {row.losses}", str(row.ties))
        for row in rows_of(pairs)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["Prompt", "Arm", "Against", "Votes", "Ties"])


def printed_study_elo(elo: pd.DataFrame) -> pd.DataFrame:
    """Elo of one question: one row per arm, one column per study."""
    arms = elo.drop_duplicates("arm")
    columns: dict[str, list[str]] = {"Arm": list(arms["label"])}
    for study, rows in elo.groupby("study", sort=False):
        found = {row.arm: row for row in rows_of(rows)}
        anchor = rows["anchor"].iloc[0]
        heading = f"{study}, Elo above {lower_first(anchor)}" if anchor else f"{study}, Elo"
        columns[heading] = [_score_cell(found.get(arm)) for arm in arms["arm"]]
    return pd.DataFrame(columns)


def _score_cell(row: Any) -> str:
    if row is None or np.isnan(row.elo):
        return "–"
    interval = bounds(row.low, row.high)
    told = "" if interval == "–" or row.low == row.high else f" ({interval})"
    return signed(row.elo) + told


def printed_agreement(agreement: pd.DataFrame) -> pd.DataFrame:
    """Return rank correlations between runs or studies as printed."""
    rows = [
        (
            question_words(row.question),
            voters(row.part, row.rater_kind),
            voters(row.against, row.against_kind),
            str(row.n),
            signed(row.spearman, 2),
            row.reason or bounds(row.low, row.high, 2),
        )
        for row in rows_of(agreement)
    ]
    heads = ["Question", "Study", "Against", "Shared arms", "Spearman's ρ", "95% interval"]
    return pd.DataFrame(rows, columns=heads)


def printed_part_metrics(metrics: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    """Return metrics of every run: one row per run and arm, one column per metric and extractor."""
    if metrics.empty:
        return pd.DataFrame()
    pairs = metric_columns(metrics)
    several = {metric for metric, _ in pairs if sum(m == metric for m, _ in pairs) > 1}
    found = {(r.part, r.arm, r.metric, r.extractor): r for r in rows_of(metrics)}
    arms = metrics.drop_duplicates(["part", "arm"])
    arms = arms.sort_values("part", key=lambda p: p.map(parts.index), kind="stable")
    table: dict[str, list[str]] = {"Run": list(arms["part"]), "Arm": list(arms["label"])}
    for metric, extractor in pairs:
        info = metric_info(metric)
        heading = f"{info.label} {info.arrow}"
        heading += f" ({extractor})" if metric in several and extractor else ""
        cells = [found.get((row.part, row.arm, metric, extractor)) for row in rows_of(arms)]
        table[heading] = ["–" if c is None else signed(c.value, info.decimals) for c in cells]
    return pd.DataFrame(table)


def printed_conduct(conduct: pd.DataFrame) -> pd.DataFrame:
    """`study_conduct` as printed."""
    rows = []
    for row in rows_of(conduct):
        value, small = conduct_cell(row)
        about = ballot_words(row.question, row.rater_kind)
        rows.append((measure_words(row.measure), about, value, small))
    return pd.DataFrame(rows, columns=["Measure", "Question", "Value", "Note"])


def conduct_cell(row: Any) -> tuple[str, str]:
    """Return one row of `study_conduct` as printed: value, and its interval or reason."""
    if row is None:
        return "–", ""
    if np.isnan(row.value):
        return "–", row.reason
    low, high = row.low, row.high
    if row.measure == "krippendorff_alpha":
        return signed(row.value, 2), "; ".join(
            filter(None, (bounds(low, high, 2) if np.isfinite(low) else "", f"{row.n:,} pairs"))
        )
    if row.measure in SHARES:
        interval = f"{100 * low:.0f} to {100 * high:.0f}%" if np.isfinite(low) else ""
        counted = f"{row.n:,} pairs" if row.measure in OF_PAIRS else ""
        small = "; ".join(filter(None, (interval, counted)))
        return f"{100 * row.value:.0f}%", small or row.reason
    if row.measure.startswith("seconds"):
        return f"{row.value:.1f} s", ""
    return f"{row.value:,.0f}", ""


def grid(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return a printed table's headings and rows; None when it has no rows."""
    if table.empty:
        return None
    return {"columns": list(table.columns), "rows": table.to_numpy().tolist()}
