"""The command line as it was typed, and as a person may type the next one."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def typed_command() -> str:
    """This process's command line, to be typed again."""
    return shlex.join(["glide-eval", *sys.argv[1:]])


def program() -> str:
    """How to call `glide-eval` from here: its name if it is on the path, else where it lies."""
    called = Path(sys.argv[0])
    if called.name != "glide-eval" or shutil.which("glide-eval"):
        return "glide-eval"
    here = Path.cwd()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)


def next_command(*arguments: str | Path) -> str:
    """A `glide-eval` command to be copied from the screen."""
    return f"{program()} {shlex.join(str(argument) for argument in arguments)}"
