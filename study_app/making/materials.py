"""What a study is made of: the arms and samples of one or several runs that take part."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glide_eval.files import Arm, RunFolder, Sample
from study_app.errors import StudyUsageError
from study_app.rules import PromptsTable, RunTable, StudyDesign

from .images import require_samples
from .leave_out import left_out


@dataclass(frozen=True, slots=True)
class Materials:
    """Arms and samples of all runs together; each sample's `path` is absolute.

    Attributes:
        arms: that take part.
        samples: that take part.
        left_out: images of these arms that the design leaves out.
    """

    arms: list[Arm]
    samples: list[Sample]
    left_out: int = 0


def gather(design: StudyDesign, base: Path, run: RunFolder | None) -> Materials:
    """Return the arms and samples that a design asks for.

    Args:
        design: whose runs, arms and prompts take part.
        base: the folder that paths in the design are relative to.
        run: takes part instead of the design's runs; None for those.

    Raises:
        StudyUsageError: no run, an unknown arm or prompt, arms of one name, or one prompt id with
            two captions.
        RunError: a run is not whole.
    """
    runs = [(run, RunTable(path="."))] if run is not None else _runs(design, base)
    arms: list[Arm] = []
    samples: list[Sample] = []
    gone = 0
    for folder, table in runs:
        own_arms, own_samples, own_gone = _of_run(folder, table, base)
        gone += own_gone
        twins = sorted({arm.name for arm in arms} & {arm.name for arm in own_arms})
        if twins:
            raise StudyUsageError(
                f"Two runs have an arm named {twins[0]!r}; expected names that differ. Give the "
                f"run {folder.root} a `prefix` in the study file, or choose its `arms`."
            )
        arms += own_arms
        samples += own_samples
    _require_one_caption(samples)
    return Materials(arms, _with_prompts(samples, design.prompts, design.seed), gone)


def _runs(design: StudyDesign, base: Path) -> list[tuple[RunFolder, RunTable]]:
    if not design.runs:
        raise StudyUsageError(
            "No run is named, so there is nothing to compare. Add `[[runs]]` with a `path` to the "
            "study file, or name the run folder on the command line."
        )
    return [(RunFolder.open(base / Path(table.path).expanduser()), table) for table in design.runs]


def _of_run(folder: RunFolder, table: RunTable, base: Path) -> tuple[list[Arm], list[Sample], int]:
    """Return a run's arms and samples that take part, and how many were left out."""
    arms, samples = folder.arms(), folder.samples()
    require_samples(samples, folder.manifest_path)
    names = [arm.name for arm in arms]
    for wanted in table.arms or ():
        if wanted not in names:
            raise StudyUsageError(
                f"The run {folder.root} has no arm {wanted!r}; it has {', '.join(names)}. "
                "Mend `arms` in the study file."
            )
    taking_part = set(table.arms or names)
    root = folder.root.resolve()
    samples = [sample for sample in samples if sample.arm in taking_part]
    out = left_out(samples, folder, table.leave_out, base)
    return (
        [
            dataclasses.replace(arm, name=table.prefix + arm.name)
            for arm in arms
            if arm.name in taking_part
        ],
        [
            dataclasses.replace(
                sample, arm=table.prefix + sample.arm, path=os.fspath(root / sample.path)
            )
            for sample in samples
            if (sample.arm, sample.prompt_id, sample.replica) not in out
        ],
        len(out),
    )


def _require_one_caption(samples: list[Sample]) -> None:
    captions: dict[str, str] = {}
    for sample in samples:
        known = captions.setdefault(sample.prompt_id, sample.caption)
        if known != sample.caption:
            raise StudyUsageError(
                f"The prompt {sample.prompt_id} has two captions, {known!r} and "
                f"{sample.caption!r}, so its samples can't be compared. Compare runs of the same "
                "prompts, or choose other `prompts.ids`."
            )


def _with_prompts(samples: list[Sample], wanted: PromptsTable, seed: int) -> list[Sample]:
    arms_of: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        arms_of[sample.prompt_id].add(sample.arm)
    shared = sorted(prompt for prompt, arms in arms_of.items() if len(arms) > 1)
    unknown = [prompt for prompt in wanted.ids or () if prompt not in shared]
    if unknown:
        raise StudyUsageError(
            f"No two arms have the prompt {unknown[0]!r}; expected one they share, such as "
            f"{', '.join(shared[:3]) or 'none'}. Mend `prompts.ids` in the study file."
        )
    chosen = sorted(wanted.ids or shared)
    if wanted.count is not None:
        if wanted.count > len(chosen):
            raise StudyUsageError(
                f"`prompts.count` is {wanted.count}, but the arms share only {len(chosen)} "
                "prompts. Lower it, or sweep more prompts."
            )
        chosen = np.random.default_rng([seed, 1]).permutation(chosen)[: wanted.count].tolist()
    taking_part = set(chosen)
    return [sample for sample in samples if sample.prompt_id in taking_part]
