"""`--shard I/N`: the share of the work that this process does, as typed or as a scheduler says."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from glide_eval.errors import UsageError
from glide_eval.files import Share

shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Do the I-th of N shares, beside other tasks; the last one in writes the result.  "
    "[default: what SLURM_ARRAY_TASK_ID or torchrun's RANK say; 1/1 is all]",
)

on_option = click.option(
    "--on",
    metavar="ray[:ADDRESS]",
    callback=lambda _context, _option, on: None if on is None else _address(on),
    help="Work on a Ray cluster (`ray:auto`, `ray:HOST:PORT`), or on one node that it starts here.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="With --on: how many workers.  [default: one per GPU, or per CPU without GPUs]",
)


def require_on(address: str | None, workers: int | None) -> None:
    """Refuse `--workers` without `--on`.

    Raises:
        UsageError: see above.
    """
    if address is None and workers is not None:
        raise UsageError("--workers is of --on ray; this process is one.")


def _address(on: str) -> str:
    """Return the cluster's address; empty for a node of our own."""
    name, _, address = on.partition(":")
    if name != "ray":
        raise UsageError(f"--on {on}: expected `ray` or `ray:ADDRESS`, such as ray:auto.")
    return address


def share_of(shard: str | None, environ: Mapping[str, str] = os.environ) -> Share | None:
    """Return the share of this process: of the option, a Slurm array, or torchrun, in this order.

    None is all of the work.

    Raises:
        UsageError: it is no share.
    """
    if shard is not None:
        return _whole(_parsed("--shard", *shard.partition("/")[::2]))
    try:
        return _whole(_of_slurm(environ) or _of_torchrun(environ))
    except ValueError as error:
        raise UsageError(
            f"The environment's task numbers can't be read ({error}): expected integers in "
            "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, or in RANK and WORLD_SIZE. Say "
            "--shard I/N, or --shard 1/1 for all of it."
        ) from error


def _of_slurm(environ: Mapping[str, str]) -> Share | None:
    if "SLURM_ARRAY_TASK_ID" not in environ or "SLURM_ARRAY_TASK_COUNT" not in environ:
        return None
    number, of = int(environ["SLURM_ARRAY_TASK_ID"]), environ["SLURM_ARRAY_TASK_COUNT"]
    first = int(environ.get("SLURM_ARRAY_TASK_MIN", 1))
    step = int(environ.get("SLURM_ARRAY_TASK_STEP", 1))
    return _parsed("Slurm's task", str((number - first) // step + 1), of)


def _of_torchrun(environ: Mapping[str, str]) -> Share | None:
    if "RANK" not in environ or "WORLD_SIZE" not in environ:
        return None
    return _parsed("torchrun's task", str(int(environ["RANK"]) + 1), environ["WORLD_SIZE"])


def _parsed(name: str, index: str, of: str) -> Share:
    if not (index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of)):
        raise UsageError(f"{name} {index}/{of}: expected I/N with 1 ≤ I ≤ N, such as 2/8.")
    return Share(int(index), int(of))


def _whole(share: Share | None) -> Share | None:
    return None if share is None or share.of == 1 else share
