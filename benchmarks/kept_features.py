"""What `glide-eval metrics` saves: a folder half looked at, killed, and one image added.

    python -m benchmarks.kept_features [--images 50000] [--few 2000] [--size 32] [--dry-run]

Prints CPU seconds of the real command, and the ratios that matter: after a SIGKILL half way, and
with one image more than last time. The images are noise, so that all differ.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from glide_eval.files import encode_png


def written(folder: Path, images: int, size: int) -> Path:
    """Write so many images of noise; their folder."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        picture = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        (folder / f"{number:06}.png").write_bytes(encode_png(picture))
    return folder


def started(folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    """Start `metrics --fake FOLDER` with features kept in a cache of its own."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "glide_eval", "metrics", "--fake", str(folder), "--quiet",
            "--extractor", "tabletop", "--metrics", "inception_score",
        ],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip


def cost(folder: Path, cache: Path) -> float:
    """CPU seconds of the whole command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if started(folder, cache).wait():
        raise SystemExit("The command failed; see above.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kept_bytes(cache: Path) -> int:
    """Bytes of features kept so far."""
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    if args.dry_run:
        args.images, args.few = 1_500, 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = written(folder / "many", args.images, args.size)
        first = cost(many, folder / "whole")
        whole = kept_bytes(folder / "whole")
        killed = started(many, folder / "killed")
        while kept_bytes(folder / "killed") < whole / 2 and killed.poll() is None:
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        again = cost(many, folder / "killed")
        print(f"{args.images:,} images: {first:.1f} CPU s", flush=True)
        print(f"killed half way, run again: {again:.1f} CPU s, {again / first:.0%} of the first")
        few = written(folder / "few", args.few, args.size)
        cost(few, folder / "kept")
        cached = cost(few, folder / "kept")
        shutil.copy(next(many.iterdir()), few / "one-more.png")
        more = cost(few, folder / "kept")
        print(f"{args.few:,} images, all kept: {cached:.1f} CPU s")
        print(f"one more: {more:.1f} CPU s, {more / cached:.2f} times as much")


if __name__ == "__main__":
    main()
