"""Small sweeps on the fake source, for tests of what a sweep promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from glide_eval.cli import main
from glide_eval.files import encode_png

RUN = 'name = "small"\nseed = 3'
GENERATOR = 'model = "fake"\nmicro_batch = 4\nfake = {size = 32}'
PROMPTS = 'captions = ["a red cube", "a blue ball", "a cone", "two cones", "a green ball", "a cup"]'
ARMS = """
[[arms]]
strategy = "unguided"

[[arms]]
strategy = "classifier_free"
scales = [1.5, 3]
"""


def sweep_text(
    run: str = RUN, generator: str = GENERATOR, prompts: str = PROMPTS, arms: str = ARMS
):
    """A sweep file's text from the content of its tables."""
    return f"[run]\n{run}\n[generator]\n{generator}\n[prompts]\n{prompts}\n{arms}\n"


def write_sweep(folder: Path, **tables: str) -> Path:
    """A sweep file in `folder`; tables as in `sweep_text`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sweep.toml"
    path.write_text(sweep_text(**tables), encoding="utf-8")
    return path


def write_images(folder: Path, captions: list[str], size: int = 40) -> list[Path]:
    """Noise images with a `captions.csv`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = [folder / f"image{number}.png" for number in range(len(captions))]
    for path in paths:
        path.write_bytes(encode_png(rng.integers(0, 256, (size, size + 8, 3), dtype=np.uint8)))
    rows = [f'{path.name},"{caption}"\n' for path, caption in zip(paths, captions, strict=True)]
    (folder / "captions.csv").write_text("file,caption\n" + "".join(rows), encoding="utf-8")
    return paths


def glide_eval(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process: exit status, stdout, stderr."""
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def images_of(run: Path) -> dict[str, bytes]:
    """Every file under `samples/`, by its path there."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted((run / "samples").rglob("*"))
        if path.is_file()
    }


def manifest_of(run: Path) -> list[dict]:
    """The manifest without `seconds`, a measured time that can't repeat."""
    lines = (run / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def everything_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, to see that nothing in it was touched."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
