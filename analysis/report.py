"""The comparison report: one HTML page that opens offline, beside its figures and tables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from . import figures, tables
from .conduct import study_conduct
from .contents import Contents, ReportInputs
from .errors import ReportError
from .figures import Figure
from .page import render_page
from .results import BallotResult, analyse
from .tradeoff import join_metrics, metric_correlations
from .votes import read_votes
from .wording import ballot_words, slug

ARM_COLUMNS = ("name", "strategy", "scale", "label")
METRIC_COLUMNS = ("arm", "metric", "value", "ci_low", "ci_high", "n", "extractor", "note")
SAMPLE_COLUMNS = ("arm", "prompt_id", "caption", "replica", "path")
ROUNDS = 1000


def write_report(inputs: ReportInputs, out_dir: Path | str, seed: int = 0) -> Path:
    """Write `index.html`, `figures/` and `tables/` into a folder.

    The same inputs and seed give the same bytes. Everything is computed and rendered before the
    first file is touched; each file then replaces its older self whole, the page last.

    Args:
        inputs: arms, metrics, votes, samples.
        out_dir: made if missing; files that are no part of a report stay as they are.
        seed: of the bootstrap intervals in the tables.

    Returns:
        The path of `index.html`.

    Raises:
        VotesError: votes that can't be counted.
        ReportError: other inputs that don't fit together, an unreadable image, or a folder
            that can't be written.
    """
    contents = compute(inputs, seed)
    files = {"index.html": render_page(contents).encode("utf-8")}
    for figure in contents.figures.values():
        files |= {f"figures/{name}": data for name, data in figure.files().items()}
    files |= {f"tables/{name}": data for name, data in _tables(contents).items()}
    out_dir = Path(out_dir)
    try:
        _replace_files(files, out_dir)
    except OSError as error:
        raise ReportError(
            f"Could not write the report to {out_dir}: {error.strerror or error}. "
            "Free space or name another folder with --out, then run the same command again."
        ) from error
    return out_dir / "index.html"


def compute(inputs: ReportInputs, seed: int = 0) -> Contents:
    """All numbers and figures of a report."""
    inputs = _checked(inputs)
    arms = inputs.arms
    unguided = arms.loc[arms["strategy"] == "unguided", "name"]
    anchor = unguided.iloc[0] if len(unguided) else None
    votes = inputs.votes
    results = [] if votes is None else analyse(votes, anchor, ROUNDS, seed)
    elo = _elo_rows(results, arms)
    described = arms.rename(columns={"name": "arm"})[["arm", "label", "strategy", "scale"]]
    metrics = _table(inputs.metrics, METRIC_COLUMNS).merge(described, on="arm")
    joined = join_metrics(metrics, elo).merge(described, on="arm")
    contents = Contents(
        inputs=inputs,
        seed=seed,
        results=results,
        elo=elo,
        joined=joined,
        correlations=metric_correlations(joined),
        conduct=study_conduct(votes) if votes is not None else pd.DataFrame(),
        figures={},
    )
    for figure in _figures(contents, metrics):
        contents.figures[figure.name] = figure
    return contents


def _figures(contents: Contents, metrics: pd.DataFrame) -> list[Figure]:
    elo = contents.elo
    mean_zero = [_labelled(result, contents.inputs.arms, "scores") for result in contents.results]
    made = [
        figures.elo_by_scale(elo) if mean_zero else None,
        figures.elo_ranking(pd.concat(mean_zero)) if mean_zero else None,
        *(figures.metric_tradeoff(metrics, *each) for each in figures.TRADEOFFS),
    ]
    for result in contents.results:
        question, kind = result.ballot.question, result.ballot.rater_kind
        of_ballot = elo[(elo["question"] == question) & (elo["rater_kind"] == kind)]
        axis = figures.elo_axis(of_ballot["anchor"].iloc[0])
        made.append(
            figures.metrics_against_elo(
                contents.joined, contents.correlations, question, kind, axis
            )
        )
        order = list(result.relative()["arm"])
        made.append(figures.win_heatmap(result.win_table(), contents.labels, order, question, kind))
    return [figure for figure in made if figure is not None]


def _tables(contents: Contents) -> dict[str, bytes]:
    inputs, files = contents.inputs, {}
    for result in contents.results:
        ballot = result.ballot
        about = ballot_words(ballot.question, ballot.rater_kind)
        scores = _labelled(result, inputs.arms, "scores")
        files |= tables.table_files(
            f"elo-{slug(ballot.question, ballot.rater_kind)}",
            scores,
            tables.printed_elo(scores),
            f"Elo scores, {about}; mean zero, 95% intervals {result.intervals.method}",
        )
        wins = result.win_table()
        wins.insert(1, "label", wins["arm"].map(contents.labels))
        wins.insert(3, "against_label", wins["against"].map(contents.labels))
        files |= tables.table_files(
            f"win-probability-{slug(ballot.question, ballot.rater_kind)}",
            wins,
            tables.printed_wins(wins),
            f"Probability of winning, {about}; ties count half in observed shares",
        )
    metrics = _table(inputs.metrics, METRIC_COLUMNS)
    if len(metrics):
        files |= tables.table_files(
            "metrics", metrics, tables.printed_metrics(metrics, inputs.arms),
            "Metrics with 95% intervals",
        )  # fmt: skip
    if len(contents.correlations):
        files |= tables.table_files(
            "correlations",
            contents.correlations,
            tables.printed_correlations(contents.correlations),
            "Spearman's rank correlation of metrics with Elo over the arms, 95% intervals",
        )
    if len(contents.conduct):
        files |= tables.table_files(
            "conduct", contents.conduct, tables.printed_conduct(contents.conduct),
            "Conduct of the study",
        )  # fmt: skip
    return files


def _elo_rows(results: list[BallotResult], arms: pd.DataFrame) -> pd.DataFrame:
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    parts = [
        _labelled(result, arms, "relative").assign(
            anchor=labels[result.anchor] if result.anchor else ""
        )
        for result in results
    ]
    if parts:
        return pd.concat(parts, ignore_index=True)
    words = {name: pd.Series(dtype=str) for name in ("question", "rater_kind", "arm", "anchor")}
    numbers = {name: pd.Series(dtype=np.float64) for name in ("elo", "low", "high")}
    return pd.DataFrame(words | numbers)


def _labelled(result: BallotResult, arms: pd.DataFrame, which: str) -> pd.DataFrame:
    """A ballot's `scores` or `relative` table with its ballot and the arms' columns."""
    table: pd.DataFrame = getattr(result, which)()
    described = arms.rename(columns={"name": "arm"})[["arm", "label", "strategy", "scale"]]
    table.insert(0, "question", result.ballot.question)
    table.insert(1, "rater_kind", result.ballot.rater_kind)
    return table.merge(described, on="arm", how="left")


def _checked(inputs: ReportInputs) -> ReportInputs:
    """The inputs with tables checked and votes read; cheap failures come first."""
    _require(inputs.arms, ARM_COLUMNS, "arms")
    arms = inputs.arms.reset_index(drop=True)
    arms = arms.assign(scale=pd.to_numeric(arms["scale"]).astype(np.float64))
    if arms["name"].duplicated().any():
        raise ReportError(f"arms: expected each name once, found {list(arms['name'])}.")
    names = list(arms["name"])
    for table, columns, what in (
        (inputs.metrics, METRIC_COLUMNS, "metrics"),
        (inputs.samples, SAMPLE_COLUMNS, "samples"),
    ):
        if table is None:
            continue
        _require(table, columns, what)
        unknown = sorted(set(table["arm"]) - set(names))
        if unknown:
            raise ReportError(
                f"{what}: found arm {', '.join(map(repr, unknown[:5]))}, expected one of "
                f"{', '.join(names)}. Make the {what} again from this run."
            )
    metrics = inputs.metrics
    if metrics is not None:
        # An all-empty column reads as numbers, so it is made text first.
        words = metrics[["extractor", "note"]].astype(object)
        metrics = metrics.drop(columns=["extractor", "note"]).join(words.where(words.notna(), ""))
        twice = metrics[metrics.duplicated(["arm", "metric", "extractor"])]
        if len(twice):
            raise ReportError(
                f"metrics: found {twice['metric'].iloc[0]} of {twice['arm'].iloc[0]} twice, "
                "expected one value an arm, metric and extractor. Measure the run again."
            )
    votes = None if inputs.votes is None else read_votes(inputs.votes, names)
    return ReportInputs(
        inputs.title, arms, metrics, votes, inputs.samples, Path(inputs.root), inputs.provenance,
        inputs.command,
    )  # fmt: skip


def _require(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ReportError(
            f"{what}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(map(str, table.columns)) or 'none'}, expected {', '.join(columns)}."
        )


def _table(table: pd.DataFrame | None, columns: tuple[str, ...]) -> pd.DataFrame:
    if table is not None:
        return table[list(columns)]
    numbers = ("value", "ci_low", "ci_high", "n")
    return pd.DataFrame(
        {name: pd.Series(dtype=np.float64 if name in numbers else str) for name in columns}
    )


def _replace_files(files: dict[str, bytes], out_dir: Path) -> None:
    """Put files into a folder, each whole or not at all, and drop those of an older report."""
    out_dir.mkdir(parents=True, exist_ok=True)
    listing = out_dir / "report.json"
    old = _listed_files(listing)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    text = json.dumps({"files": digests}, indent=1) + "\n"
    ordered = {**files, "report.json": text.encode("utf-8")}
    ordered["index.html"] = ordered.pop("index.html")  # last
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out_dir))
    try:
        for name, data in ordered.items():
            staged = staging / name
            staged.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for name in ordered:
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for name in old - set(ordered):
        with contextlib.suppress(OSError):
            (out_dir / name).unlink(missing_ok=True)


def _listed_files(listing: Path) -> set[str]:
    """Figure and table files an older report says it wrote; nothing outside those two folders."""
    try:
        names = json.loads(listing.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {
        name
        for name in names
        if name.count("/") == 1 and name.startswith(("figures/", "tables/")) and ".." not in name
    }
