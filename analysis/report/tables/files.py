"""Which tables a report holds, and what each is called."""

from __future__ import annotations

import pandas as pd

from analysis.claims import Claims, best_and_worst
from analysis.metrics import SOURCE, beside_paper, metric_info, published_tables
from analysis.report.check import METRIC_COLUMNS, table_of
from analysis.report.compute import labelled
from analysis.report.contents import Comparison, Contents
from analysis.report.figures.theme import strategy_words
from analysis.report.page.highlights import disputed_tables, prompt_tables
from analysis.report.page.side_by_side import elo_questions
from analysis.report.words.claims import printed_best_scales, printed_comparisons
from analysis.report.words.methods import methods_paragraph
from analysis.report.words.metric_claims import printed_metric_claims
from analysis.report.words.raters import printed_screens
from analysis.report.words.robustness import printed_categories, printed_robustness
from analysis.report.words.wording import ballot_words, bounds, question_words, signed, slug

from . import printed as tables
from .latex import escape


def table_files(contents: Contents) -> dict[str, bytes]:
    """File name → bytes of every table of one run or study, as CSV and LaTeX."""
    inputs, files, prefix = contents.inputs, {}, contents.prefix
    for result, claims in zip(contents.results, contents.claims, strict=True):
        ballot = result.ballot
        about = ballot_words(ballot.question, ballot.rater_kind)
        scores = labelled(result, inputs.arms, "scores")
        files |= tables.table_files(
            f"{prefix}elo-{slug(ballot.question, ballot.rater_kind)}",
            scores,
            tables.printed_elo(scores),
            f"Elo scores, {about}; mean zero, 95% intervals {result.intervals.method}",
        )
        wins = result.win_table()
        wins.insert(1, "label", wins["arm"].map(contents.labels))
        wins.insert(3, "against_label", wins["against"].map(contents.labels))
        files |= tables.table_files(
            f"{prefix}win-probability-{slug(ballot.question, ballot.rater_kind)}",
            wins,
            tables.printed_wins(wins),
            f"Probability of winning, {about}; ties count half in observed shares",
        )
        files |= _claim_files(contents, claims, slug(ballot.question, ballot.rater_kind), about)
    metrics = table_of(inputs.metrics, METRIC_COLUMNS)
    if len(metrics):
        files |= tables.table_files(
            f"{prefix}metrics", metrics, tables.printed_metrics(metrics, inputs.arms),
            "Metrics with 95% intervals",
        )  # fmt: skip
    if len(contents.correlations):
        files |= tables.table_files(
            f"{prefix}correlations",
            contents.correlations,
            tables.printed_correlations(contents.correlations),
            "Spearman's rank correlation of metrics with Elo over the arms, 95% intervals",
        )
    if len(contents.conduct):
        files |= tables.table_files(
            f"{prefix}conduct", contents.conduct, tables.printed_conduct(contents.conduct),
            "Conduct of the study",
        )  # fmt: skip
        files |= _screen_files(contents)
    paragraph = methods_paragraph(contents)
    files[f"{prefix}methods.txt"] = (paragraph + "\n").encode("utf-8")
    files[f"{prefix}methods.tex"] = (escape(paragraph) + "\n").encode("utf-8")
    files |= _metric_claim_files(contents)
    return files | _highlight_files(contents) | _published_files(contents)


def _claim_files(contents: Contents, claims: Claims, name: str, about: str) -> dict[str, bytes]:
    """All pairs of arms, best scales, and the ranking under other analyses and by category."""
    prefix, labels = contents.prefix, contents.labels
    files = tables.table_files(
        f"{prefix}comparisons-{name}", claims.comparisons.table,
        printed_comparisons(claims, labels),
        f"All pairs of arms, {about}; simultaneous 95% intervals and p-values",
    )  # fmt: skip
    if len(claims.curves.best):
        files |= tables.table_files(
            f"{prefix}scales-{name}", claims.curves.best, printed_best_scales(claims),
            f"Best guidance scale of each strategy, {about}",
        )  # fmt: skip
        files[f"{prefix}curves-{name}.csv"] = claims.curves.table.to_csv(index=False).encode()
    found = claims.robustness
    if len(found.others):
        files |= tables.table_files(
            f"{prefix}robustness-{name}", found.table, printed_robustness(found, labels),
            f"The ranking under other analyses, {about}",
        )  # fmt: skip
    if found.categories is not None:
        files |= tables.table_files(
            f"{prefix}categories-{name}", found.categories.table,
            printed_categories(found, labels),
            f"Elo by category of prompt, {about}; mean zero within each, 95% intervals",
        )  # fmt: skip
    return files


def _screen_files(contents: Contents) -> dict[str, bytes]:
    """Every rater as CSV; those that stand out as LaTeX, where some do."""
    name, printed = f"{contents.prefix}raters", printed_screens(contents.screens)
    files = tables.table_files(name, contents.screens, printed, "Raters that a screen flags")
    return files if len(printed) else {f"{name}.csv": files[f"{name}.csv"]}


def _metric_claim_files(contents: Contents) -> dict[str, bytes]:
    """What each metric says of each ballot's votes."""
    files: dict[str, bytes] = {}
    for result, claims in zip(contents.results, contents.metric_claims, strict=False):
        ballot = result.ballot
        ranks = claims.ranks.assign(statistic="spearman").rename(columns={"spearman": "value"})
        votes = claims.votes.rename(columns={"accuracy": "value"})
        votes["statistic"] = "better " + votes["by"] + " won"
        files |= tables.table_files(
            f"{contents.prefix}metric-agreement-{slug(ballot.question, ballot.rater_kind)}",
            pd.concat([ranks, votes.drop(columns="by")], ignore_index=True),
            printed_metric_claims(claims),
            f"Metrics against votes, {ballot_words(ballot.question, ballot.rater_kind)}",
        )
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


def _highlight_files(contents: Contents) -> dict[str, bytes]:
    samples, labels, prefix = contents.inputs.samples, contents.labels, contents.prefix
    captions: dict[str, str] = {}
    if samples is not None:
        captions = dict(zip(samples["prompt_id"].astype(str), samples["caption"], strict=True))
    files = {}
    for question, kind, table in prompt_tables(contents):
        if table.empty:
            continue
        about = ballot_words(question, kind) if kind else metric_info(question).label
        files |= tables.table_files(
            f"{prefix}prompts-{slug(question, kind)}", table.drop(columns="rank_by"),
            tables.printed_prompts(best_and_worst(table), labels, captions),
            f"Best and worst prompts of each arm, {about}",
        )  # fmt: skip
    for question, kind, table in disputed_tables(contents, most=100):
        if len(table):
            files |= tables.table_files(
                f"{prefix}disputed-{slug(question, kind)}", table,
                tables.printed_disputed(table.head(20), labels, captions),
                f"Pairs that raters split on, {ballot_words(question, kind)}",
            )  # fmt: skip
    return files


def _published_files(contents: Contents) -> dict[str, bytes]:
    """The paper's tables, and Table 1 with ours beside it, where arms are guided as there."""
    beside = beside_paper(contents.elo)
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
        f"{contents.prefix}beside-paper", beside, printed,
        f"Elo above unguided: published ({SOURCE}, Table 1) and ours",
    )  # fmt: skip
    for name, (caption, table) in published_tables().items():
        told = f"Published ({SOURCE}, Table {name[-1]}): {caption}"
        files |= tables.table_files(name, table, table, told)
    return files
