"""The methods section of a paper, with this study's numbers filled in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ballots import (
    ANSWERS,
    COLUMNS,
    QUESTIONS,
    counted,
    exclusions,
    left_out,
    names_raters,
)
from analysis.claims import property_names
from analysis.metrics import metric_info
from analysis.report.inputs import ReportInputs, defined
from analysis.report.strategies import series_words
from analysis.scores import BallotResult

from .wording import SIMULATED, asked, ballot_words, listed, lower_first, share, strip_control


def methods_paragraph(inputs: ReportInputs, results: list[BallotResult]) -> str:
    """Images, protocol, raters, votes, exclusions, model, intervals and metrics, as prose.

    Only what the inputs record is said; what a CSV of votes from elsewhere can't know is left out.
    """
    votes = inputs.votes
    sentences = [_images(inputs.arms, inputs.samples)]
    if results:
        sentences += [_protocol(votes, results), *_votes(votes, results), set_aside_words(votes)]
        sentences += [_model(), *_intervals(results)]
    elif votes is not None and len(votes):
        sentences.append(nothing_counts(votes))
    sentences += _metrics(inputs.metrics)
    return strip_control(" ".join(sentence for sentence in sentences if sentence))


def methods_notes(
    inputs: ReportInputs, results: list[BallotResult], correlations: pd.DataFrame
) -> list[str]:
    """Return what a reader must know to judge the numbers, one paragraph for each matter."""
    notes = []
    if results:
        resampled = results[0].resampled
        notes.append(
            "Scores σ minimise GLIDE's logistic loss (Nichol et al. 2021, appendix A.1) over all "
            "votes on a question: P(i beats j) = 1 / (1 + 10^((σj − σi) / 400)), a tie half a win "
            "for each, winners first. Arms that the votes don't link in both directions get no "
            "number, only their order."
        )
        notes.append(
            "Intervals of scores are for one comparison at a time; rank sets and the table of all "
            "pairs hold together (by the smallest p of correlated differences, drawn at "
            "random). The tables hold a percentile bootstrap of raters beside them "
            f"({len(resampled.draws):,} rounds, seed {resampled.seed})."
        )
    if results and inputs.votes is not None and not names_raters(inputs.votes):
        notes.append(
            "The votes do not say who gave them, so each counts as a rater of its own: intervals "
            "are too narrow if some people voted often."
        )
    if unused := unused_columns(inputs.votes):
        notes.append(
            f"Columns of the votes that no number uses: {listed(unused)}."
            + (" Every vote counts once, whatever its weight." if "weight" in unused else "")
        )
    if len(correlations):
        notes.append(
            "Rank correlations between a metric and Elo are over arms, with Bonett and Wright's "
            "interval; arms of one strategy are not independent, so read them as descriptions."
        )
    if inputs.metrics is not None and len(inputs.metrics):
        notes.append(
            "Metrics, their intervals and their notes are those of the run's metrics table. "
            "Values of different extractors, versions or references are never compared."
        )
    return notes


def unused_columns(votes: pd.DataFrame | None) -> list[str]:
    """Return the columns of the votes that readers do not know, in their order."""
    if votes is None:
        return []
    sides = {f"{name}_{side}" for name in property_names(votes) for side in ("left", "right")}
    known = {*(column.name for column in COLUMNS), "category", *sides}
    return [str(name) for name in votes if name not in known]


def nothing_counts(votes: pd.DataFrame | None) -> str:
    """Return why there is no score at all: no votes, or none that counts."""
    if votes is None or votes.empty:
        return "No votes yet."
    return f"No vote counts. {set_aside_words(votes)}"


def set_aside_words(votes: pd.DataFrame | None) -> str:
    """Return how many votes the scores leave out, and why."""
    if votes is None or votes.empty:
        return ""
    counts = left_out(votes)
    said = {
        "gold": "on gold pairs, whose answer is known",
        "practice": "on practice pairs",
        "revised": "that their raters changed later",
        "excluded": f"by the study's exclusion rules ({_reasons(votes)})",
    }
    told = [f"{count:,} {said[name]}" for name, count in counts.items()]
    if not told:
        return "No votes were excluded."
    kept = int(counted(votes).sum())
    return f"Left out were {listed(told)}; {kept:,} of {len(votes):,} votes count."


def _reasons(votes: pd.DataFrame) -> str:
    if "excluded" not in votes:
        return ""
    return listed([f"{count:,} {reason}" for reason, count in exclusions(votes).items()])


def _images(arms: pd.DataFrame, samples: pd.DataFrame | None) -> str:
    swept = []
    named = arms["series"].where(arms["series"].notna(), arms["strategy"])
    for series, of_one in arms.groupby(named, sort=False):
        words = lower_first(series_words(str(series)))
        scales = [f"{scale:g}" for scale in sorted(of_one["scale"].dropna())]
        if scales:
            words += f" at scale{'s' * (len(scales) > 1)} {listed(scales)}"
        elif len(of_one) > 1:
            words = f"{len(of_one)} {words}"
        swept.append(words)
    told = f" ({'; '.join(swept)})" if set(arms["strategy"]) - {"imported"} else ""
    sentence = f"We compared {_count(len(arms), 'arm')}{told}"
    if samples is not None and len(samples):
        prompts = samples["prompt_id"].nunique()
        sentence += f" on {_count(prompts, 'prompt')}, {len(samples):,} images in all"
    if {"sampler", "steps"} <= set(arms.columns):
        used = arms.dropna(subset=["sampler", "steps"])[["sampler", "steps"]].astype(str)
        used["sampler"] = used["sampler"].str.upper()
        ways = used.drop_duplicates().agg(" with ".join, axis=1)
        if len(ways):
            sentence += f", sampled by {listed([f'{way} steps' for way in ways])}"
    return sentence + "."


def _protocol(votes: pd.DataFrame | None, results: list[BallotResult]) -> str:
    keys = list(dict.fromkeys(result.ballot.question for result in results))
    about = listed([_asked(key) for key in keys])
    if votes is None or "assignment" not in votes:
        return f"Votes on pairs of arms ({about}) were collected elsewhere."
    return (
        "Raters saw two images of one prompt side by side, on sides drawn at random and without "
        f"the arms' names, and were asked {about}; they chose {_choices(votes)}."
    )


def _asked(key: str) -> str:
    """Return the words of one of the usual questions; others are named by their key."""
    usual = QUESTIONS.get(key)
    return lower_first(usual.text.rstrip("?")) if usual else f"about {asked(key)}"


def _choices(votes: pd.DataFrame) -> str:
    """Return what raters could choose: the usual answers, and others that occur."""
    given = set(votes["answer"])
    names = [a.choice for a in ANSWERS.values() if a.usual or a.name in given]
    return listed(names, "or")


def _votes(votes: pd.DataFrame | None, results: list[BallotResult]) -> list[str]:
    named = votes is None or names_raters(votes)
    sentences = [_ballot_sentence(result, named) for result in results]
    if votes is not None and "created_at" in votes:
        # Simulated votes carry made-up times, so that they repeat byte for byte.
        of_people = votes.loc[votes["rater_kind"] == "person", "created_at"]
        days = of_people.dropna().astype(str).str[:10]
        if len(days):
            first, last = days.min(), days.max()
            when = f"on {first}" if first == last else f"between {first} and {last}"
            sentences.append(f"Votes were cast {when}.")
    return sentences


def _ballot_sentence(result: BallotResult, named: bool) -> str:
    ballot = result.ballot
    if not named:
        return f"For {asked(ballot.question)}, {_count(ballot.votes, 'vote')} were given."
    each = np.bincount(ballot.rater)
    who = SIMULATED if ballot.simulated else "raters"
    who = who if ballot.raters != 1 else who[:-1]
    ties = share(float(ballot.tied.mean()))
    sentence = (
        f"For {asked(ballot.question)}, {ballot.raters:,} {who} gave "
        f"{_count(ballot.votes, 'vote')} (median {np.median(each):g} a rater, "
        f"{each.min():,} to {each.max():,}; {ties} ties"
    )
    prompts = 0 if ballot.prompt is None else len(np.unique(ballot.prompt))
    return sentence + (f"; {_count(prompts, 'prompt')})." if prompts else ").")


def _model() -> str:
    return (
        "A tie counts as half a win for each arm. Elo scores are the maximum-likelihood fit of "
        "GLIDE's logistic model to all votes on a question."
    )


def _intervals(every: list[BallotResult]) -> list[str]:
    """Return one sentence per way in which intervals were made."""
    ways: dict[str, list[BallotResult]] = {}
    for result in every:
        ways.setdefault(result.intervals.method, []).append(result)
    sentences = []
    for method, results in ways.items():
        freedom = list(dict.fromkeys(f"{r.intervals.df:g}" for r in results if r.intervals.df))
        degrees = "degree" if freedom == ["1"] else "degrees"
        least = f" (cluster-robust; t with at least {listed(freedom)} {degrees} of freedom)"
        t = least if freedom else ""
        about = listed([lower_first(ballot_words(r.ballot.question, r.ballot.rater_kind))
                         for r in results])  # fmt: skip
        of = "" if len(ways) == 1 else f" for {about}"
        sentences.append(f"Intervals{of} are 95%, {method}{t}.")
    return sentences


def _metrics(metrics: pd.DataFrame | None) -> list[str]:
    if metrics is None:
        return []
    sentences = []
    for extractor, of_one in defined(metrics).groupby("extractor", sort=False):
        names = listed([metric_info(metric).label for metric in dict.fromkeys(of_one["metric"])])
        low, high = int(of_one["n"].min()), int(of_one["n"].max())
        count = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        by = f" by the extractor {extractor}" if extractor else ""
        sentence = f"{names} were measured{by} on {count} images an arm"
        if "fingerprint" in of_one:
            marks = [mark for mark in dict.fromkeys(of_one["fingerprint"]) if mark]
            sentence += f" (fingerprint {', '.join(marks)})" if marks else ""
        if "reference" in of_one:
            against = [text for text in dict.fromkeys(of_one["reference"]) if text]
            sentence += f", against {listed(against)}" if against else ""
        sentences.append(sentence + ".")
    return sentences


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
