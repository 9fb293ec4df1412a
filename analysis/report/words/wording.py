"""Numbers and names as the report prints them, the same in figures, tables and sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

SIMULATED = "simulated raters"


def question_words(question: str) -> str:
    """`caption_similarity` → `Caption similarity`."""
    words = question.replace("_", " ")
    return words[:1].upper() + words[1:]


def asked(question: str) -> str:
    """Return the question inside a sentence: `caption similarity`, or `“Which is nicer?”`."""
    words = question_words(question)
    return lower_first(words) if re.fullmatch(r"[\w ]+", words) else f"“{words}”"


def heading_words(question: str) -> str:
    """Return the question before a sentence: `Caption similarity.`, `Which is nicer?`."""
    words = question_words(question)
    return words if words.endswith((".", "?", "!")) else f"{words}."


def rater_words(kind: str) -> str:
    """Return who voted, for subtitles."""
    return SIMULATED if kind == "simulated" else "people's votes"


def voters(part: str, kind: str) -> str:
    """Return a run or study, marked where its raters are simulated."""
    return f"{part} ({SIMULATED})" if kind == "simulated" else part


def ballot_words(question: str, kind: str) -> str:
    """Return the question, marked where its raters are simulated."""
    return question_words(question) + (f" ({SIMULATED})" if kind == "simulated" else "")


def slug(question: str, kind: str) -> str:
    """Return the ballot as part of a file name; two ballots never share one."""
    plain = "-" not in question and not question.endswith("_simulated")
    stem = file_stem(question)
    named = stem.replace("_", "-") if plain else f"{stem}-{_digest(question)}"
    return named + ("-simulated" if kind == "simulated" else "")


def file_stem(name: str) -> str:
    """Return a name as part of a file name: short, safe anywhere, and of no other name.

    Examples:
        >>> file_stem("caption_similarity"), file_stem("Which is nicer?")
        ('caption_similarity', 'which-is-nicer-e283')
    """
    safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:40]
    return safe if safe == name else f"{safe}-{_digest(name)}".lstrip("-")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8")).hexdigest()[:4]


def percent(probability: float) -> str:
    """`68` for 0.683; a dash where undefined; never a rounded 0 or 100."""
    if np.isnan(probability):
        return "–"
    if 0 < probability < 0.005:
        return "<1"
    if 0.995 < probability < 1:
        return ">99"
    return f"{100 * probability:.0f}"


def share(value: float) -> str:
    """`68%`; a dash where undefined."""
    return "–" if np.isnan(value) else f"{percent(value)}%"


def strip_control(text: str) -> str:
    """Return the text on one line: line breaks and control characters become spaces."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text)


def correlation_words(row: pd.Series) -> str:
    """`ρ = −0.93 (−0.99 to −0.70), 7 arms`, or why there is none."""
    if np.isnan(row["spearman"]):
        return f"no correlation: {row['reason']}"
    rho = f"ρ = {signed(row['spearman'], 2)}"
    bounds = f" ({signed(row['low'], 2)} to {signed(row['high'], 2)})"
    return rho + (bounds if np.isfinite(row["low"]) else "") + f", {row['n']} arms"


def signed(value: float, decimals: int = 0) -> str:
    """Return a number with a true minus sign; ±∞ as such, a dash where undefined."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def bounds(low: float, high: float, decimals: int = 0) -> str:
    """`98 to 166`; a dash where undefined."""
    if np.isnan(low) or np.isnan(high):
        return "–"
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def lower_first(words: str) -> str:
    """Return the words inside a sentence: `Unguided` → `unguided`, but `CLIP` stays."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`: words in a sentence."""
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def measure_words(measure: str) -> str:
    """Return a measure of `study_conduct` in words."""
    return {
        "votes": "Votes",
        "raters": "Raters",
        "votes_per_rater": "Votes per rater (median)",
        "tie_share": "Share of ties",
        "side_bias": "Share of left among decided votes (50% is no bias)",
        "seconds_p10": "Response time, 10% are faster than",
        "seconds_p50": "Response time, median",
        "seconds_p90": "Response time, 10% are slower than",
        "raw_agreement": "Agreement of two raters on one pair",
        "krippendorff_alpha": "Krippendorff's α",
        "fast_share": "Votes in less than a second",
        "repeat_consistency": "Same answer when a pair came again",
        "gold_accuracy": "Right answers on gold pairs",
    }.get(measure, measure.replace("_", " "))


def probability_words(p: float) -> str:
    """`0.031`, `<0.001`; a dash where undefined."""
    if np.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def p_words(p: float) -> str:
    """Return a p-value within a sentence: `p = 0.031`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {probability_words(p)}"
