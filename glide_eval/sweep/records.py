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
from pathlib import Path
from typing import Any

from glide_eval.errors import RunError, StorageError
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
        foreign: images in records of another config, which don't count.
        intact: there is a manifest, all of whose lines are samples, and there are no records.
    """

    samples: dict[Key, Sample] = field(default_factory=dict[Key, Sample])
    listed: frozenset[Key] = frozenset()
    workers: Counter[str] = field(default_factory=Counter[str])
    foreign: int = 0
    intact: bool = False


@dataclass(frozen=True)
class Origin:
    """What a config makes its images of, by which a record of another one is known.

    Attributes:
        arms: by name, the digest of what decides an arm's images, see `identity.arm_digest`.
        captions: by prompt id.
    """

    arms: Mapping[str, str]
    captions: Mapping[str, str]

    def made(self, head: Mapping[str, Any], samples: Sequence[Sample]) -> bool:
        """Return whether a record is of this config; older ones don't say of which they are."""
        return all(
            (head.get("config") or self.arms.get(sample.arm)) == self.arms.get(sample.arm)
            and self.captions.get(sample.prompt_id) == sample.caption
            for sample in samples
        )


def require_run(root: Path) -> None:
    """Raise unless the run is at its place: into the folder that a lost mount leaves behind, images
    would be written for nobody.

    Raises:
        StorageError: it is not.
    """
    try:
        there = (root / "run.json").is_file()
    except OSError:
        there = False
    if not there:
        raise StorageError(
            f"{root} is not there on {platform.node()}: expected the folder of the run, with its "
            "run.json, at the same path on every node. Everything made before is kept. Mount it, "
            "then run the command again."
        )


def write_record(
    run: RunFolder,
    shard: str,
    samples: Sequence[Sample],
    worker: Facts,
    config: str = "",
    hashed: bool = False,
) -> None:
    """Write the record of a shard, after its images: it never names one that is missing.

    Args:
        run: where.
        shard: its id.
        samples: its images.
        worker: what drew them.
        config: digest of what decides the arm's images.
        hashed: see `sample_place`.

    Raises:
        StorageError: the disk is full.
    """
    head = {"worker": {**worker, "host": platform.node()}, "config": config}
    lines = [json.dumps(head, ensure_ascii=False), *(sample.to_json() for sample in samples)]
    folder = run.root / RECORDS / (subfolder(shard) if hashed else "")
    write_text(folder / f"{shard}.jsonl", "".join(f"{line}\n" for line in lines))


def read_records(run: RunFolder, origin: Origin | None = None) -> Recorded:
    """Return the samples made so far by the word of the manifest and of the shards' records.

    Args:
        run: where.
        origin: of the config; records of another one don't count. None takes all.
    """
    found = Recorded()
    # Records come last and win: they are newer than a manifest of an earlier, finished sweep.
    for path in (run.manifest_path, *sorted((run.root / RECORDS).rglob("*.jsonl"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # none, or another task wrote the manifest just now
            continue
        # Not splitlines, which also divides at characters that a caption may have.
        lines = text.removesuffix("\n").split("\n") if text else []
        head = _head(lines)
        samples = _samples(lines)
        if head and origin and not origin.made(head, samples):
            found.foreign += len(samples)
            continue
        if head:
            found.workers[_canonical(head["worker"])] += len(lines)
        found.samples.update((sample.key, sample) for sample in samples)
        found.intact = path == run.manifest_path and len(samples) == len(lines)
        if path == run.manifest_path:
            found.listed = frozenset(found.samples)
    return found


def _head(lines: list[str]) -> dict[str, Any]:
    """Take the first line of a record, which says who drew it; nothing if there is none."""
    if not lines or not lines[0].startswith('{"worker"'):
        return {}
    try:
        head: Any = json.loads(lines.pop(0))
    except ValueError:  # edited
        return {}
    return head if isinstance(head["worker"], dict) else {}


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
    images.update(workers)
    return [{**json.loads(facts), "images": number} for facts, number in images.items()]


def _canonical(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, ensure_ascii=False)
