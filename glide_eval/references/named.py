"""The reference a user named, for each extractor: a folder of real images, or reference files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from glide_eval.errors import UsageError
from glide_eval.extractors import Extractor
from glide_eval.features import SQUARE, FolderFeatures
from glide_eval.files import holds_pictures, unpacked

from .build import folder_references, statistics_reference
from .reference import Reference


class NamedReferences:
    """Finds an extractor's reference among those that the user named; measures folders if needed.

    Args:
        paths: reference files, published statistics (.npz with `mu` and `sigma`, which are taken
            for those of every extractor that asks), and at most one folder of real images, or an
            archive of them.
        extractors: all that will ask, so that one pass over a folder serves them all.
        crop: for a folder, see `folder_references`.
        skip_unreadable: likewise.

    Raises:
        UsageError: two folders, or a path that is not there.
        FeatureError: a file that is no reference.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        extractors: Sequence[Extractor],
        *,
        crop: str = SQUARE,
        skip_unreadable: bool = False,
    ) -> None:
        if missing := [path for path in paths if not path.exists()]:
            raise UsageError(
                f"{missing[0]} is not there: expected a folder of real images, or a file that "
                "`glide-eval reference build` wrote."
            )
        paths = [unpacked(path) if holds_pictures(path) else path for path in paths]
        folders = [path for path in paths if path.is_dir()]
        self._statistics = [path for path in paths if _holds_statistics(path)]
        if len(folders) > 1:
            raise UsageError(
                f"Two folders of real images were named ({folders[0]}, {folders[1]}): name one, or "
                "build references of each and merge them (glide-eval reference merge)."
            )
        self._extractors = extractors
        self._crop = crop
        self._skip_unreadable = skip_unreadable
        read = [path for path in paths if path not in (*folders, *self._statistics)]
        self._files = {path: Reference.read(path) for path in read}
        self.folder = folders[0] if folders else None
        self.seen: FolderFeatures | None = None  # what the folder held, once it was looked at
        self._of_folder: dict[str, Reference] = {}

    def __call__(self, extractor: Extractor) -> Reference:
        """Return the reference for this extractor.

        Raises:
            FeatureError: there is none; says how those that were named differ.
            ImageError: a folder without images, or with some that can't be read.
        """
        for reference in self._files.values():
            if reference.fingerprint == extractor.fingerprint:
                return reference
        if self.folder is not None:
            return self._measured(self.folder)[extractor.name]
        if self._statistics:
            return statistics_reference(self._statistics[0], extractor)
        # An older version of the same extractor explains more than quite another one.
        path, nearest = min(self._files.items(), key=lambda f: f[1].extractor != extractor.name)
        nearest.refuse_other_extractor(extractor, path)
        return nearest

    def _measured(self, folder: Path) -> dict[str, Reference]:
        if not self._of_folder:
            self._of_folder, self.seen = folder_references(
                self._extractors, folder, crop=self._crop, skip_unreadable=self._skip_unreadable
            )
        return self._of_folder


def _holds_statistics(path: Path) -> bool:
    """Whether a file is an archive of a mean and a covariance."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"mu.npy", "sigma.npy"} <= set(archive.namelist())
