"""A sweep cut into shards: independent, idempotent pieces of work, each one micro-batch of one arm.

A shard depends on nothing but itself, so any executor may run it anywhere, in any order, again and
again; docs/decisions/micro-batches.md says why its membership must come from the config alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .config import ArmConfig, SweepConfig
from .errors import GlideEvalError
from .images import read_rgb
from .imported import ImportedFolder
from .png import centre_square, encode_png
from .records import Prompt, Sample
from .run_store import RunFolder, write_bytes, write_text
from .seeds import sample_seed
from .sources import Images, ImageSource

RECORDS = ".shards"


@dataclass(frozen=True, slots=True)
class Item:
    """One image to make.

    Attributes:
        prompt: whose image.
        replica: 0, 1, …
        seed: of its noise; None if imported.
        file: the image to import; None if generated.
    """

    prompt: Prompt
    replica: int
    seed: int | None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """One micro-batch of one arm.

    Attributes:
        arm: whose images.
        number: 0, 1, … within the arm.
        items: at most `micro_batch` of them; the arm's last shard may hold fewer.
        micro_batch: how many images the source makes at once, always.
    """

    arm: ArmConfig
    number: int
    items: tuple[Item, ...]
    micro_batch: int

    @property
    def id(self) -> str:
        """Unique in a run, safe as a file name."""
        return f"{self.arm.name}-{self.number:05d}"

    def sample_keys(self) -> list[tuple[str, str, int]]:
        """(arm, prompt id, replica) of each item."""
        return [(self.arm.name, item.prompt.id, item.replica) for item in self.items]


def plan_shards(
    config: SweepConfig, prompts: Sequence[Prompt], imports: Mapping[str, ImportedFolder]
) -> list[Shard]:
    """Every shard of a sweep, in the order of its manifest: arms, then prompts, then replicas.

    Args:
        config: the sweep.
        prompts: in order.
        imports: by name, the folder of each imported arm.
    """
    size = config.generator.micro_batch
    pairs = [(prompt, r) for prompt in prompts for r in range(config.run.replicas)]
    shards: list[Shard] = []
    for arm in config.expand():
        if arm.imported:
            files = imports[arm.name].files
            items = [Item(p, r, None, files[p.id, r]) for p, r in pairs]
        else:
            items = [Item(p, r, sample_seed(config.run.seed, p.id, r)) for p, r in pairs]
        for number, first in enumerate(range(0, len(items), size)):
            shards.append(Shard(arm, number, tuple(items[first : first + size]), size))
    return shards


@dataclass
class ShardWorker:
    """Runs shards into a run folder. Picklable: a copy elsewhere opens its own image source.

    Attributes:
        root: the run folder.
        size: side of every sample in pixels.
        open_source: loads the generator; called once, when the first generated shard comes.
        source: the generator, if it is loaded already; copies leave it behind.
    """

    root: Path
    size: int
    open_source: Callable[[], ImageSource]
    source: ImageSource | None = None

    def __call__(self, shard: Shard) -> list[Sample]:
        """Make a shard's images, write each PNG, then the shard's record; its samples.

        Raises:
            GlideEvalError: the source failed, or returned other than was asked.
            StorageError: the disk is full; images already written stay.
        """
        started = time.perf_counter()
        images = self._import(shard) if shard.arm.imported else self._generate(shard)
        seconds = (time.perf_counter() - started) / len(shard.items)
        samples = [
            self._save(shard.arm.name, item, pixels, seconds)
            for item, pixels in zip(shard.items, images, strict=True)
        ]
        lines = "".join(sample.to_json() + "\n" for sample in samples)
        write_text(self.root / RECORDS / f"{shard.id}.jsonl", lines)
        return samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "source": None}

    def _generate(self, shard: Shard) -> Images:
        """The items' images, made in a batch padded to full size by repeating the last."""
        if self.source is None:
            self.source = self.open_source()
        padding = [shard.items[-1]] * (shard.micro_batch - len(shard.items))
        batch = [*shard.items, *padding]
        images = self.source.generate(
            shard.arm, [item.prompt.caption for item in batch], [item.seed or 0 for item in batch]
        )
        expected = (len(batch), self.size, self.size, 3)
        if images.shape != expected or images.dtype != np.uint8:
            raise GlideEvalError(
                f"{shard.arm.name}: the generator returned {images.dtype} {images.shape}, expected "
                f"uint8 {expected}. This is a fault in the generator's adapter, not in the config."
            )
        return images[: len(shard.items)]

    def _import(self, shard: Shard) -> Images:
        files = [item.file for item in shard.items if item.file is not None]
        return np.stack([centre_square(read_rgb(file), self.size) for file in files])

    def _save(self, arm: str, item: Item, pixels: Images, seconds: float) -> Sample:
        path = RunFolder(self.root).sample_path(arm, item.prompt.id, item.replica)
        content = encode_png(pixels)
        write_bytes(path, content)
        return Sample(
            arm=arm,
            prompt_id=item.prompt.id,
            caption=item.prompt.caption,
            replica=item.replica,
            seed=item.seed,
            path=path.relative_to(self.root).as_posix(),
            sha256=hashlib.sha256(content).hexdigest(),
            seconds=round(seconds, 4),
        )
