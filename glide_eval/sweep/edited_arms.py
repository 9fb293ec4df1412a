"""The pictures that an editing arm starts from: found for each prompt, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glide_eval.errors import ConfigError, ImageError
from glide_eval.files import (
    IMAGE_SUFFIXES,
    Prompt,
    box_mask,
    fit_mask,
    fit_picture,
    inside,
    known_from,
    read_mask,
    read_picture,
    read_table,
    some,
)

from .file.arms import ArmConfig
from .file.sweep_file import SweepFile
from .imported_arms import CAPTION_FILES
from .sources import Batch, EditTable, InpaintTable


@dataclass(frozen=True, slots=True)
class EditFiles:
    """Where one prompt's editing starts.

    Attributes:
        picture: to inpaint, or a sketch.
        mask: None for a sketch or a box.
    """

    picture: Path
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class EditedPictures:
    """An editing arm's pictures, all of which can be read.

    Attributes:
        files: by prompt id.
        digests: by prompt id, the SHA-256 of its picture and mask.
        odd: how many are not squares, whose centre is used.
        sides: the shorter side of each, in pixels.
    """

    files: dict[str, EditFiles]
    digests: dict[str, bytes]
    odd: int
    sides: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """The digest over all, so that a changed one is a changed config."""
        return self.sha256_of(self.digests)

    def sha256_of(self, prompt_ids: Iterable[str]) -> str:
        """Return the digest over the pictures of some prompts."""
        digest = hashlib.sha256()
        for key in prompt_ids:
            digest.update(f"{key}\0".encode() + self.digests[key])
        return digest.hexdigest()

    def notes(self, size: int) -> list[str]:
        """Return what the owner should know, if the model draws `size` pixels."""
        notes: list[str] = []
        if self.odd:
            notes.append(f"{self.odd} pictures are not square: their centre squares are used.")
        resized = sum(side != size for side in self.sides)
        if resized:
            notes.append(f"{resized} pictures are resized to the {size} px this model draws.")
        return notes


def match_pictures(sweep: SweepFile, arm: ArmConfig, prompts: Sequence[Prompt]) -> EditedPictures:
    """Find each prompt's picture and mask, and decode every one of them.

    One file serves all prompts. In a folder, a `captions.csv` or `captions.jsonl` (columns `file`
    and `prompt_id` or `caption`) says which is whose; without one a picture's name is the prompt's
    id (`p0003.png`). A mask has its picture's name.

    Raises:
        ConfigError: a folder or file is missing.
        ImageError: a prompt has no picture, a picture no mask, or one can't be read or used.
    """
    table = arm.editing
    assert table is not None
    where = f"{sweep.path}: arm `{arm.name}`"
    pictures = _for_prompts(sweep.resolve(table.pictures), prompts, where)
    masks: dict[str, Path] = {}
    if isinstance(table, InpaintTable) and table.masks is not None:
        masks = _for_pictures(sweep.resolve(table.masks), pictures, where)
    files = {key: EditFiles(path, masks.get(key)) for key, path in pictures.items()}
    shapes = _check(files, table.invert_mask if isinstance(table, InpaintTable) else False, where)
    return EditedPictures(
        files,
        _digests(files),
        sum(height != width for height, width in shapes),
        tuple(min(shape) for shape in shapes),
    )


def read_batch(arm: ArmConfig, files: Sequence[EditFiles], size: int) -> Batch:
    """Return the pictures of one batch, made to fit the model."""
    table = arm.editing
    fitted = {entry: _fitted(table, entry, size) for entry in dict.fromkeys(files)}
    images = np.stack([fitted[entry][0] for entry in files])
    known = [paint for _, paint in (fitted[entry] for entry in files) if paint is not None]
    return Batch(images, np.stack(known) if known else None)


def _fitted(
    table: EditTable | InpaintTable | None, entry: EditFiles, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Decode a picture once; return it and where it is kept, None for a sketch."""
    pixels = read_picture(entry.picture)
    image = fit_picture(pixels, size, entry.picture).pixels
    if not isinstance(table, InpaintTable):
        return image, None
    if entry.mask is None:
        return image, ~box_mask(table.box or [], size)
    return image, ~fit_mask(read_mask(entry.mask, pixels.shape, table.invert_mask), size)


def _for_prompts(path: Path, prompts: Sequence[Prompt], where: str) -> dict[str, Path]:
    if path.is_file():
        return {prompt.id: path for prompt in prompts}
    by_id, by_caption = _named(path, where)
    found = {
        prompt.id: by_id.get(prompt.id) or by_caption.get(_plain(prompt.caption))
        for prompt in prompts
    }
    lacking = [key for key, picture in found.items() if picture is None]
    if lacking:
        raise ImageError(
            f"{where}, folder {path}: {len(lacking)} of {len(prompts)} prompts have no picture "
            f"there: {some(lacking)}. Name a picture as the prompt's id ({lacking[0]}.png), or "
            "add a captions.csv with columns `file` and `caption`."
        )
    return {key: picture for key, picture in found.items() if picture is not None}


def _named(folder: Path, where: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return a folder's pictures by prompt id and by caption."""
    if not folder.is_dir():
        raise ConfigError(
            f"{where}: no such file or folder: {folder}. Paths in a sweep file are relative to "
            "that file."
        )
    for name in CAPTION_FILES:
        if (folder / name).is_file():
            rows = read_table(folder / name, "file")
            files = [
                inside(folder, row["file"], f"{folder / name}: row {number}", ConfigError)
                for number, row in enumerate(rows, 1)
            ]
            told = list(zip(rows, files, strict=True))
            by_id = {row["prompt_id"]: file for row, file in told if row.get("prompt_id")}
            captioned = {
                _plain(row["caption"]): file
                for row, file in told
                if row.get("caption") and not row.get("prompt_id")
            }
            return by_id, captioned
    return {path.stem: path for path in _images(folder)}, {}


def _for_pictures(path: Path, pictures: dict[str, Path], where: str) -> dict[str, Path]:
    """Return each prompt's mask: the one file, or the one named as the prompt's picture."""
    if path.is_file():
        return dict.fromkeys(pictures, path)
    if not path.is_dir():
        raise ConfigError(
            f"{where}: no such file or folder: {path}. Paths in a sweep file are relative to "
            "that file."
        )
    masks = {mask.stem: mask for mask in _images(path)}
    lacking = [picture.name for picture in pictures.values() if picture.stem not in masks]
    if lacking:
        raise ImageError(
            f"{where}, folder {path}: {len(lacking)} pictures have no mask there: "
            f"{some(lacking)}. A mask has its picture's name."
        )
    return {key: masks[picture.stem] for key, picture in pictures.items()}


def _check(files: dict[str, EditFiles], invert: bool, where: str) -> list[tuple[int, int]]:
    """Decode each file once; (height, width) of each prompt's picture."""
    shapes: dict[EditFiles, tuple[int, int]] = {}
    for entry in dict.fromkeys(files.values()):
        try:
            height, width = read_picture(entry.picture).shape[:2]
            if entry.mask is not None:
                paint = read_mask(entry.mask, (height, width), invert)
                known_from(fit_mask(paint, min(height, width)), entry.mask)
        except ImageError as error:
            raise ImageError(f"{where}: {error}") from error
        shapes[entry] = (height, width)
    return [shapes[entry] for entry in files.values()]


def _digests(files: dict[str, EditFiles]) -> dict[str, bytes]:
    # Each file is read once, though it may serve many prompts.
    contents: dict[Path | None, bytes] = {None: b""}
    for entry in files.values():
        for path in (entry.picture, entry.mask):
            if path not in contents and path is not None:
                contents[path] = hashlib.sha256(path.read_bytes()).digest()
    return {key: contents[entry.picture] + contents[entry.mask] for key, entry in files.items()}


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _plain(caption: str) -> str:
    return " ".join(caption.casefold().split())
