"""A sweep: shards of every arm's images, into a run folder that can always be resumed."""

from __future__ import annotations

from .executor import Executor
from .file.arms import STRATEGIES
from .file.prompt_notes import check_prompts, prompt_notes
from .file.prompts import load_prompts
from .file.sweep_file import load_sweep
from .imported_arms import CAPTION_FILES
from .on_ray import RayExecutor
from .provenance import commit, environment, now
from .run import outline, run_sweep
from .sources import GlideSource

__all__ = [
    "CAPTION_FILES",
    "STRATEGIES",
    "Executor",
    "GlideSource",
    "RayExecutor",
    "check_prompts",
    "commit",
    "environment",
    "load_prompts",
    "load_sweep",
    "now",
    "outline",
    "prompt_notes",
    "run_sweep",
]
