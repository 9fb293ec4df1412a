"""Low-level statistics of images: sharpness, smoothness and noise, whatever they show."""

from __future__ import annotations

import numpy as np

SCALES = 3  # full size, half, quarter
SOFTNESS = 16.0  # grey levels; steps well below it hardly stand out and hardly count
_EDGE_QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.97, 0.995)
_COLOR_QUANTILES = (0.5, 0.9, 0.98)
WIDTH = SCALES * (2 * len(_EDGE_QUANTILES) + len(_COLOR_QUANTILES))


def texture_statistics(images: np.ndarray) -> np.ndarray:
    """Return quantiles of brightness slopes, brightness curvature and colour slopes at 3 scales.

    They follow natural scene statistics (NIQE, Mittal et al. 2013) but suit smooth rendered scenes:
    blur lowers the upper quantiles, noise and compression raise the lower ones. Values are
    log(16 + quantile), so that hardly visible changes move them little.

    Args:
        images: uint8 (n, h, w, 3), h and w at least 16.

    Returns:
        float32 (n, 45).
    """
    height, width = (side - side % 2 ** (SCALES - 1) for side in images.shape[1:3])
    rgb = images[:, :height, :width].astype(np.float32)
    light = rgb @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    color = rgb[..., ::2] - light[..., None]  # red and blue against brightness
    columns = []
    for scale in range(SCALES):
        if scale:
            light, color = _halved(light), _halved(color)
        slope = np.hypot(np.diff(light, axis=1)[:, :, :-1], np.diff(light, axis=2)[:, :-1])
        middle = light[:, 1:-1, 1:-1]
        around = light[:, :-2, 1:-1] + light[:, 2:, 1:-1] + light[:, 1:-1, :-2] + light[:, 1:-1, 2:]
        color_slope = np.abs(np.diff(color, axis=2)).max(axis=-1)
        columns.append(_quantiles(slope, _EDGE_QUANTILES))
        columns.append(_quantiles(np.abs(4 * middle - around), _EDGE_QUANTILES))
        columns.append(_quantiles(color_slope, _COLOR_QUANTILES))
    return np.log(SOFTNESS + np.concatenate(columns, axis=1)).astype(np.float32)


def _halved(values: np.ndarray) -> np.ndarray:
    n, height, width, *rest = values.shape
    return values.reshape(n, height // 2, 2, width // 2, 2, *rest).mean(axis=(2, 4))


def _quantiles(values: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Return the order statistics of each image nearest to the levels: (n, levels)."""
    flat = values.reshape(len(values), -1)
    places = [round(level * (flat.shape[1] - 1)) for level in levels]
    return np.partition(flat, places, axis=1)[:, places]
