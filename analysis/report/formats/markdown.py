"""The report as Markdown: the same findings and tables, with the figures beside it as PNG."""

from __future__ import annotations

import pandas as pd

from analysis.claims import best_and_worst
from analysis.metrics import SOURCE, metric_info, published_tables
from analysis.report.contents import BallotPart, Conduct, Part, Report
from analysis.report.figures.figure import Figure
from analysis.report.inputs import ReportInputs, metrics_of
from analysis.report.page.highlights import published_view
from analysis.report.page.render import banner_words
from analysis.report.page.sections import findings_view, provenance_rows
from analysis.report.page.side_by_side import incomparable
from analysis.report.page.trust import conduct_view, more_words
from analysis.report.tables import printed as tables
from analysis.report.tables.chosen import disputed_tables, elo_questions, prompt_tables
from analysis.report.words.answers import NOTE, printed_answers
from analysis.report.words.claims import (
    best_scale_notes,
    curve_sentences,
    printed_best_scales,
)
from analysis.report.words.controlled import controlled_words, printed_controlled
from analysis.report.words.goodness import fit_words
from analysis.report.words.methods import methods_notes, methods_paragraph
from analysis.report.words.metric_claims import finding_words, printed_metric_claims
from analysis.report.words.raters import printed_screens
from analysis.report.words.robustness import (
    categories_words,
    printed_categories,
    printed_robustness,
    side_and_ties,
    verdict,
)
from analysis.report.words.wording import ballot_words, question_words, strip_control


def render_markdown(report: Report) -> str:
    """Return the whole report, in the Markdown of GitHub (tables with pipes).

    Figures are linked as `figures/<name>.png`; sample images stay in the page.
    """
    blocks = [f"# {_text(report.title)}"]
    banner = banner_words(report)
    if banner:
        blocks.append(f"> **Simulated raters.** {banner}")
    blocks += _comparison(report)
    for part in report.parts:
        if part.prefix:
            blocks.append(f"# {_text(part.inputs.name)}")
        blocks += _part(part)
    blocks += _published(report)
    if report.command:
        blocks.append(f"## To make this report again\n\n```sh\n{report.command}\n```")
    return "\n\n".join(blocks) + "\n"


def _part(part: Part) -> list[str]:
    inputs, ballots, labels = part.inputs, part.ballots, part.inputs.labels
    blocks = [
        f"**{_text(group['heading'])}**{' *(simulated raters)*' if group['simulated'] else ''} "
        f"{_text(group['text'])}"
        for group in findings_view(inputs, ballots)
    ]
    drawn = part.figures
    blocks += _heading("Preference", _preference(part))
    blocks += _heading("Does it hold?", _holds(ballots, labels))
    metrics = metrics_of(inputs)
    measured = len(metrics) > 0
    tradeoffs = ("is-fid", "precision-recall", "clip-fid")
    blocks += _heading("Metrics", [
        *(_figure(drawn[name]) for name in tradeoffs if name in drawn),
        *([_table(tables.printed_metrics(metrics, inputs.arms))] if measured else []),
        *map(_text, inputs.remarks),
    ])  # fmt: skip
    blocks += _heading("Metrics against raters", [
        *(_figure(f) for name, f in drawn.items() if name.startswith("metric-vs-elo")),
        *(
            words
            for ballot in ballots
            if (claims := ballot.metric_claims) is not None
            for words in (
                f"### {_text(ballot.words)}",
                _table(printed_metric_claims(claims)),
                _text(finding_words(claims, labels, ballot.simulated)),
            )
            if words
        ),
    ])  # fmt: skip
    blocks += _heading("Who beats whom", [
        _figure(f) for name, f in drawn.items() if name.startswith("win-probability")
    ])  # fmt: skip
    blocks += _highlights(inputs, ballots)
    if part.conduct is not None:
        blocks += _heading("Conduct", _conduct(part.conduct, ballots))
    methods = [methods_paragraph(inputs, part.results),
               *methods_notes(inputs, part.results, part.correlations)]  # fmt: skip
    blocks += _heading("Methods", list(map(_text, methods)))
    rows = pd.DataFrame(provenance_rows(inputs.provenance), columns=["What", "Value"])
    return blocks + (_heading("Provenance", [_table(rows)]) if len(rows) else [])


def _preference(part: Part) -> list[str]:
    """Figures and scores, and each ballot's best scales."""
    drawn, labels = part.figures, part.inputs.labels
    blocks = [_figure(drawn[name]) for name in ("elo-vs-scale", "elo-ranking") if name in drawn]
    for ballot in part.ballots:
        about, claims = _text(ballot.words), ballot.claims
        scores = ballot.result.scores().assign(label=lambda t: t["arm"].map(labels))
        blocks.append(f"### {about}\n\n{_table(tables.printed_elo(scores, ballot.claims))}")
        if len(claims.curves.best):
            blocks.append(f"### Best scale, {about}\n\n{_table(printed_best_scales(claims))}")
            blocks += map(_text, [*curve_sentences(claims), *best_scale_notes(claims)])
        if len(claims.answers):
            printed = printed_answers(claims.answers, labels)
            blocks += [f"### Votes without a winner, {about}", _table(printed), _text(NOTE)]
    return blocks


def _holds(ballots: list[BallotPart], labels: dict[str, str]) -> list[str]:
    """Return other analyses of each ballot, categories, and what more votes would buy."""
    blocks = []
    for ballot in ballots:
        found = ballot.claims.robustness
        fit = fit_words(ballot.claims.goodness, labels)
        sentences = [fit, verdict(found, labels), more_words(ballot, labels)]
        printed = [printed_robustness(found, labels)] if len(found.others) else []
        told = [*map(_text, filter(None, sentences)), *map(_table, printed)]
        told += [_text(side_and_ties(found))] if printed else []
        if (equal := ballot.claims.controlled) is not None:
            told += [
                _text(controlled_words(equal, labels)),
                _table(printed_controlled(equal, labels)),
            ]
        if found.categories is not None:
            told += [
                _text(categories_words(found, labels)),
                _table(printed_categories(found, labels)),
            ]
        if told:
            blocks += [f"### {_text(ballot.words)}", *filter(None, told)]
    return blocks


def _conduct(conduct: Conduct, ballots: list[BallotPart]) -> list[str]:
    view = conduct_view(conduct, ballots)
    assert view is not None  # there are measures
    said = [f"{each['question']}: {each['text']}" for each in view["sentences"]]
    flagged = printed_screens(conduct.screens)
    return [
        *map(_text, said), _table(tables.printed_conduct(conduct.measures)),
        *([_table(flagged)] if len(flagged) else []),
    ]  # fmt: skip


def _highlights(inputs: ReportInputs, ballots: list[BallotPart]) -> list[str]:
    labels, captions = inputs.labels, inputs.captions
    blocks: list[str] = []
    for question, kind, table in prompt_tables(inputs, ballots):
        if len(table):
            about = ballot_words(question, kind) if kind else metric_info(question).label
            printed = tables.printed_prompts(best_and_worst(table), labels, captions)
            blocks += _heading(f"Best and worst prompts: {about}", [_table(printed)])
    for question, kind, table in disputed_tables(inputs, ballots):
        if len(table):
            printed = tables.printed_disputed(table, labels, captions)
            about = ballot_words(question, kind)
            blocks += _heading(f"Disputed pairs: {about}", [_table(printed)])
    return blocks


def _comparison(report: Report) -> list[str]:
    comparison = report.comparison
    if comparison is None:
        return []
    names = [part.inputs.name for part in report.parts]
    blocks = [_table(comparison.overview.astype(str))]
    blocks += [_figure(figure) for figure in comparison.figures.values()]
    for question, elo in elo_questions(comparison):
        about = _text(question_words(question))
        blocks.append(f"### Elo, {about}\n\n{_table(tables.printed_study_elo(elo))}")
    if len(comparison.agreement):
        blocks.append(_table(tables.printed_agreement(comparison.agreement)))
    if len(comparison.metrics):
        blocks.append(_table(tables.printed_part_metrics(comparison.metrics, names)))
        blocks += map(_text, incomparable(comparison.metrics))
    return _heading("Side by side", blocks)


def _published(report: Report) -> list[str]:
    view = published_view(report)
    if view is None:
        return []
    blocks = [f"Published numbers of {SOURCE}: another model, other images, other raters."]
    if view["beside"]:
        rows = [
            (row["part"], row["question"] + " (simulated raters)" * row["simulated"], row["words"],
             row["published"], row["elo"], row["interval"], row["label"])
            for row in view["beside"]
        ]  # fmt: skip
        heads = ["Run", "Question", "Strategy", "Published Elo above unguided", "Ours",
                 "95% interval", "Our arm"]  # fmt: skip
        table = pd.DataFrame(rows, columns=heads)
        blocks.append(_table(table if view["several"] else table.drop(columns="Run")))
    for name, (caption, table) in published_tables().items():
        blocks.append(f"### Published: Table {name[-1]}, {caption}\n\n{_table(table)}")
    return _heading("Beside the paper", blocks)


def _heading(words: str, blocks: list[str]) -> list[str]:
    return [f"## {_text(words)}", *blocks] if blocks else []


def _figure(figure: Figure) -> str:
    marked = " **Votes of simulated raters.**" if figure.simulated else ""
    return f"![{_text(figure.title)}](figures/{figure.name}.png)\n\n{_text(figure.caption)}{marked}"


def _table(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    rows = [" | ".join(_text(cell) if n != 1 else cell for cell in line)
            for n, line in enumerate(lines)]  # fmt: skip
    return "\n".join(f"| {row} |" for row in rows)


def _text(text: object) -> str:
    """Return any text on one line, so that none of its characters are Markdown or HTML."""
    plain = strip_control(str(text))
    for character in "\\`*_[]<>|#":
        plain = plain.replace(character, f"\\{character}")
    return plain
