"""Records of finished shards, under `.shards/` until the manifest is written: who drew, and what.

The first line of a record says who drew its images, each further line is a sample.
"""

from __future__ import annotations

import contextlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glide_eval.errors import RunError
from glide_eval.files import RunFolder, Sample, write_text

RECORDS = ".shards"
Facts = dict[str, Any]
Key = tuple[str, str, int]


@dataclass
class Recorded:
    """What a run folder says was made so far.

    Attributes:
        samples: by arm, prompt and replica.
        workers: how many images each worker drew, by its facts as JSON; of the records alone.
    """

    samples: dict[Key, Sample] = field(default_factory=dict[Key, Sample])
    workers: Counter[str] = field(default_factory=Counter[str])


def write_record(run: RunFolder, shard: str, samples: Sequence[Sample], worker: Facts) -> None:
    """Write the record of a shard, after its images: it never names one that is missing.

    Raises:
        StorageError: the disk is full.
    """
    who = {"worker": {**worker, "host": platform.node()}}
    lines = [json.dumps(who, ensure_ascii=False), *(sample.to_json() for sample in samples)]
    write_text(run.root / RECORDS / f"{shard}.jsonl", "".join(f"{line}\n" for line in lines))


def read_records(run: RunFolder) -> Recorded:
    """Return the samples made so far by the word of the manifest and of the shards' records."""
    found = Recorded()
    # Records come last and win: they are newer than a manifest of an earlier, finished sweep.
    for path in (run.manifest_path, *sorted((run.root / RECORDS).rglob("*.jsonl"))):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # none, or another task wrote the manifest just now
            continue
        if lines and lines[0].startswith('{"worker"'):
            found.workers[lines.pop(0)] += len(lines)
        for line in lines:
            with contextlib.suppress(RunError):  # an edited line: its image is made again
                sample = Sample.from_json(line)
                found.samples[sample.key] = sample
    return found


def summed_up(earlier: Sequence[Mapping[str, Any]], workers: Counter[str]) -> list[Facts]:
    """Return each different worker once, with the number of images that it drew.

    Args:
        earlier: those that the run knew before.
        workers: of the records, see `Recorded`.
    """
    images: Counter[str] = Counter()
    for entry in earlier:
        facts = {key: value for key, value in entry.items() if key != "images"}
        images[_canonical(facts)] += int(entry.get("images", 0))
    for line, number in workers.items():
        with contextlib.suppress(ValueError):
            images[_canonical(json.loads(line)["worker"])] += number
    return [{**json.loads(facts), "images": number} for facts, number in images.items()]


def _canonical(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, ensure_ascii=False)
