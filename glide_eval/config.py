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
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from generator.errors import OptionError
from generator.schedules import kept_steps

from .arm_options import DegradeTable, RerankTable
from .config_messages import NAME_PATTERN, describe
from .config_table import Table as _Table
from .config_table import Text
from .edit_options import EditTable, InpaintTable
from .errors import ConfigError
from .records import Arm, Strategy

STRATEGY_LABELS = {
    "unguided": "Unguided",
    "classifier_free": "Classifier-free",
    "clip": "CLIP",
    "classifier": "Classifier",
    "imported": "Imported",
}
STRATEGY_NAMES = {
    "unguided": "unguided",
    "classifier_free": "cfg",
    "clip": "clip",
    "classifier": "classifier",
}

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=60)]
Sampler = Literal["ddpm", "ddim", "dpm++2m", "plms"]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _steps(value: Any) -> int | str:
    """A count of 1..1000, or a respacing string that the generator knows."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    if isinstance(value, str) and value:
        try:
            kept_steps(value)
        except OptionError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return value
    raise ValueError(
        f"found {json.dumps(value, default=str)}, expected a count from 1 to 1000 or a respacing "
        'such as "ddim50" or "27,27,27"'
    )


Steps = Annotated[int | str, PlainValidator(_steps)]


class RunTable(_Table):
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


class FakeTable(_Table):
    """`[generator.fake]`: the procedural source that stands in for a model in tests.

    Attributes:
        size: side of its images in pixels.
        seconds: how long it pretends an image takes.
    """

    size: Annotated[int, Field(ge=16, le=1024)] = 64
    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0


class GeneratorTable(_Table):
    """`[generator]`.

    Attributes:
        model: `tabletop` (bundled), `glide` (OpenAI's released files, once fetched), `fake`
            (tests), or a folder of checkpoints.
        micro_batch: images made together. It is part of a run's identity, since kernels round
            differently at other batch sizes.
        device: `auto` takes CUDA if there is one.
        dtype: `auto` is float32 on CPU, bfloat16 on CUDA.
        low_memory: load one network at a time, for GPUs too small for all; the images are the same.
        accelerate: see `generator.acceleration`; rounds differently, so part of the identity too.
        fake: settings of the fake model; refused with any other.
    """

    model: Text = "tabletop"
    micro_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    low_memory: bool = False
    accelerate: Literal["auto", "none", "graphs", "compile"] = "auto"
    fake: FakeTable | None = None

    @model_validator(mode="after")
    def _fake_settings_need_the_fake(self) -> GeneratorTable:
        if self.fake is not None and self.model != "fake":
            raise ValueError(f'found settings of the fake model with model = "{self.model}"')
        return self


class TabletopPromptsTable(_Table):
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


class PromptsTable(_Table):
    """`[prompts]`: exactly one of three sources.

    Attributes:
        captions: written in the sweep file.
        file: `.txt` (a caption a line), `.csv` or `.jsonl` (column `caption`, optionally `id`).
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


class _ArmTable(_Table):
    """What any arm may say, imported ones too.

    Attributes:
        label: what tables and figures print.
        rerank: how each image is chosen among candidates.
        degrade: what is done to the images in the end.
    """

    label: Text | None = None
    rerank: RerankTable | None = None
    degrade: DegradeTable | None = None


class _GeneratedTable(_ArmTable):
    """What every generated arm may say; see `generator.options.Sampling` for what each does.

    Attributes:
        name: of the arm, or what stands before the scale in the names of a table of scales.
        sampler: of the base model.
        steps: a count or a respacing string.
        upsampler_steps: likewise; 27 is GLIDE's own spacing.
        upsampler_sampler: by default DDIM on GLIDE's spacing, else `sampler`.
        eta: of DDIM.
        threshold: percentile of dynamic thresholding.
    """

    name: Name | None = None
    sampler: Sampler = "ddpm"
    steps: Steps = 100
    upsampler_steps: Steps = 27
    upsampler_sampler: Sampler | None = None
    eta: Fraction = 0.0
    threshold: Annotated[float, Field(gt=0, lt=100)] | None = None
    inpaint: InpaintTable | None = None
    edit: EditTable | None = None

    @model_validator(mode="after")
    def _edits_one_way(self) -> _GeneratedTable:
        if self.inpaint is not None and self.edit is not None:
            raise ValueError("found `inpaint` and `edit`, expected at most one of them")
        return self

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> _GeneratedTable:
        if self.eta and self.sampler != "ddim":
            raise ValueError(
                f'found `eta` with sampler = "{self.sampler}"; it is DDIM\'s: leave it out or use '
                'sampler = "ddim"'
            )
        return self

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Names and values of the options that differ from their defaults, beside the main ones."""
        names = ("upsampler_sampler", "eta", "threshold", "interval", "rescale")
        fields = type(self).model_fields
        return tuple(
            (name, getattr(self, name))
            for name in names
            if name in fields and getattr(self, name) != fields[name].default
        )


class UnguidedTable(_GeneratedTable):
    """`[[arms]] strategy = "unguided"`: the conditional model as it is."""

    strategy: Literal["unguided"]


class _GuidedTable(_GeneratedTable):
    """Arms with a scale.

    Attributes:
        interval: guide only in this part of the noise levels, 0 (clean) to 1.
    """

    interval: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.0, 1.0)

    @field_validator("interval")
    @classmethod
    def _interval_ascends(cls, interval: tuple[float, float]) -> tuple[float, float]:
        if interval[0] > interval[1]:
            raise ValueError(f"found {list(interval)}, expected [low, high] with low <= high")
        return interval


class ClassifierFreeTable(_GuidedTable):
    """`[[arms]] strategy = "classifier_free"`: one arm a scale, each at least 1 (1 is unguided).

    Attributes:
        scales: guidance scales.
        rescale: φ of guidance rescale.
    """

    strategy: Literal["classifier_free"]
    scales: Annotated[list[Annotated[float, Field(ge=1, lt=10_000)]], Field(min_length=1)]
    rescale: Fraction = 0.0


class ClipTable(_GuidedTable):
    """`[[arms]] strategy = "clip"`: one arm a scale, each above 0."""

    strategy: Literal["clip"]
    scales: Annotated[list[Annotated[float, Field(gt=0, lt=10_000)]], Field(min_length=1)]


class ClassifierTable(_GuidedTable):
    """`[[arms]] strategy = "classifier"`: the tabletop classifier guides; scales above 0."""

    strategy: Literal["classifier"]
    scales: Annotated[list[Annotated[float, Field(gt=0, lt=10_000)]], Field(min_length=1)]


class ImportedTable(_ArmTable):
    """`[[arms]] strategy = "imported"`: images that exist already, made by whatever you like.

    Attributes:
        name: of the arm.
        folder: of the images.
        captions: `.csv` or `.jsonl` with `file` and `caption` (or `prompt_id`); by default
            `captions.csv` or `captions.jsonl` in the folder, else `<image>.txt` beside each image.
        label: what tables and figures print; by default the name.
        rerank: its candidates are further images of the same caption in the folder.
        degrade: what is done to its images in the end.
    """

    strategy: Literal["imported"]
    name: Name
    folder: Text
    captions: Text | None = None


ArmTable = Annotated[
    UnguidedTable | ClassifierFreeTable | ClipTable | ClassifierTable | ImportedTable,
    Field(discriminator="strategy"),
]


@dataclass(frozen=True, slots=True)
class ArmConfig:
    """One arm after expansion; what an image source needs to make its images.

    Attributes:
        name, strategy, scale, label, sampler, steps: as in `records.Arm`.
        upsampler_steps: the upsampler's denoising steps; None when imported.
        folder: of imported images, as written; None when generated.
        captions: their captions file, as written; None when generated or not given.
        rerank: how each image is chosen among candidates; None if there is but one.
        degrade: what is done to the images in the end; None if nothing.
        options: names and values of further fields of `generator.options.Sampling`, only those that
            differ from their defaults, so that arms without them keep their identity.
        editing: the pictures it inpaints or begins from; None if it draws from nothing.
    """

    name: str
    strategy: Strategy
    scale: float | None
    label: str
    sampler: Sampler | None = None
    steps: int | str | None = None
    upsampler_steps: int | str | None = None
    folder: str | None = None
    captions: str | None = None
    rerank: RerankTable | None = None
    degrade: DegradeTable | None = None
    options: tuple[tuple[str, Any], ...] = ()
    editing: InpaintTable | EditTable | None = None

    @property
    def imported(self) -> bool:
        """Whether its images exist already."""
        return self.strategy == "imported"

    @property
    def record(self) -> Arm:
        """The arm as reports know it."""
        return Arm(
            self.name,
            self.strategy,
            self.scale,
            self.label,
            self.sampler,
            self.steps,
            reranked_by=self.rerank.clip if self.rerank else None,
            degraded_by=self.degrade.setting if self.degrade else None,
        )

    @property
    def candidates(self) -> int:
        """How many images are made or read for each sample."""
        return self.rerank.best_of if self.rerank else 1

    @property
    def sampling(self) -> dict[str, Any]:
        """The fields of the `generator.options.Sampling` of a generated arm."""
        keys = ("strategy", "scale", "sampler", "steps", "upsampler_steps")
        return {**{key: getattr(self, key) for key in keys}, **dict(self.options)}

    def settings(self) -> dict[str, Any]:
        """All that decides its images: not its name or label. Values are JSON scalars."""
        keys = ("strategy", "scale", "sampler", "steps", "upsampler_steps", "folder", "captions")
        values = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        for name, value in self.options:
            values[name] = f"{value[0]:g}..{value[1]:g}" if name == "interval" else value
        edits = self.editing.settings() if self.editing else {}
        return {**values, **edits, **self.alterations()}

    def alterations(self) -> dict[str, str | int]:
        """The part of its settings that any arm may have; empty for most."""
        found: dict[str, str | int] = {}
        if self.rerank:
            found |= {"rerank.clip": self.rerank.clip, "rerank.best_of": self.rerank.best_of}
        if self.degrade:
            found["degrade"] = self.degrade.setting
        return found


class SweepConfig(_Table):
    """A whole sweep file."""

    run: RunTable
    generator: GeneratorTable = Field(default_factory=GeneratorTable)
    prompts: PromptsTable
    arms: Annotated[list[ArmTable], Field(min_length=1)]

    @field_validator("arms")
    @classmethod
    def _arms_differ(cls, tables: list[ArmTable]) -> list[ArmTable]:
        seen: dict[str, ArmConfig] = {}
        for arm in _expand(tables):
            if arm.name.lower() in seen:
                raise ValueError(
                    f"found two arms named `{arm.name}`; give one table a `name` of its own, or "
                    "remove the repeated scale"
                )
            twin = next((a for a in seen.values() if _alike(a, arm)), None)
            if twin is not None:
                raise ValueError(
                    f"found `{twin.name}` and `{arm.name}` with the same settings, which make the "
                    "same images; remove one"
                )
            seen[arm.name.lower()] = arm
        return tables

    def expand(self) -> list[ArmConfig]:
        """The arms, one a scale, in the order of the file."""
        return _expand(self.arms)


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
        """A path written in the file, made usable from here."""
        return self.path.parent / Path(path).expanduser()


def load_sweep(path: Path | str) -> SweepFile:
    """Read a sweep file.

    Raises:
        ConfigError: it is missing, not TOML, or says something no sweep can do.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such sweep file. Name one that exists, such as examples/guidance.toml."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected a sweep file (TOML in UTF-8), found something that can't be read "
            f"as one ({error})."
        ) from error
    return SweepFile(path, text, parse_sweep(text, str(path)))


def parse_sweep(text: str, where: str) -> SweepConfig:
    """Understand the content of a sweep file; `where` names it in messages.

    Raises:
        ConfigError: it is not TOML, or says something no sweep can do.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{where}: expected TOML, found a mistake: {error}. Strings need quotes, tables "
            "brackets; mend that line and run the command again."
        ) from error
    try:
        return SweepConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe(error, SweepConfig, where)) from error


def _alike(a: ArmConfig, b: ArmConfig) -> bool:
    """Whether two arms make the same images: equal settings, and the same pictures to edit."""
    return a.settings() == b.settings() and a.editing == b.editing


def _expand(tables: list[ArmTable]) -> list[ArmConfig]:
    return [_with_options(arm, table) for table in tables for arm in _expand_table(table)]


def _with_options(arm: ArmConfig, table: ArmTable) -> ArmConfig:
    """The arm with what any arm may ask for, which its name and label say."""
    editing = None if isinstance(table, ImportedTable) else table.inpaint or table.edit
    for option in (editing, table.rerank, table.degrade):
        if option is not None:
            name, label = f"{arm.name}-{option.suffix}", f"{arm.label}, {option.words}"
            arm = replace(arm, name=name, label=label)
    return replace(arm, rerank=table.rerank, degrade=table.degrade, editing=editing)


def _expand_table(table: ArmTable) -> list[ArmConfig]:
    label = table.label or STRATEGY_LABELS[table.strategy]
    if isinstance(table, ImportedTable):
        label = table.label or table.name
        return [
            ArmConfig(
                table.name, "imported", None, label, folder=table.folder, captions=table.captions
            )
        ]
    name = table.name or STRATEGY_NAMES[table.strategy]
    sampling = (table.sampler, table.steps, table.upsampler_steps)
    if isinstance(table, UnguidedTable):
        return [ArmConfig(name, "unguided", None, label, *sampling, options=table.options)]
    return [
        ArmConfig(
            f"{name}-{scale:g}", table.strategy, scale, f"{label}, s = {scale:g}", *sampling,
            options=table.options,
        )
        for scale in table.scales
    ]  # fmt: skip
