"""Names that look alike, and names that show as others."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from analysis import read_votes
from analysis.errors import AnalysisWarning, VotesError


def votes(first: str, second: str) -> pd.DataFrame:
    row = {"question": "q", "arm_left": first, "arm_right": second, "answer": "left", "rater": "r"}
    return pd.DataFrame([row])


@pytest.mark.parametrize(
    "other",
    ["Cafe\u0301 ", "  café", "CAFÉ", "café\u00a0", "ca\u200bfé", "cafe\u0301", "\ufeffcafé"],
    ids=ascii,
)
def test_names_that_nobody_can_tell_apart_are_named(other):
    with pytest.warns(AnalysisWarning, match="differ only by spaces, capitals or invisible"):
        read = read_votes(votes("café", other))
    assert set(read["arm_left"].cat.categories) == {"café", other}  # and still two arms


def test_other_names_give_no_warning():
    with warnings.catch_warnings(action="error"):
        read_votes(votes("cfg-1.5", "cfg-15"))
        read_votes(votes("a b", "ab"))


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\x00", "\x1b"], ids=ascii)
def test_a_character_that_shows_a_name_as_another_is_refused(character):
    with pytest.raises(VotesError, match=rf"holds the character U\+{ord(character):04X}"):
        read_votes(votes(f"a{character}b", "c"))
