"""A pass whose features are saved as they come, so that one that is stopped goes on there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from glide_eval.extractors import Features, KeptFeatures

from .one_pass import BATCH, Batch, Seen

PART = 32 * BATCH  # images
SECONDS = 30.0  # after which a smaller part is saved

Item = TypeVar("Item")


def saved(
    batches: Iterator[Batch[Item]],
    kept: Mapping[str, KeptFeatures],
    key: Callable[[Seen[Item]], str],
) -> Iterator[Batch[Item]]:
    """Pass batches on, and save them in parts; what is left, also if the pass is stopped.

    Args:
        batches: of the pass.
        kept: where each extractor's features are saved, by its name.
        key: of an image's row.

    Raises:
        StorageError: the disk is full; parts that were saved are kept.
    """
    waiting: list[Batch[Item]] = []
    since = time.monotonic()
    try:
        for batch in batches:
            waiting.append(batch)
            enough = sum(len(one.seen) for one in waiting) >= PART
            if enough or time.monotonic() - since > SECONDS:
                _save(waiting, kept, key)
                waiting, since = [], time.monotonic()
            yield batch
    finally:
        if waiting:
            _save(waiting, kept, key)


def _save(
    batches: list[Batch[Item]],
    kept: Mapping[str, KeptFeatures],
    key: Callable[[Seen[Item]], str],
) -> None:
    seen = [one for batch in batches for one in batch.seen]
    keys, kinds = [key(one) for one in seen], [one.kind for one in seen]
    sizes = [one.shape for one in seen]
    for name, where in kept.items():
        where.add(
            keys, kinds, sizes, Features.concatenate([batch.features[name] for batch in batches])
        )
