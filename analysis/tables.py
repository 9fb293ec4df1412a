"""The report's tables as files: CSV for machines, LaTeX (booktabs) for papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .tradeoff import metric_info
from .wording import ballot_words, bounds, measure_words, rows_of, signed

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "ρ": r"$\rho$",
    "α": r"$\alpha$",
    "<": "$<$",
    ">": "$>$",
}


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
        f"{name}.csv": data.to_csv(index=False).encode("utf-8"),
        f"{name}.tex": latex(printed, caption, name).encode("utf-8"),
    }


def latex(printed: pd.DataFrame, caption: str, label: str) -> str:
    """A booktabs table; the first column is set left, the others right."""
    columns = "l" + "r" * (len(printed.columns) - 1)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        rf"  \caption{{{_escape(caption)}}}",
        rf"  \label{{tab:{label}}}",
        r"  \centering",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + " & ".join(map(_escape, printed.columns)) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(map(_escape, row)) + r" \\" for row in printed.to_numpy()),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def printed_elo(elo: pd.DataFrame) -> pd.DataFrame:
    """An `elo_table` with labels, as printed."""
    return pd.DataFrame(
        {
            "Arm": elo["label"],
            "Elo": [signed(value) for value in elo["elo"]],
            "95% interval": [bounds(*ends) for ends in zip(elo["low"], elo["high"], strict=True)],
            "Votes": elo["votes"].astype(str),
            "Won": ["–" if np.isnan(s) else f"{100 * s:.0f}%" for s in elo["win_share"]],
        }
    )


def printed_wins(wins: pd.DataFrame) -> pd.DataFrame:
    """A `win_table` with labels, as printed."""

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
    """(metric, extractor) pairs: values of different extractors never share a column."""
    pairs = metrics[["metric", "extractor"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def printed_metrics(metrics: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Arms × metrics as printed: `8.42 (8.10 to 8.77)`."""
    columns = metric_columns(metrics)
    several = len({extractor for _, extractor in columns}) > 1
    table: dict[str, list[str]] = {"Arm": list(arms["label"])}
    for metric, extractor in columns:
        info = metric_info(metric)
        chosen = metrics[(metrics["metric"] == metric) & (metrics["extractor"] == extractor)]
        rows = chosen.set_index("arm")
        heading = f"{info.label} {info.arrow}" + (f" ({extractor})" if several else "")
        cells = []
        for arm in arms["name"]:
            known = arm in rows.index
            value, interval = metric_parts(rows.loc[arm], info.decimals) if known else ("–", "")
            cells.append(value + (f" ({interval})" if interval else ""))
        table[heading] = cells
    return pd.DataFrame(table)


def metric_parts(row: pd.Series, decimals: int) -> tuple[str, str]:
    """A metric's value and its interval as printed; the interval empty where there is none."""
    finite = np.isfinite(row["ci_low"]) and np.isfinite(row["ci_high"])
    interval = bounds(row["ci_low"], row["ci_high"], decimals) if finite else ""
    return signed(row["value"], decimals), interval


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


def printed_conduct(conduct: pd.DataFrame) -> pd.DataFrame:
    """`study_conduct` as printed."""
    rows = []
    for row in rows_of(conduct):
        value, small = conduct_cell(row)
        about = ballot_words(row.question, row.rater_kind)
        rows.append((measure_words(row.measure), about, value, small))
    return pd.DataFrame(rows, columns=["Measure", "Question", "Value", "Note"])


def conduct_cell(row: Any) -> tuple[str, str]:
    """One row of `study_conduct` as printed: value, and its interval or reason."""
    if row is None:
        return "–", ""
    if np.isnan(row.value):
        return "–", row.reason
    if row.measure in ("tie_share", "side_bias", "raw_agreement"):
        interval = "" if np.isnan(row.low) else f"{100 * row.low:.0f} to {100 * row.high:.0f}%"
        return f"{100 * row.value:.0f}%", interval or row.reason or f"{row.n:,} pairs"
    if row.measure.startswith("seconds"):
        return f"{row.value:.1f} s", ""
    if row.measure == "krippendorff_alpha":
        return signed(row.value, 2), f"{row.n:,} pairs"
    return f"{row.value:,.0f}", ""


def _escape(text: object) -> str:
    return "".join(_LATEX.get(character, character) for character in str(text))
