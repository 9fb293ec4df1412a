"""Feature extractors behind one protocol; loading one is what first imports torch."""

from __future__ import annotations

from glide_eval.errors import UsageError

from .fake import FakeExtractor
from .protocol import ClipFeatures, Extractor, Features, fingerprint

NAMES = ("tabletop", "inception-clean", "inception-torchmetrics")


def load_extractor(name: str) -> Extractor:
    """The extractor of that name, with its weights.

    Raises:
        UsageError: there is none of that name.
        WeightsError: its weights are not on disk or not its own.
    """
    if name == "tabletop":
        from .tabletop import TabletopExtractor

        return TabletopExtractor.load()
    if name in ("inception-clean", "inception-torchmetrics"):
        from .inception import CleanFidInception, TorchmetricsInception

        return (CleanFidInception if name == "inception-clean" else TorchmetricsInception).load()
    raise UsageError(f"No extractor is named {name!r}; there are {', '.join(NAMES)}.")


__all__ = [
    "NAMES",
    "ClipFeatures",
    "Extractor",
    "FakeExtractor",
    "Features",
    "fingerprint",
    "load_extractor",
]
