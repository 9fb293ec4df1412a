"""Features of a run's samples: from the run's cache, else from one pass over the images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from glide_eval.errors import ImageError, RunError
from glide_eval.extractors import Extractor, Features, cache_key, load_features, save_features
from glide_eval.files import (
    RunFolder,
    Sample,
    decode,
    file_sha256,
    require_listed,
    sample_bytes,
    some,
)

from .one_pass import THREADS, Batch, Picture, extract


def extract_run(
    run: RunFolder, arms: dict[str, list[Sample]], extractors: Sequence[Extractor]
) -> dict[tuple[str, str], Features]:
    """Features of every arm by every extractor.

    Each arm's are kept as soon as they are whole, so a pass that is stopped goes on there. Files of
    arms whose features are known already are still hashed: values must be of the images that lie
    there.

    Returns:
        (extractor's name, arm) -> features, rows in the manifest's order.

    Raises:
        ImageError: samples are missing, truncated or not images, or an arm mixes sizes.
        RunError: an image that is not the one the sweep made.
        FeatureError: features that are not finite.
    """
    found: dict[tuple[str, str], Features] = {}
    missing: dict[str, list[Extractor]] = {}
    for arm, samples in arms.items():
        for extractor in extractors:
            features = load_features(_path(run, extractor, arm), _key(extractor, samples))
            if features is not None and len(features) == len(samples):
                found[extractor.name, arm] = features
            else:
                missing.setdefault(arm, []).append(extractor)
    for arm, samples in arms.items():
        if arm not in missing:
            _require_unchanged(run, samples)
    total = sum(len(arms[arm]) for arm in missing)
    with tqdm(total=total, desc="Measuring", unit="image", disable=None) as progress:
        for arm, waiting in missing.items():
            batches: dict[str, list[Features]] = {extractor.name: [] for extractor in waiting}
            for batch in _pass(run, arms[arm], waiting):
                for name, features in batch.features.items():
                    batches[name].append(features)
                progress.update(len(batch.seen))
            for extractor in waiting:
                features = Features.concatenate(batches[extractor.name])
                save_features(_path(run, extractor, arm), _key(extractor, arms[arm]), features)
                found[extractor.name, arm] = features
    return found


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
            if seen.shape != first.shape:
                raise ImageError(
                    f"Arm {seen.item.arm!r} mixes sizes: {run.root / first.item.path} has "
                    f"{size_in_words(first.shape)} pixels, {run.root / seen.item.path} "
                    f"{size_in_words(seen.shape)}. Resizing them apart would bias the metrics; "
                    "give the arm images of one size."
                )
        yield batch


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
