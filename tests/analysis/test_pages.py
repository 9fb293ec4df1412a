"""The Python of the statistics pages runs and prints what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["explanation/statistics.md", "how-to/analyse-votes-in-python.md"])
def test_the_worked_examples_print_what_the_page_says(page):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=options)
    assert found.attempted > 20
    assert found.failed == 0
