"""Sample images for the report: rows of one prompt, columns of arms, embedded in the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from .errors import ReportError

THUMBNAIL = 160  # pixels on the longer side
MOST_IMAGES = 160  # about 1 MB of WebP


@dataclass(frozen=True)
class GalleryRow:
    """One prompt's images.

    Attributes:
        prompt_id: the prompt.
        caption: its text.
        images: a data URI an arm, in the gallery's order; empty where the arm has no such sample.
    """

    prompt_id: str
    caption: str
    images: tuple[str, ...]


def gallery(samples: pd.DataFrame, arms: list[str], root: Path, rows: int = 8) -> list[GalleryRow]:
    """Prompts spread evenly over the run, the lowest replica of each, in every arm.

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
    return [
        GalleryRow(
            prompts[int(i)],
            captions[prompts[int(i)]],
            tuple(
                thumbnail(root / paths[prompts[int(i)], arm])
                if (prompts[int(i)], arm) in paths
                else ""
                for arm in arms
            ),
        )
        for i in (spread if len(prompts) else [])
    ]


def thumbnail(path: Path) -> str:
    """The image as a WebP data URI, at most 160 pixels wide or high.

    Raises:
        ReportError: it is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise ReportError(
            f"{path}: expected an image, found none that can be read ({error}). Run the sweep "
            "again with the same command to remake missing samples, then the report."
        ) from error
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
