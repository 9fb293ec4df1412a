"""Time a pass of Inception over image files beside its network alone, on the same images.

OMP_NUM_THREADS=1 python -m benchmarks.extraction [--images 96] [--rounds 3]

The pass reads, decodes and resizes JPEG files in threads while the network works; the network alone
is given what they prepared. They take turns, so that whatever else the machine does falls on both.
Weights are those of `inception-clean` where they are on disk, else random ones in a network of the
same form. Ratios are of seconds on the clock and of CPU seconds, which other processes disturb
less: where the network keeps every core busy, the clock can gain nothing over the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import inception_v3

from glide_eval.errors import WeightsError
from glide_eval.extractors import Extractor, load_extractor
from glide_eval.extractors.inception import CleanFidInception
from glide_eval.features.one_pass import BATCH, THREADS, extract, read_picture
from glide_eval.files.images import read_rgb


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--size", type=int, default=256, help="pixels a side of the files")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    extractor, weights = inception()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), options.images, options.size)
        prepared = [extractor.prepare(read_rgb(path)) for path in paths]
        batches = [prepared[i : i + BATCH] for i in range(0, len(prepared), BATCH)]
        ways = {
            "network alone": lambda: [extractor.embed(batch) for batch in batches],
            "pass over files": lambda: list(extract(paths, read_picture, [extractor])),
            "one after the other": lambda: [
                extractor.extract([read_rgb(p) for p in paths[i : i + BATCH]])
                for i in range(0, len(paths), BATCH)
            ],
        }
        for batch in batches[:2]:  # TorchScript compiles for what it sees
            extractor.embed(batch)
        timed = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                timed[name].append(seconds(way))
    print(
        f"{options.images} JPEG files of {options.size} px, {weights}, {THREADS} reading threads, "
        f"{torch.get_num_threads()} torch threads, {options.rounds} rounds; medians"
    )
    alone = timed["network alone"]
    for name, runs in timed.items():
        wall, cpu = (statistics.median(run[i] for run in runs) for i in (0, 1))
        ratios = [
            statistics.median(run[i] / one[i] for run, one in zip(runs, alone, strict=True))
            for i in (0, 1)
        ]
        print(
            f"{name:<20} {wall / options.images * 1e3:7.1f} ms per image, ratio {ratios[0]:.3f}   "
            f"CPU {cpu / options.images * 1e3:7.1f} ms, ratio {ratios[1]:.3f}"
        )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """On the clock, and of CPU in all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def write_images(folder: Path, count: int, size: int) -> list[Path]:
    """JPEG files with the detail of photographs: blurred noise over coarser noise."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        layers = [
            np.asarray(
                Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
                    (size, size), Image.Resampling.BICUBIC
                ),
                np.float32,
            )
            for side in (8, 64)
        ]
        paths.append(folder / f"{i:05}.jpg")
        mixed = (0.7 * layers[0] + 0.3 * layers[1]).clip(0, 255).astype(np.uint8)
        Image.fromarray(mixed).save(paths[-1], quality=90)
    return paths


def inception() -> tuple[Extractor, str]:
    try:
        return load_extractor("inception-clean"), "published weights"
    except WeightsError:
        return random_inception(), "random weights"


def random_inception() -> Extractor:
    """clean-fid's mode `clean` around torchvision's Inception-v3, traced to TorchScript."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = inception_v3(weights=None, aux_logits=False, init_weights=False)
            self.layers.fc = torch.nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers((x - 128) / 128)

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        network = torch.jit.trace(Network().eval(), torch.zeros(2, 3, 299, 299))
    return CleanFidInception(network, "0" * 64)


if __name__ == "__main__":
    main()
