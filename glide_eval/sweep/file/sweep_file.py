"""A sweep file (`sweep.toml`): its tables, what each key may hold, and the arms it expands to.

    [run]         name, seed, replicas, size, out
    [generator]   model, micro_batch, device, dtype, and keys of the model's source
                  or [generators.NAME] for several
    [prompts]     captions = [...] | file = "..." | tabletop = {count, seed, objects, split}
    [[arms]]      strategy, scales, generator, name, label, and options of the model's source
                  inpaint = {images, masks | box, context} or edit = {sketches, strength}
                  or strategy = "imported": folder, captions, name, label
                  and of any arm: rerank, degrade

Paths are relative to the sweep file. Everything that can be refused is refused here, before any
image is made.
"""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, cast

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)

from glide_eval.errors import ConfigError
from glide_eval.files import Name, Table, Text, nearest, parsed, read_text
from glide_eval.sweep.sources import ArmOptions, Found, GeneratorTable, find_source

from .arm_tables import MOST_ARMS, ArmTable, ImportedTable, arm_tables
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
    """A whole sweep file.

    Its class is made for the sources that the file names (`_config_of`).

    Attributes:
        run: what it is called and how often it draws.
        generator: what draws its images, if there is one.
        generators: by name, if there are several.
        prompts: what is drawn.
        arms: how.
    """

    run: RunTable
    generator: GeneratorTable = Field(default_factory=GeneratorTable)
    generators: Any = None
    prompts: PromptsTable
    arms: Annotated[list[Any], Field(min_length=1, max_length=MOST_ARMS)]

    found: ClassVar[Mapping[str, Found]] = {}

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

    @property
    def sources(self) -> dict[str, GeneratorTable]:
        """What draws its images, by name; the name is empty where there is one generator."""
        return {"": self.generator} if self.generators is None else dict(self.generators)

    def micro_batch(self, arm: ArmConfig) -> int:
        """Return how many images of an arm are made together."""
        first = next(iter(self.sources))
        return self.sources[arm.generator or first].micro_batch


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

    def __reduce__(self) -> tuple[Any, ...]:
        # The class of the content is made for each file, so another process reads the text anew.
        return _understood, (self.path, self.text)


def _understood(path: Path, text: str) -> SweepFile:
    return SweepFile(path, text, parse_sweep(text, str(path)))


def load_sweep(path: Path | str) -> SweepFile:
    """Read a sweep file.

    Raises:
        ConfigError: it is missing, not TOML, or says something no sweep can do.
    """
    path = Path(path)
    text = read_text(path, "sweep file", "examples/guidance.toml", ConfigError)
    return _understood(path, text)


def parse_sweep(text: str, where: str) -> SweepConfig:
    """Understand the content of a sweep file; `where` names it in messages.

    Raises:
        ConfigError: it is not TOML, or says something no sweep can do.
    """
    try:
        model = _config_of(text, Path(where).parent)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return parsed(text, model, where, "sweep file", ConfigError)


def _config_of(text: str, folder: Path) -> type[SweepConfig]:
    """Return the class of a sweep file's content: that of the sources which it names."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        values = {}  # `parsed` says what is wrong
    several = values.get("generators")
    if not isinstance(several, dict) or not several:
        return _of_one(_found(values.get("generator"), folder))
    if "generator" in values:
        raise ConfigError(
            "found `[generator]` and `[generators]`, expected one of them: give the first a name "
            "among the others."
        )
    tables = cast("dict[str, Any]", several)
    return _of_several({name: _found(table, folder) for name, table in tables.items()})


def _found(table: Any, folder: Path) -> Found:
    """Return the source of a generator's table; GLIDE, which refuses it, if it is none."""
    default = GeneratorTable.model_fields["model"].default
    model = cast("dict[str, Any]", table).get("model", default) if isinstance(table, dict) else ""
    return find_source(model if isinstance(model, str) and model else default, folder)


@functools.cache
def _of_one(found: Found) -> type[SweepConfig]:
    settings = found.source.Settings
    config = create_model(
        "SweepConfig",
        __base__=SweepConfig,
        generator=(settings, Field(default_factory=settings)),
        arms=(_listed(_arms_of(found)), ...),
    )
    config.found = {"": found}
    return config


def _of_several(found: dict[str, Found]) -> type[SweepConfig]:
    tables: dict[str, Any] = {name: (one.source.Settings, ...) for name, one in found.items()}
    names = list(found)

    def drawn_by(arm: Any) -> str:
        told = cast("dict[str, Any]", arm) if isinstance(arm, dict) else {}
        if told.get("strategy") == "imported" or len(names) == 1:
            return told.get("generator", names[0])
        return str(told.get("generator"))

    def known(arm: Any) -> Any:
        name = drawn_by(arm)
        if name in names:
            return arm
        told = "no `generator`" if name == "None" else f"`generator` = {name!r}"
        near = nearest(name, names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"found {told}, expected one of {', '.join(names)}{hint}")

    by_name = [Annotated[_arms_of(one), Tag(name)] for name, one in found.items()]
    arms = Annotated[Union[*by_name], Discriminator(drawn_by)] if len(names) > 1 else by_name[0]
    config = create_model(
        "SweepConfig",
        __base__=SweepConfig,
        generators=(create_model("Generators", __base__=Table, **tables), ...),
        arms=(_listed(Annotated[arms, BeforeValidator(known)]), ...),
    )
    config.found = found
    return config


def _arms_of(found: Found) -> Any:
    """Return the arms that a source draws, and imported ones."""
    tables = arm_tables(found)
    defaults = found.source.defaults_of(found.argument, found.origin[1])

    def completed(arm: Any) -> Any:
        """What an arm leaves out is the model's default, where that has one."""
        told = cast("dict[str, Any]", arm) if isinstance(arm, dict) else {}
        table = tables.get(str(told.get("strategy")))
        if table is None:
            return cast("Any", arm)
        known = cast("type[ArmOptions]", table).own_keys or ()
        return {name: defaults[name] for name in known if name in defaults} | told

    arms = Annotated[Union[*tables.values(), ImportedTable], Field(discriminator="strategy")]
    return Annotated[arms, BeforeValidator(completed)]


def _listed(arms: Any) -> Any:
    return Annotated[list[arms], Field(min_length=1, max_length=MOST_ARMS)]
