"""Opens what a sweep file's arms are drawn by: one source, or several under one roof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glide_eval.errors import ConfigError

from .file.arms import ArmConfig
from .file.sweep_file import SweepFile
from .sources import (
    Batch,
    DrawnArm,
    Images,
    ImageSource,
    Opening,
    Size,
    find_source,
)


@dataclass(frozen=True)
class SourceOpener:
    """Opens a sweep's image source; picklable, so a worker elsewhere can open its own.

    Attributes:
        folder: of the sweep file.
        settings: of each generator, by name, as written; one of no name where there is one.
        arms: all that are drawn.
    """

    folder: Path
    settings: dict[str, dict[str, Any]]
    arms: tuple[ArmConfig, ...]

    @classmethod
    def of(cls, sweep: SweepFile) -> SourceOpener:
        """Return the source of a sweep file; paths of models are relative to the file."""
        settings = {
            name: table.model_dump(exclude_unset=True)
            for name, table in sweep.config.sources.items()
        }
        drawn = tuple(arm for arm in sweep.config.expand() if not arm.imported)
        return cls(sweep.path.parent, settings, drawn)

    @property
    def models(self) -> dict[str, str]:
        """Each generator's model, as it can be opened from here."""
        openings = {name: self._opening(name) for name in self.settings}
        return {name: cls.located(o.argument, o.folder) for name, (cls, o) in openings.items()}

    def __call__(self) -> ImageSource:
        """Load it (seconds for GLIDE)."""
        opened = {name: cls.open(o) for name, (cls, o) in self._openings().items()}
        return opened[""] if "" in opened else SeveralSources(opened)

    @property
    def _only(self) -> bool:
        return len(self.settings) == 1

    def _openings(self) -> dict[str, tuple[type[ImageSource], Opening]]:
        """Return what the arms need: a generator that none of them names stays closed."""
        used = {arm.generator or "" for arm in self.arms}
        return {name: self._opening(name) for name in self.settings if self._only or name in used}

    def _opening(self, name: str) -> tuple[type[ImageSource], Opening]:
        arms = tuple(arm for arm in self.arms if self._only or arm.generator == name)
        found = find_source(self.settings[name].get("model", "tabletop"), self.folder)
        settings = found.source.Settings.model_validate(self.settings[name])
        return found.source, Opening(found.argument, self.folder, settings, arms)


class SeveralSources(ImageSource):
    """Sources by name; each draws the arms that name it."""

    def __init__(self, sources: Mapping[str, ImageSource]) -> None:
        self.sources = dict(sources)
        devices = [source.device for source in self.sources.values()]
        self.device = next((device for device in devices if device != "cpu"), devices[0])
        self.dtype = _one_of([source.dtype for source in self.sources.values()])

    def drawing(self, arm: DrawnArm) -> ImageSource:
        """Return the source that draws an arm."""
        name = getattr(arm, "generator", None) or next(iter(self.sources))
        return self.sources[name]

    @property
    def size(self) -> Size:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the largest images, which imported ones are fitted to."""
        return max((source.size for source in self.sources.values()), key=_area)

    def fingerprint(self) -> dict[str, str]:
        """See `ImageSource.fingerprint`; each name begins with that of its generator."""
        return _joined({name: source.fingerprint() for name, source in self.sources.items()})

    def facts(self) -> dict[str, Any]:
        """See `ImageSource.facts`: by generator."""
        told = {name: source.facts() for name, source in self.sources.items()}
        return {name: facts for name, facts in told.items() if facts}

    def check(self, arm: DrawnArm) -> None:
        """See `ImageSource.check`."""
        self.drawing(arm).check(arm)

    def notes(self, captions: Sequence[str], strategies: Sequence[str] = ()) -> list[str]:
        """See `ImageSource.notes`; each begins with the name of its generator."""
        return [
            f"{name}: {note}"
            for name, source in self.sources.items()
            for note in source.notes(captions, strategies)
        ]

    def generate(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`."""
        return self.drawing(arm).generate(arm, captions, seeds, start)


def _joined(of_sources: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    pairs = ((name, key) for name, told in of_sources.items() for key in told)
    return {f"{name}/{key}": of_sources[name][key] for name, key in pairs}


def _one_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _area(size: Size) -> int:
    return size**2 if isinstance(size, int) else size[0] * size[1]


def drawing(source: ImageSource, arm: ArmConfig) -> ImageSource:
    """Return the one source that draws an arm."""
    return source.drawing(arm) if isinstance(source, SeveralSources) else source


def check_arm(source: ImageSource, arm: ArmConfig) -> None:
    """Refuse an arm that its source can't draw, before any image is made.

    Raises:
        ConfigError: it edits pictures, and its generator's images are no squares.
        GlideEvalError or generator.errors.GeneratorError: see `ImageSource.check`.
    """
    own = drawing(source, arm)
    if arm.editing is not None and not isinstance(own.size, int):
        raise ConfigError(
            f"Arm `{arm.name}` edits pictures, of which the centre square is used, but its "
            f"generator makes images of {own.size[0]} × {own.size[1]}. Set a square `size`."
        )
    own.check(arm)
