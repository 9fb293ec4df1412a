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
from glide_eval.files import RunFolder, Sample, parse_json, subfolder, write_text

RECORDS = ".shards"
Facts = dict[str, Any]
Key = tuple[str, str, int]


@dataclass
class Recorded:
    """What a run folder says was made so far.

    Attributes:
        samples: by arm, prompt and replica.
        listed: keys of those in the manifest.
        workers: how many images each worker drew, by its facts as JSON; of the records alone.
        intact: there is a manifest, all of whose lines are samples, and there are no records.
    """

    samples: dict[Key, Sample] = field(default_factory=dict[Key, Sample])
    listed: frozenset[Key] = frozenset()
    workers: Counter[str] = field(default_factory=Counter[str])
    intact: bool = False


def write_record(
    run: RunFolder, shard: str, samples: Sequence[Sample], worker: Facts, hashed: bool = False
) -> None:
    """Write the record of a shard, after its images: it never names one that is missing.

    Raises:
        StorageError: the disk is full.
    """
    who = {"worker": {**worker, "host": platform.node()}}
    lines = [json.dumps(who, ensure_ascii=False), *(sample.to_json() for sample in samples)]
    folder = run.root / RECORDS / (subfolder(shard) if hashed else "")
    write_text(folder / f"{shard}.jsonl", "".join(f"{line}\n" for line in lines))


def read_records(run: RunFolder) -> Recorded:
    """Return the samples made so far by the word of the manifest and of the shards' records."""
    found = Recorded()
    # Records come last and win: they are newer than a manifest of an earlier, finished sweep.
    for path in (run.manifest_path, *sorted((run.root / RECORDS).rglob("*.jsonl"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # none, or another task wrote the manifest just now
            continue
        # Not splitlines, which also divides at characters that a caption may have.
        lines = text.removesuffix("\n").split("\n") if text else []
        if lines and lines[0].startswith('{"worker"'):
            found.workers[lines.pop(0)] += len(lines)
        samples = _samples(lines)
        found.samples.update((sample.key, sample) for sample in samples)
        found.intact = path == run.manifest_path and len(samples) == len(lines)
        if path == run.manifest_path:
            found.listed = frozenset(found.samples)
    return found


def _samples(lines: Sequence[str]) -> list[Sample]:
    """Return the samples of a manifest's or a record's lines, without edited ones.

    The image of an edited line is made again.
    """
    try:  # all in one go: a run may have millions
        values = parse_json(f"[{','.join(lines)}]")
        if len(values) == len(lines):
            return [Sample.of(one) for one in values]
    except (TypeError, ValueError):
        pass
    samples: list[Sample] = []
    for line in lines:
        with contextlib.suppress(RunError):
            samples.append(Sample.from_json(line))
    return samples


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
