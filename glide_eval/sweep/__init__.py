"""A sweep: shards of every arm's images, into a run folder that can always be resumed."""

from __future__ import annotations

from .executor import Executor
from .file.arms import STRATEGIES, ArmConfig
from .file.prompts import load_prompts, read_prompts
from .file.sweep_file import SweepFile, load_sweep, parse_sweep
from .fork import Fork, fork_run
from .imported_arms import CAPTION_FILES
from .on_ray import RayExecutor
from .opening import SourceOpener, check_arm
from .provenance import commit, environment, now
from .run import outline, run_sweep
from .seeds import sample_seed
from .shards import ShardWorker
from .sources import (
    BESIDE,
    ArmOptions,
    Batch,
    DrawnArm,
    EditTable,
    GeneratorTable,
    GlideSource,
    Images,
    ImageSource,
    InpaintTable,
    Opening,
    check_prompts,
    find_source,
    height_width,
    prompt_notes,
)

__all__ = [
    "BESIDE",
    "CAPTION_FILES",
    "STRATEGIES",
    "ArmConfig",
    "ArmOptions",
    "Batch",
    "DrawnArm",
    "EditTable",
    "Executor",
    "Fork",
    "GeneratorTable",
    "GlideSource",
    "ImageSource",
    "Images",
    "InpaintTable",
    "Opening",
    "RayExecutor",
    "ShardWorker",
    "SourceOpener",
    "SweepFile",
    "check_arm",
    "check_prompts",
    "commit",
    "environment",
    "find_source",
    "fork_run",
    "height_width",
    "load_prompts",
    "load_sweep",
    "now",
    "outline",
    "parse_sweep",
    "prompt_notes",
    "read_prompts",
    "run_sweep",
    "sample_seed",
]
