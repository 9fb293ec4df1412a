"""The measuring pass: one look at a run's images feeds every extractor and every metric.

Writes `metrics.csv` and `metrics.parquet` (one row per arm, metric and extractor), `scores.csv`
(one row per sample, metric and extractor), `differences.csv` (one row per pair of arms, metric and
extractor) and `extractors.json` (what each fingerprint stands for). Rows of other extractors or
metrics stay as long as they are of the same images, so a run can be measured again with more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glide_eval.errors import FeatureError, UsageError
from glide_eval.extractors import SCORERS, Extractor
from glide_eval.features import extract_run, images_digest, samples_by_arm
from glide_eval.files import RunFolder, Sample, Share
from glide_eval.metrics import (
    METRICS,
    Measured,
    Metric,
    MetricValue,
    Observed,
    evaluate,
    undefined,
)
from glide_eval.references import Reference, tabletop_reference

from .differences import difference_rows, pairs_to_compare
from .tables import MetricRow, Pass, ScoreRow, add_pass, require_whole_tables


def measure(
    run: RunFolder,
    extractors: Sequence[Extractor],
    metrics: Sequence[str] | None = None,
    reference: Callable[[Extractor], Reference] = tabletop_reference,
    *,
    baseline: str | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    is_splits: int = 1,
    share: Share | None = None,
) -> list[MetricRow] | None:
    """Measure every arm of a run and write its metric files.

    All that can be checked is checked before the first image is read: metric names, arms without
    samples, missing files, references of other extractors. Features come from the run's cache where
    images and extractor are the same, else from one pass over the images.

    Args:
        run: a finished sweep.
        extractors: who looks at the images.
        metrics: names; None means all that each extractor can give.
        reference: builds or finds the real images' features for an extractor; called only if a
            metric needs them.
        baseline: the arm that the others are compared with; None is the unguided one, else the
            first.
        pairs: further (arm, baseline) to compare.
        is_splits: into how many parts the Inception Score divides the images of an arm.
        share: look at this part of the images alone, beside other tasks.

    Returns:
        The whole of `metrics.csv`, kept rows included; None if other tasks have still to look at
        theirs. The last one in measures.

    Raises:
        UsageError: an unknown arm or metric, or one that an extractor can't give.
        RunError: an arm without samples, or an image that is not the one the sweep made.
        ImageError: a sample that is missing, truncated or not an image.
        FeatureError: features that are not finite.
        StorageError: the disk is full; earlier files are as they were.
    """
    chosen = choose_for(extractors, metrics)
    require_whole_tables(run)
    arms = samples_by_arm(run)
    compared = pairs_to_compare(list(arms), baseline or default_baseline(run), pairs)
    references = {
        extractor.name: reference(extractor)
        for extractor in extractors
        if any(metric.needs_reference for metric in chosen[extractor.name])
    }
    features = extract_run(run, arms, extractors, share)
    if features is None:
        return None
    rerankers = {arm.name: arm.reranked_by for arm in run.arms()}
    found = Pass(
        measured={(metric.name, e.name) for e in extractors for metric in chosen[e.name]},
        facts={extractor.fingerprint: extractor.facts for extractor in extractors},
        images={arm: images_digest(samples) for arm, samples in arms.items()},
    )
    for extractor in extractors:
        observed: list[Observed] = []
        for arm, samples in arms.items():
            prompts = [sample.prompt_id for sample in samples]
            real = references.get(extractor.name)
            seen = Measured(features[extractor.name, arm], prompts, real, is_splits)
            doubt = _reranked_by_itself(rerankers[arm], extractor)
            subject = Subject(arm, seen, found.images[arm], extractor, doubt=doubt)
            observed += _measure_arm(subject, samples, chosen[extractor.name], found)
        found.differences.extend(difference_rows(observed, found.metrics, compared, extractor.name))
    return add_pass(run, found)


def _measure_arm(
    subject: Subject, samples: Sequence[Sample], metrics: Sequence[Metric], found: Pass
) -> list[Observed]:
    """Add an arm's rows to a pass; return its values, for differences between arms."""
    observed: list[Observed] = []
    keys = [(sample.prompt_id, sample.replica) for sample in samples]
    for metric in metrics:
        value, per_sample = subject.evaluate(metric)
        if value is not None:
            found.metrics.append(subject.row(value, metric))
            observed.append(Observed(subject.arm, value, keys))
        if per_sample is not None:
            found.scores.extend(_score_rows(subject, samples, metric.name, per_sample))
    return observed


def default_baseline(run: RunFolder) -> str:
    """The arm that others are compared with: the unguided one, else the first."""
    arms = run.arms()
    return next((arm.name for arm in arms if arm.strategy == "unguided"), arms[0].name)


def choose_for(
    extractors: Sequence[Extractor], metrics: Sequence[str] | None
) -> dict[str, list[Metric]]:
    """The metrics each extractor is to give, in the order of `METRICS`, by the extractor's name.

    Args:
        extractors: who looks at the images.
        metrics: names; each extractor gives those of them it can. None means all that it can.

    Raises:
        UsageError: a name is unknown, no extractor provides what it needs, or an extractor gives
            none of them.
    """
    for name in metrics or ():
        if name not in METRICS:
            raise UsageError(f"No metric is named {name!r}; there are {', '.join(METRICS)}.")
    able = {e.name: [m for m in METRICS.values() if m.needs in e.provides] for e in extractors}
    if metrics is None:
        return able
    for name in metrics:
        if not any(metric.name == name for given in able.values() for metric in given):
            who = " and ".join(extractor.name for extractor in extractors)
            gives = dict.fromkeys(metric.name for given in able.values() for metric in given)
            raise UsageError(
                f"{who} can't give {name}: it has no {METRICS[name].needs}. It gives "
                f"{', '.join(gives)}."
            )
    chosen = {name: [m for m in given if m.name in metrics] for name, given in able.items()}
    if idle := [name for name, given in chosen.items() if not given]:
        raise UsageError(
            f"{' and '.join(idle)} can give none of {', '.join(metrics)}: leave that extractor "
            "out, or name one of its metrics."
        )
    return chosen


@dataclass(frozen=True, eq=False)
class Subject:
    """A set of images under one extractor, and what every row about it repeats.

    Attributes:
        arm: name of the set.
        seen: features, prompts and reference.
        images: digest of images and captions.
        extractor: who looked.
        doubt: what to hold against its CLIP score; else empty.
        no_captions: why captions are missing; empty if they are not.
    """

    arm: str
    seen: Measured
    images: str
    extractor: Extractor
    doubt: str = ""
    no_captions: str = ""

    def evaluate(self, metric: Metric) -> tuple[MetricValue | None, np.ndarray | None]:
        """The metric's value, and its value for each image, where it has them.

        Raises:
            FeatureError: features that don't fit the reference; names the set.
        """
        if self.no_captions and metric.needs_captions:
            if metric.value is None:
                return None, None
            return undefined(metric.name, len(self.seen.features), self.no_captions), None
        try:
            return evaluate(metric, self.seen)
        except FeatureError as error:
            raise FeatureError(f"{self.extractor.name}, arm {self.arm}: {error}") from error

    def row(self, value: MetricValue, metric: Metric) -> MetricRow:
        """The value as a row of `metrics.csv`."""
        doubt = self.doubt if metric.name == "clip_score" else ""
        reference = self.seen.reference if metric.needs_reference else None
        return MetricRow(
            arm=self.arm,
            metric=value.metric,
            value=value.value,
            ci_low=value.interval.low,
            ci_high=value.interval.high,
            n=value.n,
            extractor=self.extractor.name,
            note="; ".join(note for note in (value.note, doubt) if note),
            level=value.interval.level,
            method=value.method,
            fingerprint=self.extractor.fingerprint,
            reference=reference.label if reference else "",
            images=self.images,
        )


def _score_rows(
    subject: Subject, samples: Sequence[Sample], metric: str, scores: np.ndarray
) -> list[ScoreRow]:
    extractor = subject.extractor
    return [
        ScoreRow(
            s.arm, s.prompt_id, s.replica, metric, float(score),
            extractor.name, extractor.fingerprint, subject.images,
        )
        for s, score in zip(samples, scores, strict=True)
        if not np.isnan(score)  # undefined for this sample
    ]  # fmt: skip


def _reranked_by_itself(reranked_by: str | None, extractor: Extractor) -> str:
    """What to hold against a CLIP that judges images it chose itself."""
    clip = SCORERS.get(reranked_by or "")
    if clip is None or clip.extractor != extractor.name:
        return ""
    return "this CLIP also chose the images among candidates, so it is optimised, not measured"
