"""The extractors by name; only loading one imports torch."""

from __future__ import annotations

from pathlib import Path

from glide_eval.errors import UsageError
from glide_eval.files import find_weights

from .catalogue import EXTRACTORS
from .protocol import Extractor

NAMES = tuple(EXTRACTORS)
FORMS = ("clip:ARCHITECTURE:FILE", "dinov2:ARCHITECTURE:FILE")


def load_extractor(name: str, device: str = "auto") -> Extractor:
    """Load the extractor of that name, with its weights.

    Args:
        name: one of `NAMES`, or `clip:` or `dinov2:` with open_clip's or timm's name of an
            architecture and a weights file: a path, or a name in the folder for weights.
        device: where it runs; `auto` is CUDA, else an Apple GPU, else the CPU. Bundled ones run on
            the CPU.

    Raises:
        UsageError: there is none of that name.
        generator.errors.OptionError: this machine has no such device.
        WeightsError: its weights are not on disk or not its own.
    """
    if device != "auto":  # before its weights are read
        from .network import choose_device

        choose_device(device)
    if name in EXTRACTORS:
        return EXTRACTORS[name].load(device)
    kind, *rest = name.split(":", maxsplit=2)
    if kind not in ("clip", "dinov2") or len(rest) != 2 or not all(rest):
        raise UsageError(
            f"No extractor is named {name!r}; there are {', '.join((*NAMES, *FORMS))}."
        )
    architecture, path = rest[0], _file(rest[1], name)
    if kind == "clip":
        from .clip import OpenClip

        return OpenClip.from_file(architecture, path, device)
    from .dinov2 import DinoV2

    return DinoV2.from_file(architecture, path, device)


def _file(written: str, name: str) -> Path:
    path = Path(written).expanduser()
    if path.is_file() or len(path.parts) > 1:
        return path
    return find_weights(written, f"the file that {name} names")
