"""A Ray cluster, or one node that Ray starts here."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from glide_eval.errors import GlideEvalError, UsageError

TOKEN = Path("~/.ray/auth_token")
RAY_ATTEMPTS = 3  # at work whose process is killed, or which fails
LOCAL = {"address": "local", "include_dashboard": False}


@contextlib.contextmanager
def ray_cluster(address: str) -> Generator[Any]:
    """Connect to a cluster, or start one node here, until the block ends.

    Args:
        address: as Ray takes it (`auto`, `10.0.0.1:6379`); empty starts a node here.

    Yields:
        The module `ray`.

    Raises:
        UsageError: Ray is not installed.
        GlideEvalError: no cluster is there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address and TOKEN.expanduser().exists():
        # As `ray start` does: where there is a token, the cluster that it started asks for it.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UsageError(
            "Ray is not installed here, which --on ray needs. Install it: "
            "pip install 'glide-eval[ray]'."
        ) from error
    try:
        # A node of our own needs no dashboard; on a cluster that is not ours to say.
        ray.init(**({"address": address} if address else LOCAL), log_to_driver=False)
    except Exception as error:  # Ray has no family of its own for these
        raise GlideEvalError(
            f"The Ray cluster {address or 'of this machine'} can't be used ({error}). Start one "
            "with `ray start --head`, with the Python and Ray versions of this environment and one "
            f"token ({TOKEN}) on every node, or leave out the address."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_workers(ray: Any, wanted: int | None) -> tuple[int, dict[str, Any]]:
    """Return how many workers to start, and what Ray is to give each of them.

    Args:
        ray: the module, connected.
        wanted: how many; None is one per GPU, or one per CPU where there is no GPU. More than
            there are share them, since Ray would wait for others to come for ever.
    """
    there = ray.cluster_resources()
    gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
    number = wanted or gpus or cpus
    threads = os.environ.get("OMP_NUM_THREADS", "1")  # else Ray decides, and bytes with it
    given = {
        "num_cpus": min(1.0, _share(cpus, number)),
        "num_gpus": min(1.0, _share(gpus, number)),
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": threads}},
    }
    return number, given


def _share(there: int, number: int) -> float:
    """Return a share so small that all of them fit: Ray counts in ten-thousandths."""
    return there * 10_000 // number / 10_000
