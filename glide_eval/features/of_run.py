"""Features of a run's samples: from the run's cache, else from one pass over the images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import ImageError, RunError
from glide_eval.extractors import (
    Extractor,
    Features,
    KeptFeatures,
    cache_key,
    load_features,
    row_key,
)
from glide_eval.files import (
    RunFolder,
    Sample,
    Share,
    decode,
    file_sha256,
    progress,
    require_listed,
    sample_bytes,
    some,
)

from .one_pass import THREADS, Batch, Picture, extract
from .saving import PART, saved


def extract_run(
    run: RunFolder,
    arms: dict[str, list[Sample]],
    extractors: Sequence[Extractor],
    share: Share | None = None,
) -> dict[tuple[str, str], Features] | None:
    """Features of every arm by every extractor.

    They are saved as they come, so a pass that is stopped goes on there. Files of images whose
    features are known already are still hashed: values must be of the images that lie there.

    Args:
        run: whose samples they are.
        arms: the samples of each arm.
        extractors: who looks.
        share: look at this part of the images alone, beside other tasks.

    Returns:
        (extractor's name, arm) -> features, rows in the manifest's order; None if other tasks have
        not looked at all their images yet.

    Raises:
        ImageError: samples are missing, truncated or not images, or an arm mixes sizes.
        RunError: an image that is not the one the sweep made.
        FeatureError: features that are not finite.
    """
    found: dict[tuple[str, str], Features] = {}
    waiting: list[_Waiting] = []
    for arm, samples in arms.items():
        for extractor in extractors:
            whole = load_features(_path(run, extractor, arm), _key(extractor, samples))
            if whole is not None and len(whole) == len(samples):  # as version 0.1 kept them
                found[extractor.name, arm] = whole
        left = [e for e in extractors if (e.name, arm) not in found]
        waiting.append(_Waiting.of(run, arm, samples, left))
    todo = [(arm, _mine(arm, share)) for arm in waiting]
    for arm, missing in todo:
        again = {sample.key for sample in missing}
        _require_unchanged(run, [s for s in arms[arm.name] if s.key not in again])
    total = sum(len(missing) for _, missing in todo)
    with progress(total, "Measuring") as update:
        for arm, missing in todo:
            batches = _pass(run, missing, arm.extractors)
            for batch in saved(batches, arm.kept, lambda seen: _row(seen.item)):
                update(len(batch.seen))
    if share is not None:  # others have saved theirs meanwhile
        waiting = [_Waiting.of(run, arm.name, arm.samples, arm.extractors) for arm in waiting]
        if any(arm.missing(arm.samples) for arm in waiting):
            return None
    for arm in waiting:
        found |= arm.features(run)
    return found


@dataclass(frozen=True)
class _Waiting:
    """An arm, and the extractors whose features of it are kept in parts, if they are at all.

    Attributes:
        name: of the arm.
        samples: its samples.
        extractors: those extractors.
        kept: their features so far, by their names.
    """

    name: str
    samples: Sequence[Sample]
    extractors: Sequence[Extractor]
    kept: dict[str, KeptFeatures]

    @classmethod
    def of(
        cls, run: RunFolder, arm: str, samples: Sequence[Sample], extractors: Sequence[Extractor]
    ) -> _Waiting:
        places = {e.name: _path(run, e, arm).with_suffix("") for e in extractors}
        kept = {e.name: KeptFeatures(places[e.name], e.fingerprint) for e in extractors}
        return cls(arm, samples, extractors, kept)

    def missing(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return those of some samples that not every extractor has seen."""
        kept = self.kept.values()
        return [s for s in samples if any(_row(s) not in seen for seen in kept)]

    def features(self, run: RunFolder) -> dict[tuple[str, str], Features]:
        """Return the features by extractor and arm, all of which are kept by now.

        Raises:
            ImageError: the arm mixes sizes.
        """
        samples, rows = self.samples, [_row(sample) for sample in self.samples]
        for kept in self.kept.values():
            for sample, row in zip(samples, rows, strict=True):
                size = kept.image(row)[1]
                _require_one_size(run, samples[0], kept.image(rows[0])[1], sample, size)
        return {(name, self.name): kept.take(rows) for name, kept in self.kept.items()}


def _mine(arm: _Waiting, share: Share | None) -> list[Sample]:
    """Return the samples to look at: those of our parts, if other tasks look at the rest."""
    firsts = range(0, len(arm.samples), PART)
    mine = share.of_items(firsts) if share else firsts
    return arm.missing([s for first in mine for s in arm.samples[first : first + PART]])


def _row(sample: Sample) -> str:
    return row_key(sample.sha256, sample.caption)


def samples_by_arm(run: RunFolder) -> dict[str, list[Sample]]:
    """Samples of each arm in the run's order, every file at least present.

    Raises:
        RunError: an arm without samples, or samples of an unknown arm.
        ImageError: a sample's file is missing.
    """
    arms: dict[str, list[Sample]] = {arm.name: [] for arm in run.arms()}
    for sample in run.samples():
        if sample.arm not in arms:
            raise RunError(
                f"{run.manifest_path} lists arm {sample.arm!r}, which {run.provenance_path} does "
                f"not have; it has {', '.join(arms)}. Run the sweep again to rebuild the manifest."
            )
        arms[sample.arm].append(sample)
    for arm, samples in arms.items():
        if not samples:
            raise RunError(
                f"{run.manifest_path} has no sample of arm {arm!r}: the sweep has not finished. "
                "Run it again with the same command to resume."
            )
        gone = [s.path for s in samples if not (run.root / s.path).is_file()]
        if gone:
            raise ImageError(
                f"{run.root} lacks images of arm {arm!r} that the manifest lists: {some(gone)}. "
                "Run the sweep again with the same command to make them anew."
            )
    return arms


def images_digest(samples: Sequence[Sample]) -> str:
    """Twelve hex digits of an arm's images and captions: rows with others are of other images."""
    return cache_key("", [s.sha256 for s in samples], [s.caption for s in samples])[:12]


def _pass(
    run: RunFolder, samples: Sequence[Sample], extractors: Sequence[Extractor]
) -> Iterator[Batch[Sample]]:
    """Batches of one arm, which must not mix sizes."""

    def read(sample: Sample) -> Picture:
        path = run.root / sample.path
        pixels, kind = decode(sample_bytes(path, sample), path)
        return Picture(pixels, sample.sha256, kind)

    first = None
    for batch in extract(
        samples, read, extractors, caption=lambda s: s.caption, name=lambda s: s.path
    ):
        for seen in batch.seen:
            first = first or seen
            _require_one_size(run, first.item, first.shape, seen.item, seen.shape)
        yield batch


def _require_one_size(
    run: RunFolder, first: Sample, size: tuple[int, ...], other: Sample, its: tuple[int, ...]
) -> None:
    if its[:2] != size[:2]:
        raise ImageError(
            f"Arm {other.arm!r} mixes sizes: {run.root / first.path} has {size_in_words(size)} "
            f"pixels, {run.root / other.path} {size_in_words(its)}. Resizing them apart would bias "
            "the metrics; give the arm images of one size."
        )


def _require_unchanged(run: RunFolder, samples: Sequence[Sample]) -> None:
    """Raise as `sample_bytes` does, unless every file is the one that the manifest lists."""
    paths = [run.root / sample.path for sample in samples]
    with ThreadPoolExecutor(THREADS) as pool:
        digests = pool.map(file_sha256, paths)
        for path, digest, sample in zip(paths, digests, samples, strict=True):
            require_listed(path, digest, sample)


def size_in_words(shape: tuple[int, ...]) -> str:
    """`256 × 192`: width, then height, of (h, w, …)."""
    return f"{shape[1]} × {shape[0]}"


def _key(extractor: Extractor, samples: Sequence[Sample]) -> str:
    return cache_key(
        extractor.fingerprint, [s.sha256 for s in samples], [s.caption for s in samples]
    )


def _path(run: RunFolder, extractor: Extractor, arm: str) -> Path:
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", extractor.name)  # a name may hold a file's path
    return run.features_dir / folder / f"{arm}.npz"
