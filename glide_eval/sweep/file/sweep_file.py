"""A sweep file (`sweep.toml`): its tables, what each key may hold, and the arms it expands to.

    [run]         name, seed, replicas, size, out
    [generator]   model, micro_batch, device, dtype, low_memory, accelerate
    [prompts]     captions = [...] | file = "..." | tabletop = {count, seed, objects, split}
    [[arms]]      strategy, scales, sampler, steps, upsampler_steps, upsampler_sampler, eta,
                  interval, rescale, threshold, name, label
                  inpaint = {images, masks | box, context} or edit = {sketches, strength}
                  or strategy = "imported": folder, captions, name, label
                  and of any arm: rerank, degrade

Paths are relative to the sweep file. Everything that can be refused is refused here, before any
image is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from glide_eval.errors import ConfigError
from glide_eval.files import Name, Table, Text, parsed, read_text

from .arm_tables import MOST_ARMS, ArmTable
from .arms import ArmConfig, alike, expand


class RunTable(Table):
    """`[run]`.

    Attributes:
        name: of the run; the folder is `runs/<name>` unless `out` or `--out` says otherwise.
        seed: every sample's own seed derives from it, with its prompt's id and replica.
        replicas: images of each prompt in each arm.
        size: side in pixels of imported images once cropped; by default the generator's.
        out: the run folder, relative to where the command runs.
    """

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    out: Text | None = None


class FakeTable(Table):
    """`[generator.fake]`: the procedural source that stands in for a model in tests.

    Attributes:
        size: side of its images in pixels.
        seconds: how long it pretends an image takes.
    """

    size: Annotated[int, Field(ge=16, le=1024)] = 64
    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0


class GeneratorTable(Table):
    """`[generator]`.

    Attributes:
        model: `tabletop` (bundled), `glide` (OpenAI's released files, once fetched), `fake`
            (tests), or a folder of checkpoints.
        micro_batch: images made together. It is part of a run's identity, since kernels round
            differently at other batch sizes.
        device: `auto` takes CUDA if there is one.
        dtype: `auto` is float32 on CPU, bfloat16 on CUDA from Ampere on, float16 elsewhere.
        low_memory: load one network at a time, for GPUs too small for all; the images are the same.
        accelerate: see `generator.acceleration`; rounds differently, so part of the identity too.
        fake: settings of the fake model; refused with any other.
    """

    model: Text = "tabletop"
    micro_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    dtype: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    low_memory: bool = False
    accelerate: Literal["auto", "none", "graphs", "compile"] = "auto"
    fake: FakeTable | None = None

    @model_validator(mode="after")
    def _fake_settings_need_the_fake(self) -> GeneratorTable:
        if self.fake is not None and self.model != "fake":
            raise ValueError(f'found settings of the fake model with model = "{self.model}"')
        return self


class TabletopPromptsTable(Table):
    """`[prompts] tabletop = {...}`: captions drawn from the tabletop world's grammar.

    Attributes:
        count: how many.
        seed: of the draw.
        objects: how many objects a scene may hold, each equally often.
        split: `train` describes only colour-shape pairs the models were trained on, `zero_shot`
            at least one they never saw, `all` either.
    """

    count: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    objects: Annotated[list[Annotated[int, Field(ge=1, le=3)]], Field(min_length=1)] = Field(
        default_factory=lambda: [1, 2]
    )
    split: Literal["train", "zero_shot", "all"] = "all"


class PromptsTable(Table):
    """`[prompts]`: exactly one of three sources.

    Attributes:
        captions: written in the sweep file.
        file: `.txt` (one caption per line), `.csv` or `.jsonl` (column `caption`, optionally `id`).
        tabletop: drawn from the tabletop grammar.
    """

    captions: Annotated[list[Text], Field(min_length=1)] | None = None
    file: Text | None = None
    tabletop: TabletopPromptsTable | None = None

    @model_validator(mode="after")
    def _exactly_one_source(self) -> PromptsTable:
        given = [key for key, value in self if value is not None]
        if len(given) != 1:
            found = " and ".join(f"`{key}`" for key in given) or "none of them"
            raise ValueError(f"expected one of `captions`, `file` and `tabletop`, found {found}")
        return self


class SweepConfig(Table):
    """A whole sweep file."""

    run: RunTable
    generator: GeneratorTable = Field(default_factory=GeneratorTable)
    prompts: PromptsTable
    arms: Annotated[list[ArmTable], Field(min_length=1, max_length=MOST_ARMS)]

    @field_validator("arms")
    @classmethod
    def _arms_differ(cls, tables: list[ArmTable]) -> list[ArmTable]:
        seen: dict[str, ArmConfig] = {}
        arms = expand(tables)
        if len(arms) > MOST_ARMS:
            raise ValueError(f"found {len(arms):,} arms, expected at most {MOST_ARMS:,}")
        by_settings: dict[str, list[ArmConfig]] = {}
        for arm in arms:
            if arm.name.lower() in seen:
                raise ValueError(
                    f"found two arms named `{arm.name}`; give one table a `name` of its own, or "
                    "remove the repeated scale"
                )
            same = by_settings.setdefault(json.dumps(arm.settings(), sort_keys=True), [])
            twin = next((a for a in same if alike(a, arm)), None)
            if twin is not None:
                raise ValueError(
                    f"found `{twin.name}` and `{arm.name}` with the same settings, which make the "
                    "same images; remove one"
                )
            seen[arm.name.lower()] = arm
            same.append(arm)
        return tables

    def expand(self) -> list[ArmConfig]:
        """Return the arms, one for each scale, in the order of the file."""
        return expand(self.arms)


@dataclass(frozen=True, slots=True)
class SweepFile:
    """A sweep file that was read and understood.

    Attributes:
        path: where it lies; messages name it and its paths are relative to it.
        text: its content, kept in the run folder byte for byte.
        config: what it says.
    """

    path: Path
    text: str
    config: SweepConfig

    def resolve(self, path: str) -> Path:
        """Return a path written in the file, made usable from here."""
        return self.path.parent / Path(path).expanduser()


def load_sweep(path: Path | str) -> SweepFile:
    """Read a sweep file.

    Raises:
        ConfigError: it is missing, not TOML, or says something no sweep can do.
    """
    path = Path(path)
    text = read_text(path, "sweep file", "examples/guidance.toml", ConfigError)
    return SweepFile(path, text, parse_sweep(text, str(path)))


def parse_sweep(text: str, where: str) -> SweepConfig:
    """Understand the content of a sweep file; `where` names it in messages.

    Raises:
        ConfigError: it is not TOML, or says something no sweep can do.
    """
    return parsed(text, SweepConfig, where, "sweep file", ConfigError)
