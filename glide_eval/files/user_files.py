"""Where this user's files lie outside any run: caches, and weights fetched by hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from glide_eval.errors import WeightsError

WEIGHTS_VARIABLE = "GLIDE_EVAL_WEIGHTS"


def cache_dir() -> Path:
    """`glide-eval` in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glide-eval"


def find_weights(
    name: str,
    description: str,
    also: Sequence[Path] = (),
    aliases: Sequence[str] = (),
    fetch: str = "",
) -> Path:
    """A weights file on disk; nothing is ever downloaded here.

    Looked for in the folder that the variable GLIDE_EVAL_WEIGHTS names, then in `cache_dir()`
    / weights, then in `also`.

    Args:
        name: the file's exact name.
        description: what it is and where it comes from, for the message.
        also: folders in which other libraries keep the same file.
        aliases: other names it may have.
        fetch: arguments of the `glide-eval models fetch` that brings it, if one does.

    Raises:
        WeightsError: it is in none of them.
    """
    named = os.environ.get(WEIGHTS_VARIABLE)
    own = cache_dir() / "weights"
    folders = [*([Path(named).expanduser()] if named else []), own, *also]
    for folder in folders:
        for known in (name, *aliases):
            if (folder / known).is_file():
                return folder / known
    command = f"Fetch it with `glide-eval models fetch {fetch}`, or put" if fetch else "Put"
    raise WeightsError(
        f"{name} is not on this machine: looked in {', '.join(map(str, folders))}. It is "
        f"{description}. {command} the file into {own}, or set {WEIGHTS_VARIABLE} to the folder "
        "that holds it; nothing is downloaded during a run. Without it, `--extractor tabletop` "
        "works."
    )
