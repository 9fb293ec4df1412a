"""What belongs to a published run: each file with its size and SHA-256, in `files.json`."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from glide_eval.errors import RunError
from glide_eval.files.paths import inside
from glide_eval.files.reading import file_sha256, parse_json
from glide_eval.files.records import Sample
from glide_eval.files.run_store import RunFolder, require_listed

from .card import CARD, data_card
from .packs import EACH, PACKINGS, Sink, parts

LISTING = "files.json"
FORMAT = "glide-eval run 1"
FILES = "files"  # images as they lie in the run folder
RATER = "rater"  # column of votes.csv


@dataclass(frozen=True, slots=True)
class Listed:
    """One published file: its path below the URL, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """A published run.

    Attributes:
        run: SHA-256 of its manifest, which tells runs apart.
        files: in the order in which they are sent.
        images: how its images are published: `files`, or one of `packs.PACKINGS`.
        each: samples in a pack.
        made: the content of files that are not in the run folder as they are published.
        packed: the samples in each pack.
    """

    run: str
    files: list[Listed]
    images: str = FILES
    each: int = EACH
    made: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    packed: Mapping[str, Sequence[Sample]] = field(default_factory=dict[str, Sequence[Sample]])

    def to_json(self) -> str:
        """Return the content of `files.json`."""
        files = [asdict(file) for file in self.files]
        told: dict[str, Any] = {"format": FORMAT, "run": self.run, "images": self.images}
        if self.images != FILES:
            told["each"] = self.each
        return json.dumps({**told, "files": files}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str, folder: Path) -> Listing:
        """Return the listing that `to_json` wrote; its paths stay inside `folder`.

        Raises:
            RunError: it is none, or names a file outside the folder.
        """
        try:
            values: Any = parse_json(text)
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}")
            files = [
                Listed(str(one["path"]), int(one["size"]), str(one["sha256"]))
                for one in values["files"]
            ]
            run, images = str(values["run"]), str(values.get("images", FILES))
            if images not in (FILES, *PACKINGS):
                raise ValueError(f"images as {images!r}")
            if (each := int(values.get("each", EACH))) < 1:
                raise ValueError(f"{each} images in a pack")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{where} is no published run: expected the {LISTING} that `glide-eval push` "
                f"writes, found something else ({error}). Check the URL."
            ) from error
        for file in files:
            inside(folder, file.path, where, RunError)
        return cls(run, files, images, each)


def list_run(run: RunFolder, rater_ids: bool = False, images: str = FILES) -> Listing:
    """Return what is published of a run, every image checked against the manifest.

    Args:
        run: a finished sweep that nobody is writing to.
        rater_ids: publish the votes with the ids of their raters.
        images: see `Listing`.

    Raises:
        RunError: the sweep is unfinished, or an image is not the one it made.
        ImageError: an image is missing.
    """
    if any((run.root / ".shards").rglob("*.jsonl")):
        raise RunError(
            f"{run.root} has records of an unfinished sweep: expected a finished run. "
            "Run the sweep again with the same command, then push again."
        )
    samples = run.samples()
    packed: dict[str, Sequence[Sample]] = {}
    if images != FILES:
        packed = {PACKINGS[images].place(n): part for n, part in enumerate(parts(samples, EACH))}
    files = _packs(run, images, packed) if packed else _images(run, samples)
    files += [
        Listed(path.name, path.stat().st_size, file_sha256(path))
        for path in _tables(run)
        if path.is_file()
    ]
    made: dict[str, bytes] = {}
    votes = 0
    if run.votes_path.is_file():
        content = run.votes_path.read_bytes()
        votes, made["votes.csv"] = _votes(content, rater_ids, run.votes_path)
    own = run.root / CARD  # the publisher's own words win
    made[CARD] = (
        own.read_bytes()
        if own.is_file()
        else data_card(run.provenance(), run.arms(), samples, votes, rater_ids).encode()
    )
    files += [
        Listed(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in made.items()
    ]
    return Listing(file_sha256(run.manifest_path), files, images, EACH, made, packed)


def _images(run: RunFolder, samples: Sequence[Sample]) -> list[Listed]:
    files: list[Listed] = []
    for sample in samples:
        path = run.root / sample.path
        digest = file_sha256(path) if path.is_file() else ""
        require_listed(path, digest, sample)
        files.append(Listed(sample.path, path.stat().st_size, digest))
    return files


def _packs(run: RunFolder, images: str, packed: Mapping[str, Sequence[Sample]]) -> list[Listed]:
    """Return the packs as they will be sent; each is made twice, which spares the disk."""
    files: list[Listed] = []
    for path, part in packed.items():
        sink = Sink()
        PACKINGS[images].write(cast("BinaryIO", sink), run.root, part)
        files.append(Listed(path, sink.size, sink.sha256))
    return files


def _tables(run: RunFolder) -> list[Path]:
    """Return where the run's tables lie, if it has them.

    The study's database is not one of them, since it holds raters' data; nor what can be computed
    again.
    """
    return [
        run.provenance_path,
        run.config_path,
        run.manifest_path,
        run.metrics_path,
        run.metrics_path.with_suffix(".parquet"),
        run.scores_path,
        run.differences_path,
        run.extractors_path,
    ]


def _votes(content: bytes, rater_ids: bool, path: Path) -> tuple[int, bytes]:
    """Return the number of votes, and their table as it is published.

    Ids become `r1`, `r2`, … in their order in the table: votes of one rater stay together, which
    intervals need, and no id leads back to a person.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))
        header = rows[0]
        at = None if rater_ids else header.index(RATER)
    except (ValueError, IndexError, csv.Error) as error:
        raise RunError(
            f"{path}: expected votes with a column `{RATER}`, as `glide-eval study export` writes "
            f"them, found something else ({error}). Export them again, or move the file away."
        ) from error
    if at is None:
        return len(rows) - 1, content
    names: dict[str, str] = {}
    for row in rows[1:]:
        row[at] = names.setdefault(row[at], f"r{len(names) + 1}")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return len(rows) - 1, text.getvalue().encode()
