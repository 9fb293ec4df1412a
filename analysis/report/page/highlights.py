"""Best and worst prompts, disputed pairs and the paper's numbers, as the page shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.ballots import rows_of
from analysis.claims import best_and_worst
from analysis.metrics import SOURCE, beside_paper, metric_info, published_tables
from analysis.report.contents import BallotPart, Report
from analysis.report.figures.gallery import sample_digests, thumbnail
from analysis.report.inputs import ReportInputs
from analysis.report.strategies import strategy_words
from analysis.report.tables.chosen import disputed_tables, prompt_tables
from analysis.report.words.wording import bounds, question_words, share, signed, slug

from .behind import Behind, Originals, anchor

MOST_ARMS = 24  # with pictures of their best and worst prompts; the table has every arm


def prompt_views(
    inputs: ReportInputs, ballots: list[BallotPart], prefix: str, pictures: Pictures
) -> list[dict[str, Any]]:
    """Return best and worst prompts of each arm, with pictures where there are samples."""
    labels, strategies = inputs.labels, inputs.strategies
    views = []
    for nth, (question, kind, table) in enumerate(prompt_tables(inputs, ballots)):
        votes = pictures.behind[nth] if kind else None
        chosen = best_and_worst(table)
        by_arm = dict(list(chosen.groupby("arm")))
        ranked = ballots[nth].result.relative()["arm"] if kind else labels
        order = [arm for arm in ranked if arm in by_arm]
        cards = [
            {
                "label": labels[arm],
                "strategy": strategies[arm],
                "prompts": [
                    {**pictures.of(arm, row.prompt_id), "said": _said(row, question, kind),
                     "votes": votes.prompt(row.prompt_id) if votes else "", "place": row.place}
                    for row in rows_of(by_arm[arm])
                ],
            }
            for arm in order[:MOST_ARMS]
        ]  # fmt: skip
        if cards:
            heading = question_words(question) if kind else metric_info(question).label
            views.append(
                {"question": heading, "simulated": kind == "simulated", "cards": cards,
                 "table": f"{prefix}prompts-{slug(question, kind)}",
                 "note": _order_words(kind, heading),
                 "shots": max(len(card["prompts"]) for card in cards),
                 "headings": [p["place"].capitalize() for p in
                              max((card["prompts"] for card in cards), key=len)],
                 "left_out": len(order) - len(cards)}
            )  # fmt: skip
    return views


def disputed_views(
    inputs: ReportInputs, ballots: list[BallotPart], prefix: str, pictures: Pictures
) -> list[dict[str, Any]]:
    """Return pairs that raters split on, most evenly split first."""
    labels, strategies = inputs.labels, inputs.strategies
    views = []
    for nth, (question, kind, table) in enumerate(disputed_tables(inputs, ballots)):
        votes = pictures.behind[nth]
        pairs = []
        for row in rows_of(table):
            sides = [
                {**pictures.of(arm, row.prompt_id, row.replica), "label": labels[arm],
                 "strategy": strategies[arm], "votes": f"{votes:,}"}
                for arm, votes in ((row.arm, row.wins), (row.against, row.losses))
            ]  # fmt: skip
            ties = f"{row.ties:,} tie{'s' * (row.ties != 1)}" if row.ties else ""
            link = votes.unit(row.arm, row.against, row.prompt_id, row.replica)
            pairs.append({"sides": sides, "ties": ties, "caption": sides[0]["caption"],
                          "votes": link})  # fmt: skip
        if pairs:
            name = f"{prefix}disputed-{slug(question, kind)}"
            views.append({"question": question_words(question), "simulated": kind == "simulated",
                          "pairs": pairs, "table": name})  # fmt: skip
    return views


def published_view(report: Report) -> dict[str, Any] | None:
    """Return the paper's tables, with ours beside Tables 1 and 2; None where no arm is guided as
    there.
    """
    if not any(set(part.inputs.arms["strategy"]) - {"imported"} for part in report.parts):
        return None
    several = len(report.parts) > 1
    beside, fids = [], []
    for part in report.parts:
        name = part.inputs.name if several else ""
        for row in rows_of(beside_paper(part.elo)):
            interval = bounds(row.low, row.high)
            beside.append({
                "part": name, "question": question_words(row.question),
                "simulated": row.rater_kind == "simulated",
                "strategy": row.strategy, "words": strategy_words(row.strategy),
                "published": signed(row.published, 1), "at": f"s = {row.published_scale:g}",
                "label": row.label, "elo": signed(row.elo),
                "interval": "" if interval == "–" else interval,
            })  # fmt: skip
        fids += _fids(part.inputs, name)
    tables = [
        {"name": name, "number": name[-1], "caption": caption, "columns": list(table.columns),
         "rows": table.to_numpy().tolist(), "ours": fids if name == "published-2" else []}
        for name, (caption, table) in published_tables().items()
    ]  # fmt: skip
    return {"beside": beside, "tables": tables, "source": SOURCE, "several": several}


def _fids(inputs: ReportInputs, name: str) -> list[list[str]]:
    """Return our lowest FID of each extractor, as rows below Table 2."""
    metrics = inputs.metrics
    if metrics is None:
        return []
    of_fid = metrics[(metrics["metric"] == "fid") & np.isfinite(metrics["value"])]
    rows = []
    for extractor, values in of_fid.groupby("extractor", sort=False):
        best = values.sort_values("value", kind="stable").iloc[0]
        where = ", ".join(filter(None, (name, f"{extractor}, n = {int(best['n']):,}")))
        rows.append([inputs.labels[best["arm"]], where, f"{best['value']:.2f}"])
    return rows


def _order_words(kind: str, heading: str) -> str:
    if not kind:
        return f"By {heading}, the mean over a prompt's samples."
    return (
        "By the share of votes an arm won on a prompt, ties half; prompts with few votes are drawn "
        "towards the arm's own share before they are ordered."
    )


def _said(row: Any, metric: str, kind: str) -> str:
    if kind:
        return f"won {row.wins:g} of {row.n:,} ({share(row.value)})"
    return f"{row.value:.{metric_info(metric).decimals}f}"


class Pictures:
    """Thumbnails and captions of a run's samples, each read when first asked for.

    Attributes:
        originals: links to the same pictures at full size.
        behind: of each ballot, in their order, the votes to link to.
    """

    def __init__(self, inputs: ReportInputs, originals: Originals, behind: list[Behind]) -> None:
        self.root, self.originals, self.behind = inputs.root, originals, behind
        self.captions = inputs.captions
        self.digests = {} if inputs.samples is None else sample_digests(inputs.samples)

    def of(self, arm: str, prompt: str, replica: str = "") -> dict[str, str]:
        """`uri` (empty without such a sample), `caption` (or the prompt's id) and `original`."""
        replicas = self.originals.paths.get((arm, prompt), {})
        path = replicas.get(replica) or next(iter(replicas.values()), None)
        uri = thumbnail(self.root / path, self.digests.get(path, "")) if path else ""
        return {"uri": uri, "caption": self.captions.get(prompt, prompt),
                **self.original(arm, prompt, replica)}  # fmt: skip

    def original(self, arm: str, prompt: str, replica: str = "") -> dict[str, str]:
        """`full`, a link to the picture at full size, and `name`, for the page's address."""
        return {
            "full": self.originals.of(arm, prompt, replica),
            "name": anchor(arm, prompt, replica),
        }
