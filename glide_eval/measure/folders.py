"""Measuring plain folders of images, without a run: one or several against real images.

What could move a value without anybody meaning it is said in notes: mixed sizes, folders of another
file format or size, files that were not used and why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glide_eval.errors import ConfigError, ImageError, UsageError
from glide_eval.extractors import Extractor, Features, cache_key
from glide_eval.features import (
    SQUARE,
    FolderFeatures,
    Unreadable,
    folder_features,
    read_picture,
    size_in_words,
)
from glide_eval.files import (
    EMBEDDED,
    ImageFolder,
    count,
    embedded_caption,
    list_images,
    read_lines,
    read_table,
    some,
)
from glide_eval.metrics import Measured, Metric, Observed
from glide_eval.references import Reference, folder_references
from glide_eval.sweep import CAPTION_FILES

from .differences import difference_rows, pairs_to_compare
from .run import Subject, choose_for
from .tables import DifferenceRow, MetricRow

SHOWN = 3


@dataclass(frozen=True)
class FoldersMeasured:
    """What came of measuring folders.

    Attributes:
        rows: as in a run's `metrics.csv`; the arm is the folder's name.
        differences: each folder but the first less the first.
        notes: what to know before believing them.
        not_used: files that were not measured, with the reason.
        facts: of the extractors, by fingerprint.
        scores: metrics of single images.
    """

    rows: list[MetricRow]
    differences: list[DifferenceRow]
    notes: list[str]
    not_used: list[Unreadable[Path]]
    facts: dict[str, dict[str, str]]
    scores: list[FileScore] = field(default_factory=list["FileScore"])


@dataclass(frozen=True, slots=True)
class FileScore:
    """One metric of one image.

    Attributes:
        arm: the folder's name.
        file: the image.
        metric: name.
        value: finite.
        extractor: name.
    """

    arm: str
    file: str
    metric: str
    value: float
    extractor: str


@dataclass(eq=False)
class _Account:
    """Notes and unused files as they come up."""

    notes: list[str] = field(default_factory=list)
    not_used: list[Unreadable[Path]] = field(default_factory=list)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)


def measure_folders(
    fakes: Sequence[Path],
    real: Path | Callable[[Extractor], Reference] | None,
    extractors: Sequence[Extractor],
    metrics: Sequence[str] | None = None,
    *,
    captions: Path | None = None,
    crop: bool = False,
    skip_unreadable: bool = False,
    is_splits: int = 1,
) -> FoldersMeasured:
    """Measure folders of generated images.

    Args:
        fakes: the folders, images at any depth.
        real: a folder of real images, or what finds a reference for an extractor; None leaves out
            the metrics that compare with real images.
        extractors: who looks at the images.
        metrics: names; None means all that each extractor can give.
        captions: `.csv` or `.jsonl` with columns `file` and `caption`; None looks for one of that
            name in each folder, and for a text file beside each image; `embedded` reads the prompts
            that the images hold (`embedded_caption`).
        crop: cut each image to its central square first, real ones too.
        skip_unreadable: leave out images that can't be read; else they are refused, all named.
        is_splits: into how many parts the Inception Score divides the images of a folder.

    Raises:
        UsageError: metrics that can't be given.
        ImageError: no such folder, no image in it, or images that can't be read.
        ConfigError: a captions file that can't be read.
        FeatureError: features that are not finite, or a reference of another extractor.
    """
    chosen = choose_for(extractors, metrics)
    if real is None:
        chosen = _without_reference(chosen, refuse=metrics is not None)
    account = _Account()
    listings = {name: list_images(folder) for name, folder in _named(fakes).items()}
    cropped = SQUARE if crop else ""
    references: Mapping[str, Reference] = {}
    if isinstance(real, Path):
        references, real_seen = _real(real, extractors, cropped, skip_unreadable, account)
        account.kinds["real"] = _kinds(real_seen)
    elif real is not None:
        references = {extractor.name: real(extractor) for extractor in extractors}
    rows: list[MetricRow] = []
    scores: list[FileScore] = []
    observed: dict[str, list[Observed]] = {extractor.name: [] for extractor in extractors}
    for (name, listing), folder in zip(listings.items(), fakes, strict=True):
        table = captions or _captions_file(folder)
        texts, why_not = _captions(folder, listing.images, table, skip_unreadable)
        found = folder_features(
            folder,
            listing.images,
            extractors,
            crop=cropped,
            captions=texts,
            skip_unreadable=skip_unreadable,
        )
        account.kinds[name] = _kinds(found)
        used = {table, *(path.with_suffix(".txt") for path in texts or ())}
        account.not_used += [file for file in not_images(listing) if file.item not in used]
        account.not_used += found.left_out
        spoken = None if texts is None else [texts[image.item] for image in found.seen]
        for extractor in extractors:
            told = _Told.of(
                found, spoken, extractor, references.get(extractor.name), name, cropped, why_not,
                is_splits,
            )  # fmt: skip
            for metric in chosen[extractor.name]:
                row, one, each = told.measured(metric)
                rows += row
                observed[extractor.name] += one
                scores += each
    account.notes += _format_notes(account.kinds)
    for reference in references.values():
        account.notes += _crop_notes(reference, account.kinds)
    pairs = pairs_to_compare(list(listings), next(iter(listings)))
    gaps = [
        row for e in extractors for row in difference_rows(observed[e.name], rows, pairs, e.name)
    ]
    facts = {extractor.fingerprint: extractor.facts for extractor in extractors}
    return FoldersMeasured(rows, gaps, account.notes, account.not_used, facts, scores)


def _without_reference(
    chosen: Mapping[str, list[Metric]], *, refuse: bool
) -> dict[str, list[Metric]]:
    """Leave out the metrics that compare with real images, or refuse them if they were named."""
    needing = [m.name for given in chosen.values() for m in given if m.needs_reference]
    if refuse and needing:
        raise UsageError(f"{', '.join(needing)} compare with real images: name them with --real.")
    return {name: [m for m in given if not m.needs_reference] for name, given in chosen.items()}


def numbered(prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Each prompt with how often it came before: its replica."""
    before: Counter[str] = Counter()
    keys = []
    for prompt in prompts:
        keys.append((prompt, before[prompt]))
        before[prompt] += 1
    return keys


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Each folder by the shortest name that tells it from the others."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise UsageError("--fake names the same folder twice: give each once.")
    return dict(zip(names, folders, strict=True))


def _real(
    folder: Path,
    extractors: Sequence[Extractor],
    crop: str,
    skip_unreadable: bool,
    account: _Account,
) -> tuple[dict[str, Reference], FolderFeatures]:
    listing = list_images(folder)
    references, seen = folder_references(
        extractors, folder, crop=crop, skip_unreadable=skip_unreadable
    )
    account.not_used += not_images(listing)
    account.not_used += seen.left_out
    return references, seen


def not_images(listing: ImageFolder) -> list[Unreadable[Path]]:
    """What a folder holds beside images, each with the reason why it is not used."""
    return [Unreadable(path, reason) for path, reason in listing.others.items()]


def _captions_file(folder: Path) -> Path | None:
    return next((folder / n for n in CAPTION_FILES if (folder / n).is_file()), None)


def _captions(
    folder: Path, images: Sequence[Path], table: Path | None, skip_unreadable: bool
) -> tuple[dict[Path, str] | None, str]:
    """Every image's caption, or None and why not; what is left out as unreadable needs none."""
    if table is None:
        beside = {path: path.with_suffix(".txt") for path in images}
        found = {
            path: " ".join(" ".join(read_lines(text)).split())
            for path, text in beside.items()
            if text.is_file()
        }
        if not found:
            return None, "no captions were given (--captions FILE)"
    elif str(table) == EMBEDDED:
        spoken = {path: embedded_caption(path) for path in images}
        found = {path: text for path, text in spoken.items() if text}
    else:
        rows = read_table(table, "file")
        if not any(row.get("caption") for row in rows):
            raise ConfigError(
                f"{table}: expected columns `file` and `caption`, found no caption. Add them."
            )
        texts = {row["file"]: row.get("caption", "") for row in rows}
        found = {
            path: text
            for path in images
            if (text := texts.get(path.relative_to(folder).as_posix(), texts.get(path.name)))
            is not None
        }
    lacking = [
        path.name
        for path in images
        if path not in found and not (skip_unreadable and _unreadable(path))
    ]
    if lacking:
        return None, (
            f"{len(lacking):,} of {count(len(images), 'image')} have no caption "
            f"({some(lacking, SHOWN)})"
        )
    return found, ""


@dataclass(frozen=True, eq=False)
class _Told:
    """A folder under one extractor; images whose caption is empty take no part in what needs one.

    Attributes:
        subject: all images.
        features: theirs.
        spoken: each image's caption; None without captions.
        keys: each image's prompt and replica.
        files: each image's path.
    """

    subject: Subject
    features: Features
    spoken: Sequence[str] | None
    keys: Sequence[tuple[str, int]]
    files: Sequence[str]

    @classmethod
    def of(
        cls,
        found: FolderFeatures,
        spoken: Sequence[str] | None,
        extractor: Extractor,
        reference: Reference | None,
        name: str,
        crop: str,
        why_not: str,
        is_splits: int,
    ) -> _Told:
        """What one extractor saw of a folder, with what every row about it repeats."""
        files = [str(image.item) for image in found.seen]
        # Without captions no image of one folder is known to be like one of another.
        words = files if spoken is None else spoken
        keys = numbered([text or file for text, file in zip(words, files, strict=True)])
        features = found.features[extractor.name]
        seen = Measured(features, [prompt for prompt, _ in keys], reference, is_splits)
        images = cache_key(crop, [image.sha256 for image in found.seen], spoken)[:12]
        subject = Subject(name, seen, images, extractor, no_captions=why_not)
        return cls(subject, features, spoken, keys, files)

    def measured(self, metric: Metric) -> tuple[list[MetricRow], list[Observed], list[FileScore]]:
        """Return the metric's row and value, none without one, and its values of single images."""
        subject, kept = self.subject, self._kept(metric)
        whole = len(kept) == len(self.files)
        if not whole:
            subject = dataclasses.replace(subject, seen=_rows(subject.seen, self.features, kept))
        value, each = subject.evaluate(metric)
        scores = [] if each is None else self._scores(metric, kept, each)
        if value is None:
            return [], [], scores
        row = subject.row(value, metric)
        keys = [self.keys[number] for number in kept]
        return (
            [row if whole else _noted(row, len(self.files))],
            [Observed(subject.arm, value, keys)],
            scores,
        )

    def _kept(self, metric: Metric) -> list[int]:
        everyone = list(range(len(self.files)))
        if self.spoken is None or not metric.needs_captions:
            return everyone
        return [number for number in everyone if self.spoken[number]]

    def _scores(self, metric: Metric, kept: Sequence[int], each: np.ndarray) -> list[FileScore]:
        arm, extractor = self.subject.arm, self.subject.extractor.name
        return [
            FileScore(arm, self.files[number], metric.name, float(score), extractor)
            for number, score in zip(kept, each, strict=True)
            if not np.isnan(score)
        ]


def _rows(seen: Measured, features: Features, kept: Sequence[int]) -> Measured:
    """Some of the images."""
    arrays = {
        name: values[kept] if values.ndim else values
        for name, values in features.to_arrays().items()
    }
    prompts = [seen.prompts[number] for number in kept]
    return Measured(Features.from_arrays(arrays), prompts, seen.reference, seen.is_splits)


def _noted(row: MetricRow, images: int) -> MetricRow:
    """A row with what it says of images whose caption is empty."""
    note = f"of the {row.n:,} of {count(images, 'image')} whose caption is not empty"
    return dataclasses.replace(row, note="; ".join(filter(None, [row.note, note])))


def _unreadable(path: Path) -> bool:
    try:
        read_picture(path)
    except ImageError:
        return True
    return False


def _kinds(found: FolderFeatures) -> Counter[str]:
    """How many images there are of each format and size: `JPEG 256 × 256`."""
    return Counter(f"{image.kind} {size_in_words(image.shape)}" for image in found.seen)


def _format_notes(kinds: Mapping[str, Counter[str]]) -> list[str]:
    notes = []
    for name, counted in kinds.items():
        sizes = {kind.split(" ", 1)[1] for kind in counted}
        if len(sizes) > 1:
            notes.append(
                f"{name} mixes sizes ({_in_words(counted)}): each image is resized by the "
                "extractor's rule, so part of a difference may be that of sizes."
            )
    first, *others = kinds.items()
    for name, counted in others:
        if set(counted) != set(first[1]):
            notes.append(
                f"{first[0]} is {_in_words(first[1])}, {name} is {_in_words(counted)}: FID and "
                "other comparisons measure that difference too."
            )
    return notes


def _crop_notes(reference: Reference, kinds: Mapping[str, Counter[str]]) -> list[str]:
    """What to say where the real images were cropped and the generated ones are not square."""
    if reference.crop != SQUARE:
        return []
    return [
        f"{name} holds images that are not square, while the reference {reference.source!r} was "
        "cropped to squares: crop both (--crop) or neither."
        for name, counted in kinds.items()
        if any(w != h for w, h in (kind.split(" ", 1)[1].split(" × ") for kind in counted))
    ]


def _in_words(counted: Counter[str]) -> str:
    shown = [kind for kind, _ in counted.most_common(SHOWN)]
    more = f" and {len(counted) - SHOWN} other kinds" if len(counted) > SHOWN else ""
    return ", ".join(shown) + more
