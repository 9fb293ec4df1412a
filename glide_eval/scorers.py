"""CLIPs that choose among images: one small interface, the CLIPs by name, and a shipped fake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .errors import WeightsError
from .images import center_crop
from .user_files import find_weights

Images = NDArray[np.uint8]

TABLETOP_SIZE = 128  # pixels a side that the bundled CLIP was trained on


class CaptionScorer(Protocol):
    """Says how well each image fits its caption."""

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name."""
        ...

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """CLIP scores s · f(image)·g(caption), higher is better.

        Args:
            images: uint8 (n, size, size, 3).
            captions: one an image.

        Returns:
            float64 (n,).
        """
        ...


@dataclass(frozen=True, slots=True)
class NamedClip:
    """An entry of `CLIPS`.

    Attributes:
        load: opens it, with its weights.
        extractor: whose `clip_score` it also gives; empty if none's.
    """

    load: Callable[[], CaptionScorer]
    extractor: str


def load_scorer(name: str) -> CaptionScorer:
    """The CLIP of that name in `CLIPS`, with its weights.

    Raises:
        WeightsError: its weights are not on disk or not its own.
        generator.errors.CheckpointError: the same of a bundled one.
    """
    return CLIPS[name].load()


class FakeScorer:
    """Likes bright images, whatever the caption: for tests and dry runs."""

    def fingerprint(self) -> dict[str, str]:
        """A constant that stands for weights."""
        return {"fake-clip": hashlib.sha256(b"fake clip, version 1").hexdigest()}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """Mean brightness, 0..255."""
        return images.mean(axis=(1, 2, 3), dtype=np.float64)


class TabletopScorer:
    """The bundled clean CLIP, which knows the tabletop world only and takes no part in guidance."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip

    @classmethod
    def load(cls) -> Self:
        """With the weights that ship in the packages."""
        from generator.tabletop.evaluator import CleanCLIP

        return cls(CleanCLIP.load())

    def fingerprint(self) -> dict[str, str]:
        """See `CaptionScorer`."""
        return {self._clip.filename: self._clip.fingerprint}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """See `CaptionScorer`; images of other sizes are resized."""
        batch = np.stack([center_crop(image, TABLETOP_SIZE) for image in images])
        return _products(
            self._clip.image_embeddings(batch),
            self._clip.text_embeddings(list(captions)),
            float(self._clip.logit_scale),
        )


class OpenClipScorer:
    """A CLIP that open_clip knows, from a weights file on disk; on CUDA if there is one, in fp32.

    Args:
        architecture: open_clip's name of it (`ViT-B-16-quickgelu`).
        path: of its weights: a state dict, as safetensors or saved by torch.
    """

    def __init__(self, architecture: str, path: Path) -> None:
        import torch

        try:
            import open_clip
        except ModuleNotFoundError as error:
            raise WeightsError(
                f"{architecture} needs open_clip, which is not installed. Install it with "
                "`pip install open_clip_torch`, or choose the CLIP `tabletop-clean`."
            ) from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._path = path
        try:
            model, _, prepare = open_clip.create_model_and_transforms(
                architecture, pretrained=str(path), device=self._device, weights_only=True
            )
        except Exception as error:  # readers of pickles, zips and safetensors raise nearly anything
            raise WeightsError(
                f"{path} is corrupt or of another model: expected the state dict of open_clip's "
                f"{architecture}, found something it can't load ({str(error).splitlines()[0]:.120}"
                "). Delete the file and put the right one there."
            ) from error
        self._model: Any = model.eval()
        self._prepare: Any = prepare
        self._tokenize = open_clip.get_tokenizer(architecture)

    @classmethod
    def find(cls, architecture: str, name: str, description: str) -> Self:
        """From a file in one of the folders for weights.

        Raises:
            WeightsError: it is in none of them, or open_clip is not installed.
        """
        return cls(architecture, find_weights(name, description))

    def fingerprint(self) -> dict[str, str]:
        """See `CaptionScorer`."""
        with self._path.open("rb") as file:
            return {self._path.name: hashlib.file_digest(file, "sha256").hexdigest()}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """See `CaptionScorer`; images are prepared as that CLIP was trained."""
        import torch
        from PIL import Image

        with torch.inference_mode():
            batch = torch.stack([self._prepare(Image.fromarray(image)) for image in images])
            tokens = self._tokenize(list(captions)).to(self._device)
            return _products(
                self._model.encode_image(batch.to(self._device), normalize=True).cpu().numpy(),
                self._model.encode_text(tokens, normalize=True).cpu().numpy(),
                float(self._model.logit_scale.exp()),
            )


def _products(images: Any, texts: Any, scale: float) -> NDArray[np.float64]:
    """Row by row, not as a matrix product, whose last digits depend on the batch."""
    return scale * np.sum(images.astype(np.float64) * texts.astype(np.float64), axis=1)


def _vit_b_16() -> CaptionScorer:
    return OpenClipScorer.find(
        "ViT-B-16-quickgelu",
        "open_clip-ViT-B-16-openai.safetensors",
        "OpenAI's CLIP ViT-B/16 as open_clip reads it (open_clip_model.safetensors of "
        "timm/vit_base_patch16_clip_224.openai, under this name)",
    )


CLIPS: dict[str, NamedClip] = {
    "tabletop-clean": NamedClip(TabletopScorer.load, "tabletop"),
    "vit-b-16": NamedClip(_vit_b_16, ""),
    "fake": NamedClip(FakeScorer, "fake"),
}
GUIDING_CLIPS = ("tabletop-noised", "glide-noised")
