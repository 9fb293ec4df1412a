"""Which images of a run take no part in a study: those on a list, or with certain scores."""

from __future__ import annotations

from pathlib import Path

from glide_eval.errors import ConfigError
from glide_eval.files import RunFolder, Sample, read_table
from study_app.errors import StudyUsageError
from study_app.rules import LeaveOutTable

Key = tuple[str, str, int]  # arm, prompt id, replica


def left_out(samples: list[Sample], run: RunFolder, rules: LeaveOutTable, base: Path) -> set[Key]:
    """Return the images that the rules leave out.

    Args:
        samples: of the arms that take part, under the run's own names.
        run: whose they are.
        rules: `[runs.leave_out]` of the study file.
        base: the folder that paths in the study file are relative to.

    Raises:
        StudyUsageError: a file can't be read, or doesn't know all of the samples.
    """
    known = {(sample.arm, sample.prompt_id, sample.replica) for sample in samples}
    out: set[Key] = set()
    if rules.list is not None:
        out |= {_key(row, rules.list) for row in _rows(base / rules.list)} & known
    if rules.above or rules.below:
        path = base / rules.scores if rules.scores else run.scores_path
        for metric, scores in _scores(path, {*rules.above, *rules.below}).items():
            _require_all(path, metric, known - scores.keys())
            most, least = rules.above.get(metric), rules.below.get(metric)
            out |= {
                key
                for key in known
                if (most is not None and scores[key] > most)
                or (least is not None and scores[key] < least)
            }
    return out


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return read_table(path, "arm")
    except ConfigError as error:
        raise StudyUsageError(f"`leave_out` in the study file: {error}") from error


def _scores(path: Path, metrics: set[str]) -> dict[str, dict[Key, float]]:
    found: dict[str, dict[Key, float]] = {metric: {} for metric in sorted(metrics)}
    for row in _rows(path):
        if row.get("metric") in metrics:
            try:
                found[row["metric"]][_key(row, path)] = float(row["value"])
            except (KeyError, ValueError) as error:
                raise _no_table(path, "arm, prompt_id, replica, metric, value", error) from error
    return found


def _key(row: dict[str, str], path: Path | str) -> Key:
    try:
        return row["arm"], row["prompt_id"], int(row["replica"])
    except (KeyError, ValueError) as error:
        raise _no_table(path, "arm, prompt_id, replica", error) from error


def _no_table(path: Path | str, columns: str, error: Exception) -> StudyUsageError:
    return StudyUsageError(
        f"`leave_out` in the study file: {path} has a row that can't be read ({error!r}); expected "
        f"the columns {columns}."
    )


def _require_all(path: Path, metric: str, missing: set[Key]) -> None:
    if missing:
        arm, prompt, replica = min(missing)
        raise StudyUsageError(
            f"{path} has no {metric} for {len(missing):,} of the images, such as {arm}, prompt "
            f"{prompt}, replica {replica}: whether `leave_out` means them is unknown. Score them "
            "all (`glide-eval metrics RUN`, or your own classifier's CSV)."
        )
