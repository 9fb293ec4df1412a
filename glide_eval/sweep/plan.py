"""The plan of a sweep: all that is known, and was checked, before a generator is loaded."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .edited_arms import EditedPictures, match_pictures
from .file.arms import ArmConfig
from .file.prompts import load_prompts
from .file.sweep_file import SweepFile
from .identity import Extent, Identity, arm_digest, config_identity
from .imported_arms import ImportedFolder, match_folder
from .records import Key, Origin
from .shards import Shard, plan_shards

MOST_IN_A_FOLDER = 10_000  # images; above, an arm's folder has subfolders


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep makes.

    Attributes:
        sweep: its file.
        arms: in order.
        extent: all of it.
        imports: by name, the folder of each imported arm.
        edits: by name, the pictures of each editing arm.
    """

    sweep: SweepFile
    arms: Sequence[ArmConfig]
    extent: Extent
    imports: Mapping[str, ImportedFolder]
    edits: Mapping[str, EditedPictures]

    @classmethod
    def of(cls, sweep: SweepFile) -> Plan:
        """Read prompts and find all pictures.

        Raises:
            ConfigError: a file the sweep names is missing or damaged.
            ImageError: an imported image is.
        """
        prompts, arms = load_prompts(sweep), sweep.config.expand()
        names = tuple(arm.name for arm in arms)
        return cls(
            sweep,
            arms,
            Extent(names, tuple(prompts), sweep.config.run.replicas),
            {arm.name: match_folder(sweep, arm, prompts) for arm in arms if arm.imported},
            {arm.name: match_pictures(sweep, arm, prompts) for arm in arms if arm.editing},
        )

    def identity(self, extent: Extent | None = None) -> Identity:
        """Return what decides the images of all of it, or of a part."""
        return config_identity(self.sweep.config, extent or self.extent, self.imports, self.edits)

    def shards(self, listed: Container[Key] = ()) -> list[Shard]:
        """Return every shard; samples that the run's manifest lists are in shards of their own."""
        config, prompts = self.sweep.config, self.extent.prompts
        return plan_shards(config, prompts, self.imports, self.edits, listed)

    @property
    def origin(self) -> Origin:
        """What it makes its images of."""
        return Origin(
            {arm.name: arm_digest(self.sweep.config, arm) for arm in self.arms},
            {prompt.id: prompt.caption for prompt in self.extent.prompts},
        )

    @property
    def images(self) -> int:
        """How many samples it makes."""
        return len(self.extent.arms) * len(self.extent.prompts) * self.extent.replicas

    @property
    def generates(self) -> bool:
        """Whether any arm needs a generator."""
        return any(not arm.imported for arm in self.arms)

    @property
    def clips(self) -> list[str]:
        """Names of the CLIPs that rerank."""
        return sorted({arm.rerank.clip for arm in self.arms if arm.rerank})

    def is_hashed(self, story: Mapping[str, Any] | None) -> bool:
        """Return whether arms have subfolders: if they are large, and the run began with them.

        Args:
            story: `run.json`; None if the run begins now.
        """
        if story:
            return story.get("layout", "flat") == "hashed"
        return self.images > MOST_IN_A_FOLDER * len(self.arms)
