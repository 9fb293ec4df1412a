"""Properties of sample images that a vote may hang on, measured on the pixels alone.

Every image is looked at in one size, so that neither its file nor its resolution shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from analysis.ballots import rows_of

from .inputs import ReportInputs

SIZE = 64  # pixels on each side that properties are measured at
MOST = 4000  # images; of more, properties are not measured
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # of sRGB values, ITU-R BT.709


def picture_properties(inputs: ReportInputs) -> pd.DataFrame | None:
    """Return the properties of every sample that was voted on; None where there are too many.

    | property | what it is |
    | --- | --- |
    | brightness | mean luma, 0 to 1 |
    | contrast | standard deviation of luma |
    | saturation | mean of (max − min) / max of red, green and blue |
    | sharpness | logarithm of the standard deviation of luma's Laplacian |

    Args:
        inputs: samples and votes.

    Returns:
        arm, prompt_id, replica, brightness, contrast, saturation, sharpness.
    """
    samples, votes = inputs.samples, inputs.votes
    if samples is None or votes is None or not {"prompt_id", "replica"} <= set(votes):
        return None
    asked = samples[samples["prompt_id"].astype(str).isin(set(votes["prompt_id"].astype(str)))]
    asked = asked[asked["replica"].astype(str).isin(set(votes["replica"].astype(str)))]
    if asked.empty or len(asked) > MOST:
        return None
    rows = [
        (str(row.arm), str(row.prompt_id), str(row.replica), *properties_of(inputs.root / row.path))
        for row in rows_of(asked)
    ]
    return pd.DataFrame(rows, columns=["arm", "prompt_id", "replica", "brightness", "contrast",
                                       "saturation", "sharpness"])  # fmt: skip


def properties_of(path: Path) -> tuple[float, float, float, float]:
    """Return brightness, contrast, saturation and sharpness; NaN if the image can't be read."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError):
        return np.nan, np.nan, np.nan, np.nan
    pixels = np.asarray(small, np.float64) / 255
    luma: NDArray[np.float64] = pixels @ _LUMA
    high, low = pixels.max(axis=2), pixels.min(axis=2)
    saturation = (high - low) / np.where(high > 0, high, 1)
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    edges = float((around - 4 * luma[1:-1, 1:-1]).std())
    return (float(luma.mean()), float(luma.std()), float(saturation.mean()),
            float(np.log(max(edges, 1e-4))))  # fmt: skip
