"""One report written once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.report import write_report
from analysis.report.figures import theme
from tests.analysis.reports import draw_votes, fake_inputs

theme.CHECKED = True  # every chart of the tests against Vega-Lite's schema


@pytest.fixture(scope="session")
def simulated_report(tmp_path_factory) -> Path:
    """The page of a fake run with simulated votes on both questions."""
    root = tmp_path_factory.mktemp("run")
    votes = pd.concat([draw_votes("simulated", q) for q in ("photorealism", "caption_similarity")])
    return write_report(fake_inputs(root, votes), root / "report")
