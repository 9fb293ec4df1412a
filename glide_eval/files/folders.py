"""What a folder of images holds, links followed, nothing skipped in silence."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glide_eval.errors import ImageError, NoFolderError

from .images import IMAGE_SUFFIXES


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds, in the order of its paths, hidden files left out.

    Attributes:
        images: files with the suffix of an image, at any depth.
        others: everything else, with the reason why it is not used.
    """

    images: list[Path]
    others: Mapping[Path, str]


def list_images(folder: Path) -> ImageFolder:
    """The images of a folder and of those below it, sorted by path.

    Raises:
        ImageError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise NoFolderError(f"{folder} is not a folder: expected a folder of images.")
    found = walk_images(folder)
    if not found.images:
        raise ImageError(
            f"{folder} holds no image: found {len(found.others)} other files, expected some ending "
            f"in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return found


def walk_images(folder: Path) -> ImageFolder:
    """Like `list_images`, of a folder that may hold no image.

    Links to folders are followed after all folders that lie here themselves. A folder that was
    listed before, as in a loop of links, is not listed again.
    """
    walk = _Walk()
    walk.all_below(folder)
    others = {path: walk.others[path] for path in sorted(walk.others)}
    return ImageFolder(sorted(walk.images), others)


@dataclass(eq=False)
class _Walk:
    images: list[Path] = field(default_factory=list[Path])
    others: dict[Path, str] = field(default_factory=dict[Path, str])
    _listed: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def all_below(self, folder: Path) -> None:
        folders, links = deque([folder]), deque[Path]()
        while folders or links:
            here = folders.popleft() if folders else links.popleft()
            try:
                with os.scandir(here) as entries:
                    if self._is_new(here):
                        self._sort(entries, folders, links)
            except OSError as error:
                self.others[here] = f"a folder that can't be listed ({error.strerror})"

    def _is_new(self, folder: Path) -> bool:
        found = folder.stat()
        identity = (found.st_dev, found.st_ino)
        if identity in self._listed:
            self.others[folder] = "a link to a folder whose images are listed already"
            return False
        self._listed.add(identity)
        return True

    def _sort(
        self, entries: Iterable[os.DirEntry[str]], folders: deque[Path], links: deque[Path]
    ) -> None:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if path.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif not path.is_file():
                broken = entry.is_symlink() and not path.exists()
                self.others[path] = "a link that leads nowhere" if broken else "not a regular file"
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                self.images.append(path)
            else:
                self.others[path] = f"not an image by its name ({path.suffix or 'no ending'})"
