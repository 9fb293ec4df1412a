"""COCO's captions files (Chen et al. 2015): their images, and a subset of captions by seed."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import ConfigError, ImageError
from glide_eval.files import count, inside, parse_json, read_whole, some

from .reference import Caption

PAPER_CAPTIONS = 30_000  # GLIDE, appendix A.2
SHOWN = 3


@dataclass(frozen=True)
class CocoCaptions:
    """What was chosen from a captions file.

    Attributes:
        name: the file's, without its ending.
        files: names of the images that make the reference, sorted, each once.
        captions: the chosen ones, in random order, so that their first k are a random subset too.
        seed: that chose them.
        asked: how many captions were asked for.
    """

    name: str
    files: tuple[str, ...]
    captions: tuple[Caption, ...]
    seed: int
    asked: int

    def in_words(self) -> str:
        """Describe the choice for a reference's source."""
        return f"{count(len(self.files), 'image')} of {self.name}"

    def find_images(self, folder: Path) -> list[Path]:
        """Return each image's file.

        Raises:
            ImageError: some are not there.
        """
        paths = [inside(folder, name, self.name, ImageError) for name in self.files]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise ImageError(
                f"{folder} lacks {len(missing):,} of the {len(paths):,} images that {self.name} "
                f"lists: {some(missing, SHOWN)}. Name the folder the images of this "
                "captions file are in."
            )
        return paths


def read_coco(
    path: Path, number: int = PAPER_CAPTIONS, seed: int = 0, *, chosen_only: bool = False
) -> CocoCaptions:
    """Read images and a random subset of captions from a COCO captions file.

    A caption's place in the draw is the SHA-256 of seed and id, so that the choice is the same on
    every machine and with every version of every library, and a larger one begins with a smaller.

    Args:
        path: such as `captions_val2014.json`.
        number: how many captions to choose; all, if there are fewer.
        seed: decides which.
        chosen_only: only images with a chosen caption; else all the file lists, as in GLIDE.

    Raises:
        ConfigError: not a COCO captions file.
    """
    try:
        content = parse_json(read_whole(path))
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        captions = [
            Caption(str(a["id"]), " ".join(a["caption"].split()), files[a["image_id"]])
            for a in content["annotations"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected COCO captions (JSON with `images` and `annotations`, each of them "
            f"with `id`, `image_id` and `caption`), found something else ({error!r})."
        ) from error
    if not captions:
        raise ConfigError(f"{path}: expected captions, found none in `annotations`.")
    chosen = sorted(captions, key=lambda caption: _draw(seed, caption))[:number]
    used = {caption.file for caption in chosen} if chosen_only else set(files.values())
    return CocoCaptions(path.stem, tuple(sorted(used)), tuple(chosen), seed, number)


def prompts_csv(captions: Sequence[Caption]) -> str:
    """Return captions as a file for a sweep's `prompts.file`: id, caption, file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "caption", "file"])
    writer.writerows((caption.id, caption.caption, caption.file) for caption in captions)
    return text.getvalue()


def _draw(seed: int, caption: Caption) -> str:
    return hashlib.sha256(f"{seed}:{caption.id}".encode()).hexdigest()
