"""Which source a sweep file's `model` names."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import ConfigError
from glide_eval.files import nearest

from .source import ImageSource

GROUP = "glide_eval.sources"  # of entry points
BUILT_IN = {
    "tabletop": f"{__package__}.glide:GlideSource",
    "glide": f"{__package__}.glide:GlideSource",
    "fake": f"{__package__}.fake:FakeSource",
    "diffusers": f"{__package__}.diffusers:DiffusersSource",
}
_CLASS = re.compile(r"[A-Za-z_]\w+(\.\w+)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Found:
    """A source, as a sweep file names it.

    Attributes:
        source: the class.
        argument: what the source is told of `model`: all, or what stands behind its own name.
        origin: a model and a folder by which the class is found again elsewhere.
    """

    source: type[ImageSource]
    argument: str
    origin: tuple[str, Path]


@functools.cache
def find_source(model: str, folder: Path) -> Found:
    """Return the source of a model.

    Args:
        model: a name that is built in or registered by an entry point, alone or before `:` and an
            argument; `package.module:Class`; or a folder of GLIDE checkpoints.
        folder: of the sweep file; a module of a user's own may lie there.

    Raises:
        ConfigError: the class can't be imported, or is no source.
    """
    name, colon, rest = model.partition(":")
    target = sources().get(name)
    if target is not None:
        source = _imported(target, folder, model)
        return Found(source, rest if colon else model, (name, Path()))
    if _CLASS.fullmatch(model):
        return Found(_imported(model, folder, model), model, (model, folder.resolve()))
    if colon and re.fullmatch(r"[a-z]{2,}", name) and not (folder / model).exists():
        near = nearest(name, [*sources()])
        raise ConfigError(
            f'model = "{model}": no source is named {name!r}'
            + (f"; did you mean {near!r}?" if near else ".")
            + f" Known sources are {', '.join(sources())}; install the package that brings yours, "
            "or name its class as package.module:Class."
        )
    return Found(_imported(BUILT_IN["glide"], folder, model), model, ("glide", Path()))


@functools.cache
def sources() -> dict[str, str]:
    """Return every source that has a name, with its class as `module:Class`."""
    entries = importlib.metadata.entry_points(group=GROUP)
    return {entry.name: entry.value for entry in entries} | BUILT_IN


def _imported(target: str, folder: Path, model: str) -> type[ImageSource]:
    module, _, name = target.partition(":")
    try:
        found = getattr(_module(module, folder), name)
    except AttributeError as error:
        raise ConfigError(
            f'model = "{model}": the module {module} has no {name!r}. Name the class that draws '
            "your images."
        ) from error
    except Exception as error:  # a user's module may raise anything while it is imported
        raise ConfigError(
            f'model = "{model}": the module {module} can\'t be imported '
            f"({type(error).__name__}: {error}). Install it, put it beside the sweep file "
            f"({folder}), or mend it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, ImageSource)):
        raise ConfigError(
            f'model = "{model}": {name} is {found!r}, expected a class that is a '
            "glide_eval.sweep.ImageSource. See docs/how-to/your-own-model.md."
        )
    return found


def _module(name: str, folder: Path) -> object:
    """Import a module; one of a user's own may lie beside the sweep file."""
    place = str(folder.resolve())
    if not name.startswith(f"{__package__}.") and place not in sys.path:
        sys.path.append(place)  # last, so that it hides nothing
        importlib.invalidate_caches()  # the module may have been written a moment ago
    return importlib.import_module(name)
