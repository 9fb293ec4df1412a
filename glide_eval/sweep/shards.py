"""A sweep cut into shards: independent, idempotent pieces of work, each one micro-batch of one arm.

A shard depends on nothing but itself, so any executor may run it anywhere, in any order, again and
again. docs/explanation/decisions/micro-batches.md says why its membership must come from the config
alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from glide_eval.extractors import CaptionScorer, load_scorer
from glide_eval.files import (
    Prompt,
    RunFolder,
    Sample,
    centre_square,
    encode_png,
    read_rgb,
    sample_place,
    write_bytes,
)

from .degrade import degraded
from .edited_arms import EditedPictures, EditFiles, read_batch
from .file.arms import ArmConfig
from .file.sweep_file import SweepConfig
from .imported_arms import ImportedFolder
from .opening import drawing
from .records import Facts, Key, require_run, write_record
from .rerank import Ranked, best_of
from .seeds import candidate_seed, sample_seed
from .sources import Batch, Drawer, Images, ImageSource, Size, height_width

Join = Callable[[ImageSource | None, Mapping[str, CaptionScorer]], Facts]


@dataclass(frozen=True, slots=True)
class Item:
    """One image to make.

    Attributes:
        prompt: whose image.
        replica: 0, 1, …
        seed: of its (first candidate's) noise; None if imported.
        files: the image to import, or the candidates in a reranked arm; empty if generated.
        edit: the picture it starts from; None unless the arm edits.
    """

    prompt: Prompt
    replica: int
    seed: int | None
    files: tuple[Path, ...] = ()
    edit: EditFiles | None = None


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

    def batch(self) -> list[Item]:
        """Return the items as networks see them: padded to full size by repeating the last."""
        # Kernels differ by batch size, and with them an image's last bits; so every batch is full.
        return [*self.items, *[self.items[-1]] * (self.micro_batch - len(self.items))]


def plan_shards(
    config: SweepConfig,
    prompts: Sequence[Prompt],
    imports: Mapping[str, ImportedFolder],
    edits: Mapping[str, EditedPictures],
    listed: Container[Key] = (),
) -> list[Shard]:
    """Return every shard of a sweep by arms, then prompts, then replicas.

    What was added to a run is cut into shards of its own, so that no image in the manifest is
    drawn for a neighbour's sake. The manifest changes only at the end: until then, a killed sweep
    that is run again has the same shards.

    Args:
        config: the sweep.
        prompts: in order.
        imports: by name, the folder of each imported arm.
        edits: by name, the pictures of each editing arm.
        listed: keys of samples in the run's manifest.
    """
    pairs = [(prompt, r) for prompt in prompts for r in range(config.run.replicas)]
    seeds = [sample_seed(config.run.seed, p.id, r) for p, r in pairs]
    shards: list[Shard] = []
    for arm in config.expand():
        if arm.imported:
            files = imports[arm.name].files
            items = [Item(p, r, None, files[p.id, r]) for p, r in pairs]
        else:
            starts = edits[arm.name].files if arm.editing else {}
            items = [
                Item(p, r, seed, edit=starts.get(p.id))
                for (p, r), seed in zip(pairs, seeds, strict=True)
            ]
        size = config.micro_batch(arm)
        known = [(arm.name, item.prompt.id, item.replica) in listed for item in items]
        cuts = [
            cut
            for kind in (True, False)
            for cut in _cut([i for i, k in zip(items, known, strict=True) if k == kind], size)
        ]
        shards += [Shard(arm, number, cut, size) for number, cut in enumerate(cuts)]
    return shards


def _cut(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[first : first + size]) for first in range(0, len(items), size)]


@dataclass
class ShardWorker:
    """Runs shards into a run folder. Picklable: a copy elsewhere opens its own models.

    Attributes:
        root: the run folder.
        size: of imported images in pixels.
        open_source: loads the generator; called once, when the first generated shard comes.
        source: the generator, if it is loaded already; copies leave it behind.
        open_scorer: loads a CLIP by its name, for arms that rerank.
        scorers: those loaded already; copies leave them behind.
        facts: what this process draws with, once it has joined the run; copies leave them behind.
        join: compares what a copy draws with to the run, or records it if it is the first.
        generates: whether any arm needs the source.
        clips: names of the CLIPs that rerank.
        drawers: one for each generator that has drawn; copies leave them behind.
        hashed: see `sample_place`.
        digests: by arm, see `identity.arm_digest`.
    """

    root: Path
    size: Size | None
    open_source: Callable[[], ImageSource]
    source: ImageSource | None = None
    open_scorer: Callable[[str], CaptionScorer] = load_scorer
    scorers: dict[str, CaptionScorer] = field(default_factory=dict[str, CaptionScorer])
    facts: Facts | None = None
    join: Join | None = None
    generates: bool = True
    clips: Sequence[str] = ()
    drawers: dict[str | None, Drawer] = field(default_factory=dict[str | None, Drawer])
    hashed: bool = False
    digests: Mapping[str, str] = field(default_factory=dict[str, str])

    def __call__(self, shard: Shard) -> list[Sample]:
        """Make a shard's images, write each PNG, then the shard's record; its samples.

        Raises:
            GlideEvalError: the source failed, or returned other than was asked.
            StorageError: the disk is full, or the run folder is gone; images already written stay.
        """
        worker = self.joined()
        started = time.perf_counter()
        made = self._make(shard)
        seconds = (time.perf_counter() - started) / len(shard.items)
        require_run(self.root)
        samples = [
            self._save(shard.arm.name, item, picture, seconds)
            for item, picture in zip(shard.items, made, strict=True)
        ]
        digest = self.digests.get(shard.arm.name, "")
        write_record(RunFolder(self.root), shard.id, samples, worker, digest, self.hashed)
        return samples

    def joined(self) -> Facts:
        """Load the models and join the run, before the first shard; what is drawn with.

        Raises:
            RunError: this process would draw other images than those before it.
        """
        if self.facts is None:
            assert self.join is not None
            if self.generates and self.source is None:
                self.source = self.open_source()
            for name in self.clips:
                self._scorer(name)
            self.facts = self.join(self.source, self.scorers)
            self.size = self.facts["image_size"]
        return self.facts

    def __getstate__(self) -> dict[str, Any]:
        # Models don't travel to other processes: they are large, and may hold a GPU's memory.
        return {**self.__dict__, "source": None, "scorers": {}, "facts": None, "drawers": {}}

    def pictures(
        self,
        arm: ArmConfig,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """Return a generated arm's finished pictures, drawn together: one per caption and seed.

        Args:
            arm: how.
            captions: one per picture.
            seeds: of the noise; in a reranked arm, of each first candidate's.
            start: the pictures to edit, if the arm edits.
        """
        pairs = zip(captions, seeds, strict=True)
        batch = [Item(Prompt("", caption), 0, seed) for caption, seed in pairs]
        return self._ranked(arm, batch, start).images

    def _make(self, shard: Shard) -> list[_Made]:
        """Return a finished picture for each item."""
        ranked = self._ranked(shard.arm, shard.batch())
        images = ranked.images[: len(shard.items)]
        return [
            _Made(pixels, int(chosen), tuple(scores.tolist()) or None)
            for pixels, chosen, scores in zip(images, ranked.chosen, ranked.scores, strict=False)
        ]

    def _ranked(self, arm: ArmConfig, batch: Sequence[Item], start: Batch | None = None) -> Ranked:
        """Return the only or the best candidate of each item, degraded if asked."""
        candidates = (self._candidate(arm, batch, n, start) for n in range(arm.candidates))
        if arm.rerank is None:
            ranked = Ranked.unrivalled(next(candidates))
        else:
            captions = [item.prompt.caption for item in batch]
            ranked = best_of(candidates, captions, self._scorer(arm.rerank.clip))
        if arm.degrade is None:
            return ranked
        return replace(ranked, images=degraded(ranked.images, arm.degrade))

    def _scorer(self, name: str) -> CaptionScorer:
        if name not in self.scorers:
            self.scorers[name] = self.open_scorer(name)
        return self.scorers[name]

    def _candidate(
        self, arm: ArmConfig, batch: Sequence[Item], number: int, start: Batch | None
    ) -> Images:
        """Candidate `number` of every item of a padded batch."""
        if arm.imported:
            files = [item.files[number] for item in batch]
            assert self.size is not None
            return np.stack([fitted(read_rgb(file), self.size) for file in files])
        assert self.source is not None
        source = drawing(self.source, arm)
        drawer = self.drawers.setdefault(arm.generator, Drawer(source))
        captions = [item.prompt.caption for item in batch]
        seeds = [candidate_seed(item.seed or 0, number) for item in batch]
        files = [item.edit for item in batch if item.edit is not None]
        if files:
            start = read_batch(arm, files, min(height_width(source.size)))
        return drawer.draw(arm, captions, seeds, start)

    def _save(self, arm: str, item: Item, made: _Made, seconds: float) -> Sample:
        place = sample_place(arm, item.prompt.id, item.replica, self.hashed)
        content = encode_png(made.pixels)
        # The shard's record has the digest, by which a resumed sweep knows what a power cut lost.
        write_bytes(self.root / place, content, durable=False)
        return Sample(
            arm=arm,
            prompt_id=item.prompt.id,
            caption=item.prompt.caption,
            replica=item.replica,
            seed=None if item.seed is None else candidate_seed(item.seed, made.candidate),
            path=place,
            sha256=hashlib.sha256(content).hexdigest(),
            seconds=round(seconds, 4),
            candidate_scores=made.scores,
        )


def fitted(pixels: Images, size: Size) -> Images:
    """Return the middle of an image, resized with antialiased bicubic filtering.

    Args:
        pixels: uint8 (height, width, 3).
        size: the side of a square, or (width, height).
    """
    if isinstance(size, int):
        return centre_square(pixels, size)
    fit = ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.BICUBIC)
    return np.asarray(fit)


@dataclass(frozen=True, slots=True)
class _Made:
    """A finished picture: which candidate it was, and every candidate's score if several were."""

    pixels: Images
    candidate: int
    scores: tuple[float, ...] | None
