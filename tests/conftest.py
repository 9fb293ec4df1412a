"""Fixtures and rules for every test."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from tests import shapes

# Each process computes with one thread, as does what it starts: the pools of several workers would
# wait for each other, and kernels split over threads round by a picture's place in its batch. Set
# before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is no fault of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Shapes that signatures state are checked at every call that a test makes.
SHAPED = (
    "analysis.ballots.win_matrix",
    "analysis.metrics.against_elo",
    "analysis.planning.adaptive",
    "analysis.raters.agreement",
    "analysis.raters.measure",
    "analysis.scores.all_pairs",
    "analysis.scores.curves",
    "analysis.scores.elo",
    "analysis.scores.intervals",
    "analysis.scores.shares",
    "generator.clip",
    "generator.diffusion",
    "generator.guidance",
    "generator.layers",
    "generator.pipeline",
    "generator.sampling",
    "generator.schedules",
    "generator.seeds",
    "generator.text_unet",
    "generator.winograd",
)
# All metrics but their records, whose protocols would have to be evaluated for a check.
_METRICS = Path(__file__).parents[1] / "glide_eval" / "metrics"
SHAPED += tuple(
    f"glide_eval.metrics.{path.stem}"
    for path in sorted(_METRICS.glob("*.py"))
    if path.stem not in ("__init__", "record", "catalogue")
)
install_import_hook(SHAPED, f"{shapes.__name__}.checked")

NO_SKIP = os.environ.get("GLIDE_EVAL_NO_SKIP") == "1"  # set by .ci/run


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_browser() -> bool:
    names = ("chromium", "chromium-browser", "google-chrome")
    return any(map(shutil.which, names)) and shutil.which("chromedriver") is not None


def _has_postgres() -> bool:
    return bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def _has_nginx() -> bool:
    return (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")) is not None


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: browsers, servers and disks keep workers waiting."""
    return (os.cpu_count() or 1) + 1


# What a marked test needs of the machine: whether it is there, and what to say where it isn't.
NEEDS = {
    "gpu": (_has_gpu, "needs a CUDA device"),
    "browser": (_has_browser, "needs Chromium (Debian: apt install chromium chromium-driver)"),
    "postgres": (_has_postgres, "needs a PostgreSQL server (Debian: apt install postgresql)"),
    "nginx": (_has_nginx, "needs nginx (Debian: apt install nginx)"),
}


@functools.cache
def _missing(marker: str) -> str:
    """Why tests of this marker can't run here; empty where they can."""
    available, reason = NEEDS[marker]
    return "" if available() else reason


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker) and _missing(marker):
            pytest.skip(_missing(marker))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _refuse_skip((yield))


def _refuse_skip(report):
    """In CI a test that skips itself has failed: what it needs must be installed there.

    A CUDA device can't be installed, so tests that need one may skip there too.
    """
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if str(reason) != f"Skipped: {NEEDS['gpu'][1]}":
            report.outcome = "failed"
            report.longrepr = f"GLIDE_EVAL_NO_SKIP=1 and this was skipped: {reason}"
    return report
