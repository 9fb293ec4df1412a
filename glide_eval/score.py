"""The measuring pass: one look at a run's images feeds every extractor and every metric.

Writes `metrics.csv` and `metrics.parquet` (a row an arm, metric and extractor) and `scores.csv` (a
row a sample, metric and extractor). Rows of other extractors or metrics stay as long as they are of
the same images, so a run can be measured again and again with more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .errors import FeatureError, ImageError, RunError, UsageError
from .extractors import Extractor, Features
from .extractors.cache import cache_key, load_features, save_features
from .images import decode_rgb, read_file
from .metric_tables import MetricRow, Pass, ScoreRow, add_pass
from .metrics.registry import METRICS, Measured, Metric, evaluate
from .metrics.value import MetricValue, nonfinite_rows
from .records import Sample
from .reference import Reference, tabletop_reference
from .run_store import RunFolder
from .scorers import CLIPS

BATCH = 32


def measure(
    run: RunFolder,
    extractors: Sequence[Extractor],
    metrics: Sequence[str] | None = None,
    reference: Callable[[Extractor], Reference] = tabletop_reference,
) -> list[MetricRow]:
    """Measure every arm of a run and write its metric files.

    All that can be checked is checked before the first image is read: metric names, arms without
    samples, missing files. Features come from the run's cache where images and extractor are the
    same, else from one pass over the images.

    Args:
        run: a finished sweep.
        extractors: who looks at the images.
        metrics: names; None means all that each extractor can give.
        reference: builds or finds the real images' features for an extractor; called only if a
            metric needs them.

    Returns:
        The whole of `metrics.csv`, kept rows included.

    Raises:
        UsageError: an unknown metric, or one that an extractor can't give.
        RunError: an arm without samples, or an image that is not the one the sweep made.
        ImageError: a sample that is missing, truncated or not an image.
        FeatureError: features that are not finite.
        StorageError: the disk is full; earlier files are as they were.
    """
    chosen = {extractor.name: choose(extractor, metrics) for extractor in extractors}
    arms = _samples_by_arm(run)
    rerankers = {arm.name: arm.reranked_by for arm in run.arms()}
    features = extract_run(run, arms, extractors)
    rows: list[MetricRow] = []
    scores: list[ScoreRow] = []
    for extractor in extractors:
        compared = any(metric.needs_reference for metric in chosen[extractor.name])
        real = reference(extractor) if compared else None
        for arm, samples in arms.items():
            subject = _Subject(arm, samples, extractor, real, rerankers[arm])
            seen = Measured(features[extractor.name, arm], [s.prompt_id for s in samples], real)
            for metric in chosen[extractor.name]:
                value, per_sample = _evaluate(metric, seen, subject)
                if value is not None:
                    rows.append(subject.row(value, metric))
                if per_sample is not None:
                    scores += subject.score_rows(metric.name, per_sample)
    return add_pass(
        run,
        Pass(
            rows,
            scores,
            measured={(metric.name, e.name) for e in extractors for metric in chosen[e.name]},
            fingerprints={extractor.name: extractor.fingerprint for extractor in extractors},
            images={arm: images_digest(samples) for arm, samples in arms.items()},
        ),
    )


def choose(extractor: Extractor, metrics: Sequence[str] | None) -> list[Metric]:
    """The metrics an extractor is to give, in the order of `METRICS`.

    Raises:
        UsageError: a name is unknown, or not among what the extractor provides.
    """
    able = {name: m for name, m in METRICS.items() if m.needs in extractor.provides}
    if metrics is None:
        return list(able.values())
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"No metric is named {name!r}; there are {', '.join(METRICS)}.")
        if name not in able:
            raise UsageError(
                f"{extractor.name} can't give {name}: it has no {METRICS[name].needs}. It gives "
                f"{', '.join(able)}."
            )
    return [metric for name, metric in able.items() if name in metrics]


def extract_run(
    run: RunFolder, arms: dict[str, list[Sample]], extractors: Sequence[Extractor]
) -> dict[tuple[str, str], Features]:
    """Features of every arm by every extractor, from the cache or from one pass over the images.

    Returns:
        (extractor's name, arm) -> features, rows in the manifest's order.

    Raises:
        ImageError: a sample is missing, truncated or not an image, or an arm mixes sizes.
        RunError: an image that is not the one the sweep made.
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
    total = sum(len(arms[arm]) for arm in missing)
    with tqdm(total=total, desc="Measuring", unit="image", disable=None) as progress:
        for arm, waiting in missing.items():
            batches: dict[str, list[Features]] = {extractor.name: [] for extractor in waiting}
            for samples, images in _image_batches(run, arms[arm]):
                captions = [sample.caption for sample in samples]
                for extractor in waiting:
                    batches[extractor.name].append(extractor.extract(images, captions))
                progress.update(len(samples))
            for extractor in waiting:
                features = Features.concatenate(batches[extractor.name])
                _refuse_nonfinite(features, arms[arm], extractor)
                save_features(_path(run, extractor, arm), _key(extractor, arms[arm]), features)
                found[extractor.name, arm] = features
    return found


@dataclass(frozen=True, eq=False)
class _Subject:
    """What every row about one arm and extractor repeats."""

    arm: str
    samples: list[Sample]
    extractor: Extractor
    reference: Reference | None
    reranked_by: str | None

    def row(self, value: MetricValue, metric: Metric) -> MetricRow:
        compared = f"{self.reference.source} ({self.reference.digest})" if self.reference else ""
        return MetricRow(
            arm=self.arm,
            metric=value.metric,
            value=value.value,
            ci_low=value.interval.low,
            ci_high=value.interval.high,
            n=value.n,
            extractor=self.extractor.name,
            note="; ".join(note for note in (value.note, self._doubt(metric)) if note),
            level=value.interval.level,
            method=value.method,
            fingerprint=self.extractor.fingerprint,
            reference=compared if metric.needs_reference else "",
            images=images_digest(self.samples),
        )

    def _doubt(self, metric: Metric) -> str:
        """What to hold against a value: a CLIP that judges images it chose itself."""
        clip = CLIPS.get(self.reranked_by or "")
        if metric.name != "clip_score" or clip is None or clip.extractor != self.extractor.name:
            return ""
        return "this CLIP also chose the images among candidates, so it is optimised, not measured"

    def score_rows(self, metric: str, scores: np.ndarray) -> list[ScoreRow]:
        images, extractor = images_digest(self.samples), self.extractor
        return [
            ScoreRow(
                s.arm, s.prompt_id, s.replica, metric, float(score),
                extractor.name, extractor.fingerprint, images,
            )
            for s, score in zip(self.samples, scores, strict=True)
            if not np.isnan(score)  # undefined for this sample
        ]  # fmt: skip


def images_digest(samples: Sequence[Sample]) -> str:
    """Twelve hex digits of an arm's images and captions: rows with others are of other images."""
    return cache_key("", [s.sha256 for s in samples], [s.caption for s in samples])[:12]


def _evaluate(
    metric: Metric, seen: Measured, subject: _Subject
) -> tuple[MetricValue | None, np.ndarray | None]:
    try:
        return evaluate(metric, seen)
    except FeatureError as error:
        raise FeatureError(f"{subject.extractor.name}, arm {subject.arm}: {error}") from error


def _samples_by_arm(run: RunFolder) -> dict[str, list[Sample]]:
    """Samples of each arm in the run's order, every file at least present."""
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
                f"{run.root / gone[0]} is missing, and {len(gone) - 1} more of arm {arm!r}: the "
                "manifest lists them. Run the sweep again with the same command to make them anew."
            )
    return arms


def _image_batches(
    run: RunFolder, samples: Sequence[Sample]
) -> Iterator[tuple[Sequence[Sample], list[np.ndarray]]]:
    first: tuple[Sample, tuple[int, ...]] | None = None
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        images = [_read(run, sample) for sample in batch]
        for sample, image in zip(batch, images, strict=True):
            first = first or (sample, image.shape)
            if image.shape != first[1]:
                raise ImageError(
                    f"Arm {sample.arm!r} mixes sizes: {run.root / first[0].path} has "
                    f"{_size(first[1])} pixels, {run.root / sample.path} {_size(image.shape)}. "
                    "Resizing them apart would bias the metrics; give the arm images of one size."
                )
        yield batch, images


def _read(run: RunFolder, sample: Sample) -> np.ndarray:
    path = run.root / sample.path
    content = read_file(path)
    image = decode_rgb(content, path)
    if hashlib.sha256(content).hexdigest() != sample.sha256:
        raise RunError(
            f"{path} is not the image that the manifest lists (its sha256 differs): it was changed "
            "after the sweep. Delete it and run the sweep again with the same command."
        )
    return image


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} × {shape[0]}"


def _refuse_nonfinite(features: Features, samples: list[Sample], extractor: Extractor) -> None:
    """NaN features never reach the cache; NaN in an accuracy means that nothing is claimed."""
    for name, array in features.to_arrays().items():
        if name.startswith("accuracy.") or not array.ndim:
            continue
        bad = nonfinite_rows(array)
        if len(bad):
            raise FeatureError(
                f"{extractor.name} gives NaN or infinite {name} for {len(bad)} of {len(array)} "
                f"images of arm {samples[0].arm!r}, first for {samples[bad[0]].path}: expected "
                "finite numbers. Look at that image; if it is sound, the extractor's weights or "
                "precision are not."
            )


def _key(extractor: Extractor, samples: Sequence[Sample]) -> str:
    return cache_key(
        extractor.fingerprint, [s.sha256 for s in samples], [s.caption for s in samples]
    )


def _path(run: RunFolder, extractor: Extractor, arm: str) -> Path:
    return run.features_dir / extractor.name / f"{arm}.npz"
