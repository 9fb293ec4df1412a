"""An arm from a folder: images that exist already, matched to a sweep's prompts by caption."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import ConfigError, ImageError
from glide_eval.files import (
    EMBEDDED,
    Prompt,
    count,
    embedded_caption,
    inside,
    read_lines,
    read_rgb,
    read_table,
    some,
    walk_images,
)

from .file.arm_tables import ImportedTable
from .file.arms import ArmConfig
from .file.sweep_file import SweepFile

CAPTION_FILES = ("captions.csv", "captions.jsonl")


@dataclass(frozen=True, slots=True)
class ImportedFolder:
    """A folder's images, each matched to a prompt and checked.

    Attributes:
        files: (prompt id, replica) → its image file; several candidates in a reranked arm.
        digests: (prompt id, replica) → SHA-256 of each of those files.
        sides: the shorter side of each, in pixels.
        spare: how many captioned images match no prompt and are left out.
    """

    files: dict[tuple[str, int], tuple[Path, ...]]
    digests: dict[tuple[str, int], tuple[bytes, ...]]
    sides: tuple[int, ...]
    spare: int

    @property
    def sha256(self) -> str:
        """The digest over all, so that a changed one is a changed config."""
        return self.sha256_of(self.digests)

    def sha256_of(self, keys: Iterable[tuple[str, int]]) -> str:
        """Return the digest over some images."""
        digest = hashlib.sha256()
        for prompt_id, replica in keys:
            for content in self.digests[prompt_id, replica]:
                digest.update(f"{prompt_id}\0{replica}\0".encode() + content)
        return digest.hexdigest()

    def notes(self, size: int) -> list[str]:
        """Return what the owner should know, if samples are to be `size` pixels wide."""
        notes: list[str] = []
        small = sum(side < size for side in self.sides)
        if self.spare:
            notes.append(f"{self.spare} images match no prompt and are left out.")
        if small:
            notes.append(
                f"{small} images are smaller than {size} px and are enlarged; that alone can "
                "decide what raters and FID prefer."
            )
        return notes


@dataclass(frozen=True, slots=True)
class _Captioned:
    file: Path
    caption: str
    prompt_id: str


def match_folder(sweep: SweepFile, arm: ArmConfig, prompts: Sequence[Prompt]) -> ImportedFolder:
    """Find each prompt's images in an imported arm's folder, and decode every one of them.

    An image belongs to a prompt if its caption is the prompt's (capitals and spaces aside), or its
    row in the captions file names the prompt's id. With several replicas, images of one caption
    are taken in the order of the captions file, or of their names: first one for each replica,
    then, in a reranked arm, a second candidate for each, and so on.

    Args:
        sweep: the sweep file; paths are relative to it.
        arm: the imported arm.
        prompts: of the sweep.

    Raises:
        ConfigError: the folder or captions file is missing.
        ImageError: no captions, no image for some prompt, or images that can't be read.
    """
    table = arm.table
    assert isinstance(table, ImportedTable)
    folder = sweep.resolve(table.folder)
    where = f"{sweep.path}: arm `{arm.name}`, folder {folder}"
    if not folder.is_dir():
        raise ConfigError(
            f"{where}: no such folder. Paths in a sweep file are relative to that file."
        )
    captioned = _captioned(sweep, table, folder, where)
    files = _match(captioned, prompts, sweep.config.run.replicas, arm.candidates, where)
    digests, sides = _check(files, where)
    return ImportedFolder(files, digests, sides, len(captioned) - len(sides))


def _captioned(
    sweep: SweepFile, table: ImportedTable, folder: Path, where: str
) -> list[_Captioned]:
    """Return every image with a caption: from a table, else from text files beside the images."""
    if table.captions == EMBEDDED:
        return _from_images(folder, where)
    if table.captions is not None:
        return _from_table(sweep.resolve(table.captions), folder, where)
    for name in CAPTION_FILES:
        if (folder / name).is_file():
            return _from_table(folder / name, folder, where)
    images = walk_images(folder).images
    sidecars = [path.with_suffix(".txt") for path in images]
    if not images or not any(path.is_file() for path in sidecars):
        raise ImageError(
            f"{where}: found {len(images)} images and no captions, expected captions.csv or "
            "captions.jsonl with columns `file` and `caption`, or a text file beside each image "
            "(cat.png and cat.txt). Add one, or name it with `captions`; "
            'captions = "embedded" takes what the images hold.'
        )
    return [
        _Captioned(image, " ".join(read_lines(text)), "")
        for image, text in zip(images, sidecars, strict=True)
        if text.is_file()
    ]


def _from_images(folder: Path, where: str) -> list[_Captioned]:
    images = walk_images(folder).images
    found = [_Captioned(image, embedded_caption(image), "") for image in images]
    captioned = [image for image in found if image.caption]
    if not captioned:
        raise ImageError(
            f"{where}: found {count(len(images), 'image')} and no prompt in any, expected what "
            "Automatic1111 or ComfyUI write, or a description in EXIF or XMP. Programs that save "
            "images anew drop it. Name a captions file instead."
        )
    return captioned


def _from_table(table: Path, folder: Path, where: str) -> list[_Captioned]:
    rows = read_table(table, "file")
    if not rows or not any(row.get("caption") or row.get("prompt_id") for row in rows):
        raise ImageError(
            f"{where}: {table} has no captions, expected a column `caption` (or `prompt_id`) "
            "beside `file`. Add one."
        )
    return [
        _Captioned(
            inside(folder, row["file"], f"{table}: row {number}", ConfigError),
            row.get("caption", ""),
            row.get("prompt_id", ""),
        )
        for number, row in enumerate(rows, 1)
    ]


def _match(
    captioned: Sequence[_Captioned],
    prompts: Sequence[Prompt],
    replicas: int,
    candidates: int,
    where: str,
) -> dict[tuple[str, int], tuple[Path, ...]]:
    by_id: defaultdict[str, deque[Path]] = defaultdict(deque)
    by_caption: defaultdict[str, deque[Path]] = defaultdict(deque)
    for image in captioned:
        if image.prompt_id:
            by_id[image.prompt_id].append(image.file)
        else:
            by_caption[_plain(image.caption)].append(image.file)
    files: dict[tuple[str, int], tuple[Path, ...]] = {}
    lacking: list[Prompt] = []
    needed = replicas * candidates
    for prompt in prompts:
        queue = by_id.get(prompt.id) or by_caption[_plain(prompt.caption)]
        if len(queue) < needed:
            lacking.append(prompt)
            continue
        taken = [queue.popleft() for _ in range(needed)]
        for replica in range(replicas):
            files[prompt.id, replica] = tuple(taken[replica::replicas])
    if lacking:
        factors = ["`run.replicas`"] * (replicas > 1) + ["`rerank.best_of`"] * (candidates > 1)
        each = f"{needed} images ({' × '.join(factors)})" if factors else "an image"
        raise ImageError(
            f"{where}: {len(lacking)} of {len(prompts)} prompts have not {each} here: "
            f"{some([f'{p.id} {p.caption!r}' for p in lacking])}. The folder has "
            f"{len(captioned)} captioned images; captions must equal the prompts' word for word. "
            "Add images, or take the prompts from the folder's own captions (`prompts.file`)."
        )
    return files


def _check(
    files: dict[tuple[str, int], tuple[Path, ...]], where: str
) -> tuple[dict[tuple[str, int], tuple[bytes, ...]], tuple[int, ...]]:
    """Decode every image; the SHA-256 of each, and each one's shorter side."""
    digests: dict[tuple[str, int], tuple[bytes, ...]] = {}
    sides: list[int] = []
    bad: list[str] = []
    for key, paths in files.items():
        for path in paths:
            try:
                sides.append(min(read_rgb(path).shape[:2]))
                content = path.read_bytes()
            except ImageError as error:
                reason = (error.__cause__ or error) if path.exists() else "missing"
                bad.append(f"{path.name} ({reason})")
                continue
            digests[key] = (*digests.get(key, ()), hashlib.sha256(content).digest())
    if bad:
        raise ImageError(
            f"{where}: {len(bad)} of {sum(map(len, files.values()))} images are missing or can't "
            f"be decoded: {some(bad)}. Put whole images there and run the command again."
        )
    return digests, tuple(sides)


def _plain(caption: str) -> str:
    return " ".join(caption.casefold().split())
