"""Sources of captioned pictures: a folder, COCO's captions JSON, rendered tabletop scenes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from generator.errors import DataError
from generator.tabletop.captions import describe
from generator.tabletop.dataset import SHARD, RenderedScenes
from generator.tabletop.scenes import held_out

from .pictures import SUFFIXES, digest_of, listed, opened


class CaptionedFiles:
    """Image files with one or more captions each; one caption is drawn each time."""

    def __init__(
        self, root: Path, captions: dict[str, list[str]], others: list[str], where: Path | str
    ):
        """Keep the files that are there.

        Args:
            root: folder that file names are relative to.
            captions: file name -> captions; empty captions are left out.
            others: pictures without a caption, for the notes.
            where: what messages call the source.

        Raises:
            DataError: no captioned picture is there, or a name leads out of the folder.
        """
        _require_inside(root, captions, where)
        told = {name: [c for c in map(str.strip, found) if c] for name, found in captions.items()}
        absent = sorted(name for name in told if not (root / name).is_file())
        bare = others + [name for name, found in told.items() if not found]
        self._names = sorted(name for name, found in told.items() if found)
        self._names = sorted(set(self._names) - set(absent))
        self._root, self._captions = root, told
        if not self._names:
            raise DataError(
                f"{where} holds no picture with a caption: found {len(absent)} captions whose file "
                f"is missing below {root} and {len(bare)} pictures without a caption. Expected "
                "pictures with captions.csv or captions.jsonl (columns file and caption), or "
                "cat.txt beside cat.png."
            )
        self.notes = listed(absent, lambda n: f"{n:,} captioned files are missing and not used")
        self.notes += listed(bare, lambda n: f"{n:,} pictures have no caption and are not used")

    def __len__(self) -> int:
        return len(self._names)

    def item(self, index: int, rng: np.random.Generator) -> tuple[Image.Image, str]:
        """See `Pictures`."""
        name = self._names[index]
        captions = self._captions[name]
        caption = captions[int(rng.integers(len(captions)))]
        return opened((self._root / name).read_bytes()), caption

    def name(self, index: int) -> str:
        """Return the file's path."""
        return str(self._root / self._names[index])

    def digest(self) -> str:
        """See `Pictures`."""
        return digest_of([
            json.dumps([name, (self._root / name).stat().st_size, self._captions[name]])
            for name in self._names
        ])  # fmt: skip


def _require_inside(root: Path, names: Iterable[str], where: Path | str) -> None:
    """Refuse names of files outside the folder that they are relative to."""
    for name in names:
        path = PurePath(name)
        longest = max((len(part.encode("utf-8", "replace")) for part in path.parts), default=0)
        outside = path.is_absolute() or ".." in path.parts
        if outside or "\0" in name or longest > 255:  # of no file system
            raise DataError(
                f"{where} names the file {name[:80]!r}: expected a path inside {root}, without "
                "`..` and not absolute. Put the file into that folder, or a link to it."
            )


def folder(root: Path, captions: Path | None = None) -> CaptionedFiles:
    """Return the captioned pictures below a folder.

    Captions come from `captions`, a CSV or JSON Lines table with `file` and `caption` (a file may
    stand in several rows); by default from `captions.csv` or `captions.jsonl` in the folder, else
    from a text file beside each picture, one caption per line.

    Raises:
        DataError: no such folder, a table that can't be read, or nothing captioned in it.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: expected one with pictures and captions.")
    images = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    tables = [root / "captions.csv", root / "captions.jsonl"]
    table = captions or next((path for path in tables if path.is_file()), None)
    if table is not None:
        told = _read_table(table)
        return CaptionedFiles(root, told, [name for name in images if name not in told], table)
    beside = {name: _lines((root / name).with_suffix(".txt")) for name in images}
    bare = [name for name, found in beside.items() if not found]
    return CaptionedFiles(root, {k: v for k, v in beside.items() if v}, bare, root)


def coco(captions: Path, images: Path) -> CaptionedFiles:
    """Read COCO's form: JSON with `images` (id, file_name) and `annotations` (image_id, caption).

    Raises:
        DataError: the JSON is missing or of another form, or none of its pictures is in `images`.
    """
    try:
        content = json.loads(captions.read_text("utf-8"))
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        told: dict[str, list[str]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            if annotation["image_id"] in names:
                told[names[annotation["image_id"]]].append(str(annotation["caption"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{captions} can't be read as captions in COCO's form ({type(error).__name__}: "
            f"{error}): expected JSON with `images`, each with `id` and `file_name`, and "
            "`annotations`, each with `image_id` and `caption`."
        ) from error
    return CaptionedFiles(images, told, [], captions)


class Tabletop:
    """Rendered tabletop scenes, described anew each time, without held-out combinations."""

    def __init__(self, root: Path, seed: int = 1):
        """Open the shards `python -m generator.tabletop.dataset ROOT --seed SEED` rendered.

        Raises:
            DataError: there are none.
        """
        try:
            rendered = RenderedScenes(root, seed)
        except FileNotFoundError as error:
            raise DataError(str(error)) from error
        self._scenes = rendered.scenes
        self._kept = [i for i, scene in enumerate(self._scenes) if not held_out(scene)]
        self._paths = rendered.shards
        self._shards = [np.load(path, mmap_mode="r") for path in rendered.shards]
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self._kept)

    def item(self, index: int, rng: np.random.Generator) -> tuple[Image.Image, str]:
        """See `Pictures`."""
        shard, within = divmod(self._kept[index], SHARD)
        image = Image.fromarray(np.array(self._shards[shard][within]))
        return image, describe(self._scenes[self._kept[index]], rng)

    def name(self, index: int) -> str:
        """Return the shard and the place in it."""
        shard, within = divmod(self._kept[index], SHARD)
        return f"{self._paths[shard]}[{within}]"

    def digest(self) -> str:
        """See `Pictures`."""
        return digest_of([f"{path.name} {path.stat().st_size}" for path in self._paths])


def _read_table(path: Path) -> dict[str, list[str]]:
    """File name -> captions, from rows with `file` and `caption`."""
    try:
        text = path.read_text("utf-8-sig")
        rows: Iterable[Any] = (
            csv.DictReader(io.StringIO(text))
            if path.suffix.lower() == ".csv"
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
        told: dict[str, list[str]] = {}
        for row in rows:
            told.setdefault(str(row["file"]), []).append(str(row["caption"] or ""))
        return told
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} can't be read as captions ({type(error).__name__}: {error}): expected a CSV "
            "with a header, or JSON Lines, with `file` and `caption` in every row."
        ) from error


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
