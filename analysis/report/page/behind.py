"""The votes behind the numbers: pages beside the report, which its cells and pictures link to.

A report's own page stays one file that needs nothing. The votes and their pictures at full size
are too many for it: they stand in `votes/`, in pages of a few hundred votes, and the pictures stay
where the run has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from analysis.ballots import ANSWERS, counted, left_wins, rows_of
from analysis.report.contents import BallotPart, Part
from analysis.report.inputs import ReportInputs
from analysis.report.words.wording import question_words
from analysis.scores import READABLE

FOLDER = "votes"  # beside the page
MOST = 3000  # votes of one ballot in the pages; a pair of arms with many shows its first ones
ON_A_PAGE = 300  # votes, about
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")
_PAIR = ["first", "second"]
_UNIT = [*_PAIR, "prompt", "replica"]


class Originals:
    """Where pictures at full size lie, as links from a page in the report's folder.

    Args:
        inputs: of the part.
        out_dir: the report's folder; None links to no picture.
    """

    def __init__(self, inputs: ReportInputs, out_dir: Path | None) -> None:
        self.out_dir, self.root, self.folder = out_dir, inputs.root, inputs.images
        self.captions = inputs.captions
        self.links: dict[tuple[str, str], str] = {}
        self.paths: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows_of(inputs.samples) if inputs.samples is not None else ():
            of_prompt = self.paths.setdefault((str(row.arm), str(row.prompt_id)), {})
            of_prompt[str(row.replica)] = str(row.path)

    def of(self, arm: str, prompt: str, replica: str = "", inside: str = "") -> str:
        """Return a link to a sample; empty where there is none, or its file is gone.

        Args:
            arm: the arm.
            prompt: the prompt's id.
            replica: empty takes the first.
            inside: the folder, within the report's, of the page that links.
        """
        replicas = self.paths.get((arm, prompt), {})
        path = replicas.get(replica) or next(iter(replicas.values()), "")
        return self._link(self.root, path, inside) if path else ""

    def given(self, path: Any, inside: str = "") -> str:
        """Return a link to an image that a vote names: an address, or a file beside the votes."""
        if not isinstance(path, str) or not path:
            return ""
        if _URL.match(path):
            return path if path.startswith(("https://", "http://")) else ""
        return "" if self.folder is None else self._link(self.folder, path, inside)

    def _link(self, root: Path, path: str, inside: str) -> str:
        """Return a relative link, if the file is there and below the folder that holds it."""
        if (path, inside) not in self.links:
            self.links[path, inside] = self._found(root, path, inside)
        return self.links[path, inside]

    def _found(self, root: Path, path: str, inside: str) -> str:
        if self.out_dir is None:
            return ""
        base = root.resolve()
        target = (base / path).resolve()
        if not target.is_relative_to(base) or not target.is_file():
            return ""
        return quote(os.path.relpath(target, (self.out_dir / inside).resolve()).replace("\\", "/"))


@dataclass(frozen=True)
class Behind:
    """The votes of one ballot, sorted into pages.

    Attributes:
        name: of its index, without `.html`, in `FOLDER`.
        ballot: whose votes.
        votes: one row per vote shown: first, second (the two arms, the better one first), prompt,
            replica, left (the arm on the left), answer, rater (a number), seconds, time, image_1,
            image_2, page.
        given: (first, second) → votes of that pair in all.
    """

    name: str
    ballot: BallotPart
    votes: pd.DataFrame
    given: dict[tuple[str, str], int]

    def pair(self, arm: str, against: str) -> str:
        """Return a link to the votes on two arms, from the report's page; empty without votes."""
        for key in ((arm, against), (against, arm)):
            if key in self._pages:
                return self._to(self._pages[key], anchor(*key))
        return ""

    def unit(self, arm: str, against: str, prompt: str, replica: str) -> str:
        """Return a link to the votes on two samples; to those on their arms where there is none."""
        for first, second in ((arm, against), (against, arm)):
            page = self._units.get((first, second, prompt, replica))
            if page is not None:
                return self._to(page, anchor(first, second, prompt, replica))
        return self.pair(arm, against)

    def prompt(self, prompt: str) -> str:
        """Return a link to all votes on a prompt, in the index; empty where none is shown."""
        return f"{FOLDER}/{self.name}.html#{anchor(prompt)}" if prompt in self._prompts else ""

    @cached_property
    def _units(self) -> dict[tuple[str, ...], int]:
        """Two arms, prompt and replica → page."""
        first = self.votes.drop_duplicates(_UNIT)
        return dict(zip(map(tuple, first[_UNIT].to_numpy()), first["page"], strict=True))

    @cached_property
    def _pages(self) -> dict[tuple[str, ...], int]:
        """Two arms → the first page of their votes."""
        first = self.votes.drop_duplicates(_PAIR)
        return dict(zip(map(tuple, first[_PAIR].to_numpy()), first["page"], strict=True))

    @cached_property
    def _prompts(self) -> set[str]:
        return set(self.votes["prompt"]) - {""}

    def _to(self, page: int, target: str) -> str:
        return f"{FOLDER}/{self.name}-{page}.html#{target}"


def anchor(*names: str) -> str:
    """Return the id of a place in a page, the same in every report of the same names."""
    return quote("~".join(filter(None, names)), safe="")


def behind(part: Part) -> list[Behind]:
    """Return the votes behind each ballot of a part, in the order of its ballots."""
    votes = part.inputs.votes
    if votes is None:
        return []
    kept = votes.assign(rater=pd.factorize(votes["rater"].astype(str))[0] + 1)[counted(votes)]
    return [_of_ballot(ballot, ballot.of(kept), part.prefix) for ballot in part.ballots]


def _of_ballot(ballot: BallotPart, votes: pd.DataFrame, prefix: str) -> Behind:
    order = list(ballot.result.relative()["arm"])[:READABLE]
    place = {arm: number for number, arm in enumerate(order)}
    sides = [votes[side].astype(str).map(place) for side in ("arm_left", "arm_right")]
    both = sides[0].notna() & sides[1].notna()
    votes, left, right = votes[both], *(side[both].astype(int).to_numpy() for side in sides)
    names, none = np.array(order, object), np.full(len(votes), "", object)
    turned = left > right
    images = [_text(votes, side, none) for side in ("image_left", "image_right")]
    shown = pd.DataFrame({
        "first": names[np.minimum(left, right)], "second": names[np.maximum(left, right)],
        "code": np.minimum(left, right) * len(order) + np.maximum(left, right),
        "prompt": _text(votes, "prompt_id", none), "replica": _text(votes, "replica", none),
        "caption": _text(votes, "caption", none), "left": names[left],
        "answer": votes["answer"].astype(str).to_numpy(), "wins": left_wins(votes),
        "rater": votes["rater"].to_numpy(), "time": _text(votes, "created_at", none),
        "seconds": votes["seconds"].to_numpy(np.float64) if "seconds" in votes else np.nan,
        "image_1": np.where(turned, images[1], images[0]),
        "image_2": np.where(turned, images[0], images[1]),
    })  # fmt: skip
    given = shown.groupby("code").size()
    nth = shown.groupby("code").cumcount()
    shown = shown[nth < _most_each(given.to_numpy())]
    shown = shown.sort_values(["code", "prompt", "replica"], kind="stable", ignore_index=True)
    codes = np.asarray(given.index, np.int64)
    counts = {
        (order[code // len(order)], order[code % len(order)]): int(count)
        for code, count in zip(codes, given, strict=True)
    }
    return Behind(f"{prefix}{ballot.slug}", ballot, shown.assign(page=_pages(shown)), counts)


def _text(votes: pd.DataFrame, name: str, none: np.ndarray) -> np.ndarray:
    if name not in votes:
        return none
    column = votes[name]
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)


def _most_each(given: np.ndarray) -> int:
    """Return how many votes of each pair are shown, so that all pairs have `MOST` together."""
    if given.sum() <= MOST:
        return int(given.max(initial=0))
    low, high = 1, int(given.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(given, middle).sum() <= MOST else (low, middle - 1)
    return low


def _pages(shown: pd.DataFrame) -> np.ndarray:
    """(N,) the page of each vote: those on two samples stay together."""
    if shown.empty:
        return np.zeros(0, int)
    unit = (shown[["code", "prompt", "replica"]].ne(shown[["code", "prompt", "replica"]].shift())
            .any(axis=1).cumsum().to_numpy())  # fmt: skip
    starts = np.searchsorted(unit, unit)  # the row at which each vote's unit begins
    return starts // ON_A_PAGE + 1


def pages_view(found: Behind, part: Part, originals: Originals) -> Iterator[dict[str, Any]]:
    """Yield each page of a ballot's votes, ready for the template."""
    labels, strategies = part.inputs.labels, part.inputs.strategies
    shown = found.votes.groupby(_PAIR).size().to_dict()
    pages = int(found.votes["page"].max())
    for number, votes in groupby(rows_of(found.votes), key=attrgetter("page")):
        pairs: list[dict[str, Any]] = []
        for (first, second), of_pair in groupby(votes, key=attrgetter(*_PAIR)):
            units = groupby(of_pair, key=attrgetter("prompt", "replica"))
            pairs.append({
                "id": anchor(first, second),
                "arms": [{"label": labels[a], "strategy": strategies[a]} for a in (first, second)],
                "left_out": found.given[first, second] - shown[first, second],
                "units": [_unit(list(rows), labels, originals) for _, rows in units],
            })  # fmt: skip
        yield {**_heading(found), "pairs": pairs, "number": number, "pages": pages}


def index_view(found: Behind, part: Part) -> dict[str, Any]:
    """Return the index of a ballot's votes: by pairs of arms and by prompts."""
    labels, captions = part.inputs.labels, part.inputs.captions
    pairs = [
        {"words": f"{labels[a]} and {labels[b]}", "votes": f"{found.given[a, b]:,}",
         "href": _here(found.pair(a, b))}
        for a, b in found.votes[_PAIR].drop_duplicates().itertuples(index=False, name=None)
    ]  # fmt: skip
    counts = found.votes[found.votes["prompt"] != ""].groupby(_UNIT, sort=False).size()
    units: dict[str, list[dict[str, Any]]] = {}
    for (a, b, prompt, replica), count in zip(counts.index.tolist(), counts, strict=True):
        link = _here(found.unit(a, b, prompt, replica))
        unit = {"words": f"{labels[a]} and {labels[b]}", "votes": count, "href": link}
        units.setdefault(prompt, []).append(unit)
    prompts = [
        {"id": anchor(prompt), "words": captions.get(prompt, prompt), "units": units[prompt]}
        for prompt in sorted(units)
    ]
    return {**_heading(found), "index": pairs, "prompts": prompts}


def _heading(found: Behind) -> dict[str, Any]:
    return {"name": found.name, "question": question_words(found.ballot.question),
            "simulated": found.ballot.simulated}  # fmt: skip


def _here(link: str) -> str:
    return link.removeprefix(f"{FOLDER}/")


def _unit(rows: list[Any], labels: dict[str, str], originals: Originals) -> dict[str, Any]:
    """Return the votes on two samples, and the two pictures."""
    head = rows[0]
    caption = originals.captions.get(head.prompt) or head.caption
    sides: list[dict[str, Any]] = []
    for arm, image in ((head.first, head.image_1), (head.second, head.image_2)):
        uri = originals.of(arm, head.prompt, head.replica, FOLDER) or originals.given(image, FOLDER)
        away = bool(_URL.match(uri))
        sides.append(
            {
                "label": labels[arm],
                "uri": "" if away else uri,
                "away": uri if away else "",
                "name": anchor(arm, head.prompt, head.replica),
            }
        )
    return {
        "id": anchor(head.first, head.second, head.prompt, head.replica),
        "caption": caption or head.prompt,
        "sample": ", ".join(_words(head.prompt if caption else "", head.replica)),
        "sides": sides,
        "votes": [_vote(row, labels) for row in rows],
    }  # fmt: skip


def _words(prompt: str, replica: str) -> Sequence[str]:
    return [
        *([f"prompt {prompt}"] if prompt else []), *([f"replica {replica}"] if replica else [])
    ]  # fmt: skip


def _vote(row: Any, labels: dict[str, str]) -> dict[str, str]:
    right = row.second if row.left == row.first else row.first
    chosen = {1.0: (row.left, "on the left"), 0.0: (right, "on the right")}.get(row.wins)
    answer = f"{labels[chosen[0]]}, {chosen[1]}" if chosen else ANSWERS[row.answer].label
    return {
        "rater": f"rater {row.rater}",
        "answer": answer,
        "seconds": "" if np.isnan(row.seconds) else f"{row.seconds:.1f} s",
        "time": row.time[:16].replace("T", " "),
    }
