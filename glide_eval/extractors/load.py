"""The extractors by name; loading one is what first imports torch."""

from __future__ import annotations

from pathlib import Path

from glide_eval.errors import UsageError
from glide_eval.files import find_weights

from .protocol import Extractor

NAMES = (
    "tabletop",
    "inception-clean",
    "inception-legacy-tensorflow",
    "inception-legacy-pytorch",
    "inception-torchmetrics",
    "inception-torch-fidelity",
    "clip-vit-b-16",
    "clip-vit-l-14-336",
    "dinov2-vit-s-14",
    "dinov2-vit-b-14",
    "dinov2-vit-l-14",
    "dinov2-vit-g-14",
)
FORMS = ("clip:ARCHITECTURE:FILE", "dinov2:ARCHITECTURE:FILE")
_CLEAN_FID_MODES = {
    "inception-clean": "clean",
    "inception-legacy-tensorflow": "legacy_tensorflow",
    "inception-legacy-pytorch": "legacy_pytorch",
}


def load_extractor(name: str) -> Extractor:
    """The extractor of that name, with its weights.

    Args:
        name: one of `NAMES`, or `clip:` or `dinov2:` with open_clip's or timm's name of an
            architecture and a weights file: a path, or a name in the folder for weights.

    Raises:
        UsageError: there is none of that name.
        WeightsError: its weights are not on disk or not its own.
    """
    if not _known(name):
        raise UsageError(
            f"No extractor is named {name!r}; there are {', '.join((*NAMES, *FORMS))}."
        )
    if name == "tabletop":
        from .tabletop import TabletopExtractor

        return TabletopExtractor.load()
    if name in _CLEAN_FID_MODES:
        from .inception import CleanFidInception

        return CleanFidInception.load(mode=_CLEAN_FID_MODES[name])
    if name.startswith("inception-"):
        from .inception import TorchFidelityInception, TorchmetricsInception

        fidelity = name == "inception-torch-fidelity"
        return (TorchFidelityInception if fidelity else TorchmetricsInception).load()
    if name.startswith("clip"):
        from .clip import OpenClip

        return OpenClip.load(name) if name in NAMES else OpenClip.from_file(*_parts(name))
    from .dinov2 import DinoV2

    return DinoV2.load(name) if name in NAMES else DinoV2.from_file(*_parts(name))


def _known(name: str) -> bool:
    """Whether `load_extractor` takes this name; weights are not looked for."""
    kind, *rest = name.split(":", maxsplit=2)
    return name in NAMES or (kind in ("clip", "dinov2") and len(rest) == 2 and all(rest))


def _parts(name: str) -> tuple[str, Path]:
    _, architecture, file = name.split(":", maxsplit=2)
    path = Path(file).expanduser()
    if path.is_file() or len(path.parts) > 1:
        return architecture, path
    return architecture, find_weights(file, f"the file that {name} names")
