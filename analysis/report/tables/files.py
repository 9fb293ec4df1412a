"""Which tables a report holds, and what each is called."""

from __future__ import annotations

import pandas as pd

from analysis.ballots import csv_of
from analysis.claims import best_and_worst
from analysis.metrics import SOURCE, beside_paper, metric_info, published_tables
from analysis.report.contents import BallotPart, Comparison, Conduct, Part, labelled
from analysis.report.inputs import ReportInputs, metrics_of
from analysis.report.strategies import strategy_words
from analysis.report.words.answers import printed_answers
from analysis.report.words.claims import printed_best_scales, printed_comparisons
from analysis.report.words.controlled import printed_controlled
from analysis.report.words.goodness import printed_circles, printed_fit
from analysis.report.words.methods import methods_paragraph
from analysis.report.words.metric_claims import printed_metric_claims, printed_predictors
from analysis.report.words.raters import printed_screens
from analysis.report.words.robustness import printed_categories, printed_robustness
from analysis.report.words.wording import ballot_words, bounds, question_words, signed, slug

from . import printed as tables
from .chosen import disputed_tables, elo_questions, prompt_tables
from .latex import escape


def table_files(part: Part) -> dict[str, bytes]:
    """File name → bytes of every table of one run or study, as CSV and LaTeX."""
    inputs, prefix = part.inputs, part.prefix
    files: dict[str, bytes] = {}
    for ballot in part.ballots:
        files |= _ballot_files(ballot, inputs, prefix)
    metrics = metrics_of(inputs)
    if len(metrics):
        files |= tables.table_files(
            f"{prefix}metrics", metrics, tables.printed_metrics(metrics, inputs.arms),
            "Metrics with 95% intervals",
        )  # fmt: skip
    if len(part.correlations):
        files |= tables.table_files(
            f"{prefix}correlations", part.correlations,
            tables.printed_correlations(part.correlations),
            "Spearman's rank correlation of metrics with Elo over the arms, 95% intervals",
        )  # fmt: skip
    if part.conduct is not None:
        files |= _conduct_files(part.conduct, prefix)
    paragraph = methods_paragraph(inputs, part.results)
    files[f"{prefix}methods.txt"] = (paragraph + "\n").encode("utf-8")
    files[f"{prefix}methods.tex"] = (escape(paragraph) + "\n").encode("utf-8")
    for ballot in part.ballots:
        files |= _metric_claim_files(ballot, inputs.labels, prefix)
    files |= _highlight_files(inputs, part.ballots, prefix)
    return files | _published_files(part.elo, prefix)


def _ballot_files(ballot: BallotPart, inputs: ReportInputs, prefix: str) -> dict[str, bytes]:
    """Scores, win probabilities, and what may be claimed of them."""
    result, labels = ballot.result, inputs.labels
    scores = labelled(result, result.scores(), inputs.arms)
    scores = tables.with_rank_sets(scores, ballot.claims)
    wins = result.win_table()
    wins.insert(1, "label", wins["arm"].map(labels))
    wins.insert(3, "against_label", wins["against"].map(labels))
    files = tables.table_files(
        f"{prefix}elo-{ballot.slug}", scores, tables.printed_elo(scores, ballot.claims),
        f"Elo scores, {ballot.words}; mean zero, 95% intervals {result.intervals.method}; rank "
        "sets hold together",
    )  # fmt: skip
    files |= tables.table_files(
        f"{prefix}win-probability-{ballot.slug}", wins, tables.printed_wins(wins),
        f"Probability of winning, {ballot.words}; ties count half in observed shares",
    )  # fmt: skip
    return files | _claim_files(ballot, labels, prefix)


def _claim_files(ballot: BallotPart, labels: dict[str, str], prefix: str) -> dict[str, bytes]:
    """Return all pairs of arms, best scales, and the ranking by other analyses and categories."""
    claims, about, name = ballot.claims, ballot.words, ballot.slug
    files = tables.table_files(
        f"{prefix}comparisons-{name}", claims.comparisons.table,
        printed_comparisons(claims, labels),
        ("All pairs of arms" if claims.comparisons.every_pair else
         "Neighbours in rank, and the baseline with each arm")
        + f", {about}; simultaneous 95% intervals and p-values",
    )  # fmt: skip
    if len(claims.curves.best):
        files |= tables.table_files(
            f"{prefix}scales-{name}", claims.curves.best, printed_best_scales(claims),
            f"Best guidance scale of each strategy, {about}",
        )  # fmt: skip
        files[f"{prefix}curves-{name}.csv"] = csv_of(claims.curves.table).encode()
    files |= _fit_files(ballot, labels, prefix)
    found = claims.robustness
    if len(found.others):
        files |= tables.table_files(
            f"{prefix}robustness-{name}", found.table, printed_robustness(found, labels),
            f"The ranking under other analyses, {about}",
        )  # fmt: skip
    if claims.controlled is not None:
        files |= tables.table_files(
            f"{prefix}equal-properties-{name}", claims.controlled.table,
            printed_controlled(claims.controlled, labels),
            f"Elo as reported and at equal properties of the pictures, {about}; 95% intervals",
        )  # fmt: skip
        files[f"{prefix}properties-{name}.csv"] = csv_of(claims.controlled.effects).encode()
    if found.categories is not None:
        files |= tables.table_files(
            f"{prefix}categories-{name}", found.categories.table,
            printed_categories(found, labels),
            f"Elo by category of prompt, {about}; mean zero within each, 95% intervals",
        )  # fmt: skip
    return files


def _fit_files(ballot: BallotPart, labels: dict[str, str], prefix: str) -> dict[str, bytes]:
    """Votes without a winner, observed beside fitted shares, and arms that beat each other in a
    circle.
    """
    found, about = ballot.claims.goodness, ballot.words
    files: dict[str, bytes] = {}
    if len(rates := ballot.claims.answers):
        files |= tables.table_files(
            f"{prefix}answers-{ballot.slug}", rates, printed_answers(rates, labels),
            f"Shares of votes without a winner, {about}; 95% intervals by rater",
        )  # fmt: skip
    if len(found.pairs):
        files |= tables.table_files(
            f"{prefix}fit-{ballot.slug}", found.pairs, printed_fit(found, labels),
            f"Observed and fitted shares, {about}; 95% intervals and p-values of all pairs "
            "together",
        )  # fmt: skip
    if len(found.circles):
        files |= tables.table_files(
            f"{prefix}circles-{ballot.slug}", found.circles, printed_circles(found, labels),
            f"Arms of which each won most votes against the next, {about}",
        )  # fmt: skip
    return files


def _conduct_files(conduct: Conduct, prefix: str) -> dict[str, bytes]:
    """Measures; every rater as CSV; those that stand out as LaTeX, where some do."""
    files = tables.table_files(
        f"{prefix}conduct", conduct.measures, tables.printed_conduct(conduct.measures),
        "Conduct of the study",
    )  # fmt: skip
    name, printed = f"{prefix}raters", printed_screens(conduct.screens)
    screens = tables.table_files(name, conduct.screens, printed, "Raters that a screen flags")
    if printed.empty:
        del screens[f"{name}.tex"]
    return files | screens


def _metric_claim_files(
    ballot: BallotPart, labels: dict[str, str], prefix: str
) -> dict[str, bytes]:
    """Return what each metric says of the ballot's votes."""
    claims = ballot.metric_claims
    if claims is None:
        return {}
    ranks = claims.ranks.assign(statistic="spearman").rename(columns={"spearman": "value"})
    votes = claims.votes.rename(columns={"accuracy": "value"})
    votes["statistic"] = "better " + votes["by"] + " won"
    files = tables.table_files(
        f"{prefix}metric-agreement-{ballot.slug}",
        pd.concat([ranks, votes.drop(columns="by")], ignore_index=True),
        printed_metric_claims(claims),
        f"Metrics against votes, {ballot.words}",
    )
    found = claims.predictors
    if len(found.table):
        files |= tables.table_files(
            f"{prefix}metric-predictors-{ballot.slug}", found.table,
            printed_predictors(found, labels),
            f"Votes predicted by metrics on held-out prompts, {ballot.words}",
        )  # fmt: skip
        name = f"{prefix}metric-calibration-{ballot.slug}.csv"
        files[name] = csv_of(found.calibration).encode()
    return files


def comparison_tables(comparison: Comparison) -> dict[str, bytes]:
    """File name → bytes of the tables that stand several runs or studies side by side."""
    names = list(comparison.overview["part"])
    files = tables.table_files(
        "runs", comparison.overview, comparison.overview.astype(str), "The runs compared"
    )
    for question, elo in elo_questions(comparison):
        files |= tables.table_files(
            f"runs-elo-{slug(question, '')}", elo, tables.printed_study_elo(elo),
            f"Elo by study, {question_words(question)}; 95% intervals",
        )  # fmt: skip
    if len(comparison.agreement):
        files |= tables.table_files(
            "runs-agreement", comparison.agreement, tables.printed_agreement(comparison.agreement),
            "Rank correlation of Elo between studies over the arms they share",
        )  # fmt: skip
    if len(comparison.metrics):
        files |= tables.table_files(
            "runs-metrics", comparison.metrics,
            tables.printed_part_metrics(comparison.metrics, names), "Metrics by run",
        )  # fmt: skip
    return files


def _highlight_files(
    inputs: ReportInputs, ballots: list[BallotPart], prefix: str
) -> dict[str, bytes]:
    labels, captions = inputs.labels, inputs.captions
    files: dict[str, bytes] = {}
    for question, kind, table in prompt_tables(inputs, ballots):
        if table.empty:
            continue
        about = ballot_words(question, kind) if kind else metric_info(question).label
        files |= tables.table_files(
            f"{prefix}prompts-{slug(question, kind)}", table.drop(columns="rank_by"),
            tables.printed_prompts(best_and_worst(table), labels, captions),
            f"Best and worst prompts of each arm, {about}",
        )  # fmt: skip
    for question, kind, table in disputed_tables(inputs, ballots, most=100):
        if len(table):
            files |= tables.table_files(
                f"{prefix}disputed-{slug(question, kind)}", table,
                tables.printed_disputed(table.head(20), labels, captions),
                f"Pairs that raters split on, {ballot_words(question, kind)}",
            )  # fmt: skip
    return files


def _published_files(elo: pd.DataFrame, prefix: str) -> dict[str, bytes]:
    """Return the paper's tables, and Table 1 beside ours where arms are guided as there."""
    beside = beside_paper(elo)
    if beside.empty:
        return {}
    printed = pd.DataFrame(
        {
            "Question": [
                ballot_words(q, k)
                for q, k in zip(beside["question"], beside["rater_kind"], strict=True)
            ],
            "Strategy": [strategy_words(name) for name in beside["strategy"]],
            "Published": [signed(value, 1) for value in beside["published"]],
            "Ours": [signed(value) for value in beside["elo"]],
            "95% interval": [
                bounds(low, high) for low, high in zip(beside["low"], beside["high"], strict=True)
            ],
            "Our arm": beside["label"],
        }
    )
    files = tables.table_files(
        f"{prefix}beside-paper", beside, printed,
        f"Elo above unguided: published ({SOURCE}, Table 1) and ours",
    )  # fmt: skip
    for name, (caption, table) in published_tables().items():
        told = f"Published ({SOURCE}, Table {name[-1]}): {caption}"
        files |= tables.table_files(name, table, table, told)
    return files
