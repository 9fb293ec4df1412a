"""A sweep: shards of every arm's images, into a run folder that can always be resumed."""

from __future__ import annotations

from .executor import Executor
from .file.arms import STRATEGIES
from .file.prompts import load_prompts
from .file.sweep_file import load_sweep
from .fork import Fork, fork_run
from .imported_arms import CAPTION_FILES
from .on_ray import RayExecutor
from .provenance import commit, environment, now
from .run import outline, run_sweep
from .sources import (
    ArmOptions,
    Batch,
    DrawnArm,
    GeneratorTable,
    GlideSource,
    Images,
    ImageSource,
    Opening,
    check_prompts,
    prompt_notes,
)

__all__ = [
    "CAPTION_FILES",
    "STRATEGIES",
    "ArmOptions",
    "Batch",
    "DrawnArm",
    "Executor",
    "Fork",
    "GeneratorTable",
    "GlideSource",
    "ImageSource",
    "Images",
    "Opening",
    "RayExecutor",
    "check_prompts",
    "commit",
    "environment",
    "fork_run",
    "load_prompts",
    "load_sweep",
    "now",
    "outline",
    "prompt_notes",
    "run_sweep",
]
