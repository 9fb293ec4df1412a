"""The command line as it was typed, and as a person may type the next one."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def typed_command() -> str:
    """This process's command line, to be typed again."""
    return shlex.join(["glide-eval", *sys.argv[1:]])


def next_command(*arguments: str | Path) -> str:
    """A `glide-eval` command to be copied from the screen, wherever the program lies."""
    called = Path(sys.argv[0])
    hidden = called.name == "glide-eval" and not shutil.which("glide-eval")
    program = from_here(called) if hidden else "glide-eval"
    return shlex.join([program, *map(str, arguments)])


def from_here(path: Path) -> str:
    """A path as short as it can be typed: relative if it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
