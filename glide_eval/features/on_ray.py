"""Looking at a run's images on a Ray cluster, or on one node that Ray starts here.

The run's images are shared out as `--shard` does. Each worker keeps its features in the run folder,
from which the values are then computed; so a worker that is killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glide_eval.errors import GlideEvalError
from glide_eval.extractors import Extractor
from glide_eval.files import RAY_ATTEMPTS, RunFolder, Share, count, ray_cluster, ray_workers, some

from .of_run import extract_run, samples_by_arm

Load = Callable[[], Sequence[Extractor]]


def look_on_ray(
    load: Load, runs: Sequence[RunFolder], address: str = "", workers: int | None = None
) -> None:
    """Have workers keep the features of all images of these runs in their folders.

    Args:
        load: loads the extractors, in each worker.
        runs: with a folder that every worker can reach.
        address: see `ray_cluster`.
        workers: see `ray_workers`.

    Raises:
        UsageError: Ray is not installed.
        GlideEvalError: no cluster is there, or workers failed; what others found is kept.
    """
    with ray_cluster(address) as ray:
        number, given = ray_workers(ray, workers)
        # Again after a killed process only: an image that can't be read stays so.
        look = ray.remote(_look).options(**given, max_retries=RAY_ATTEMPTS - 1)
        answers = [
            look.remote(load, run.root.resolve(), Share(index, number))
            for run in runs
            for index in range(1, number + 1)
        ]
        failed = [error for answer in answers if (error := _failure(ray, answer))]
    if len(failed) == 1 and isinstance(failed[0], GlideEvalError):
        raise failed[0]
    if failed:
        told = some(list(dict.fromkeys(map(str, failed))), between="; ")
        raise GlideEvalError(
            f"{count(len(failed), 'worker')} of {len(answers)} failed: {told}. The features "
            "that the others found are kept. Mend the cause, then run the same command again."
        )


def _look(load: Load, root: Path, share: Share) -> None:
    """Look at a share of a run's images."""
    run = RunFolder.open(root)
    extract_run(run, samples_by_arm(run), load(), share)


def _failure(ray: Any, answer: Any) -> Exception | None:
    try:
        ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        return error.cause or error
    except ray.exceptions.RayError as error:
        return error
    return None
