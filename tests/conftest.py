"""Fixtures and rules for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# In tests every call of a metric checks the shapes its signature states. Not of its record, whose
# protocols would have to be evaluated for a check.
install_import_hook(
    [
        f"glide_eval.metrics.{path.stem}"
        for path in (Path(__file__).parents[1] / "glide_eval" / "metrics").glob("*.py")
        if path.stem not in ("__init__", "record", "catalogue")
    ],
    "beartype.beartype",
)

# `make test` runs a process a core. Each then computes with one thread, as does what it starts: two
# of torch's thread pools on two cores wait for each other. Set before anything imports torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

NO_SKIP = os.environ.get("GLIDE_EVAL_NO_SKIP") == "1"  # set by .ci/run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _refuse_skip((yield))


def _refuse_skip(report):
    """In CI a test that skips itself has failed: what it needs must be installed there."""
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"GLIDE_EVAL_NO_SKIP=1 and this was skipped: {reason}"
    return report
