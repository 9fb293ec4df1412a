"""Sample images for the report: rows of one prompt, columns of arms, embedded in the page."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from analysis.errors import ReportError

FORMATS = ("PNG",)  # of samples
THUMBNAIL = 160  # pixels on the longer side
MOST_IMAGES = 160  # about 1 MB of WebP


@dataclass(frozen=True)
class GalleryRow:
    """One prompt's images.

    Attributes:
        prompt_id: the prompt.
        caption: its text.
        images: a data URI an arm, in the gallery's order; empty where the arm has no such sample.
        difference: between arms, in grey levels: the mean over a 16 x 16 picture of the standard
            deviation across them.
    """

    prompt_id: str
    caption: str
    images: tuple[str, ...]
    difference: float = 0.0


def gallery(samples: pd.DataFrame, arms: list[str], root: Path, rows: int = 8) -> list[GalleryRow]:
    """Return prompts spread evenly over the run, the lowest replica of each, in every arm.

    Args:
        samples: arm, prompt_id, caption, replica, path (relative to `root`).
        arms: the columns, in order.
        root: the run folder.
        rows: at most so many prompts; fewer where arms are many.

    Raises:
        ReportError: an image is missing or can't be read.
    """
    rows = max(1, min(rows, MOST_IMAGES // max(len(arms), 1)))
    ordered = samples.sort_values("replica", kind="stable")
    first = ordered.drop_duplicates(["arm", "prompt_id"])
    prompts = sorted(first["prompt_id"].unique())
    spread = np.unique(np.linspace(0, len(prompts) - 1, min(rows, len(prompts))).round())
    paths = first.set_index(["prompt_id", "arm"])["path"].to_dict()
    captions = first.drop_duplicates("prompt_id").set_index("prompt_id")["caption"]
    shown = [prompts[int(i)] for i in spread] if len(prompts) else []
    digests = sample_digests(samples)
    return [
        _row(prompt, captions[prompt], [paths.get((prompt, arm)) for arm in arms], root, digests)
        for prompt in shown
    ]


def sample_digests(samples: pd.DataFrame) -> dict[str, str]:
    """Return the SHA-256 of each sample's file by its path; empty where the table has none."""
    if "sha256" not in samples:
        return {}
    return dict(zip(samples["path"], samples["sha256"], strict=True))


def thumbnail(path: Path, sha256: str = "") -> str:
    """Return one image, small, as a data URI.

    Args:
        path: the file.
        sha256: that it must have; empty if it is not known.

    Raises:
        ReportError: the file is missing, can't be read or is another one.
    """
    return _data_uri(_small(path, sha256))


def _row(
    prompt: str,
    caption: str,
    paths: list[str | None],
    root: Path,
    digests: Mapping[str, str],
) -> GalleryRow:
    small = [None if path is None else _small(root / path, digests.get(path, "")) for path in paths]
    tiny = [np.asarray(image.resize((16, 16)), np.float64) for image in small if image]
    difference = float(np.std(tiny, axis=0).mean()) if tiny else 0.0
    return GalleryRow(
        prompt, caption, tuple("" if image is None else _data_uri(image) for image in small),
        difference,
    )  # fmt: skip


def _small(path: Path, sha256: str) -> Image.Image:
    """Return the image in RGB, at most 160 pixels wide or high.

    Raises:
        ReportError: it is missing, truncated, not an image or not the one expected.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise ReportError(
            f"{path}: expected an image, found none that can be read ({error}). Run the sweep "
            "again with the same command to remake missing samples, then the report."
        ) from error
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise ReportError(
            f"{path} is not the image that the manifest lists (its sha256 differs): it was changed "
            "after the sweep. Delete it and run the sweep again with the same command."
        )
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return small


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
