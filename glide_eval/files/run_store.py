"""A run folder on disk (DESIGN §4): where things lie, and writes that can't be seen half done."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from glide_eval.errors import NoRunError, RunError, StorageError

from .images import read_file, read_rgb
from .partial import partial_path
from .paths import inside
from .reading import parse_json, read_whole
from .records import Arm, Sample


@dataclass(frozen=True)
class RunFolder:
    """Paths and plain readers of one run; holds no state of its own."""

    root: Path

    @classmethod
    def open(cls, root: Path | str) -> RunFolder:
        """An existing run.

        Raises:
            RunError: there is no run at `root`.
        """
        run = cls(Path(root))
        if not run.provenance_path.is_file():
            kind = RunError if run.root.exists() else NoRunError
            raise kind(
                f"{run.root} is not a run folder: expected a run.json in it. "
                "Make one with `glide-eval sweep CONFIG.toml --out DIR`, or name another folder."
            )
        return run

    @property
    def config_path(self) -> Path:
        """The sweep file as it ran."""
        return self.root / "sweep.toml"

    @property
    def provenance_path(self) -> Path:
        """`run.json`: versions, seeds, weights, arms, command line."""
        return self.root / "run.json"

    @property
    def manifest_path(self) -> Path:
        """`manifest.jsonl`: one sample per line."""
        return self.root / "manifest.jsonl"

    @property
    def samples_dir(self) -> Path:
        """`samples/<arm>/<prompt>-<replica>.png`."""
        return self.root / "samples"

    @property
    def features_dir(self) -> Path:
        """`features/<extractor>/<arm>.npz`."""
        return self.root / "features"

    @property
    def metrics_path(self) -> Path:
        """`metrics.csv`: arm, metric, value, ci_low, ci_high, n, extractor, note."""
        return self.root / "metrics.csv"

    @property
    def scores_path(self) -> Path:
        """`scores.csv`: arm, prompt_id, replica, metric, value: metrics that exist per sample."""
        return self.root / "scores.csv"

    @property
    def differences_path(self) -> Path:
        """`differences.csv`: each arm less each other one: arm, baseline, metric, value, …"""
        return self.root / "differences.csv"

    @property
    def extractors_path(self) -> Path:
        """`extractors.json`: what each fingerprint in the tables stands for."""
        return self.root / "extractors.json"

    @property
    def study_path(self) -> Path:
        """The study's SQLite database, unless its owner chose another."""
        return self.root / "study.db"

    @property
    def votes_path(self) -> Path:
        """`votes.csv`: exported votes."""
        return self.root / "votes.csv"

    @property
    def report_dir(self) -> Path:
        """`report/index.html` and its figures and tables."""
        return self.root / "report"

    def sample_path(self, arm: str, prompt_id: str, replica: int) -> Path:
        """Where a sample's PNG lies in a run of one folder per arm."""
        return self.root / sample_place(arm, prompt_id, replica)

    def provenance(self) -> dict[str, Any]:
        """The whole of `run.json`.

        Raises:
            RunError: it is missing, or not the JSON object that a sweep writes.
        """
        try:
            values: object = parse_json(read_whole(self.provenance_path))
            if not isinstance(values, dict):
                raise ValueError(f"a {type(values).__name__}")
            return cast("dict[str, Any]", values)
        except (OSError, ValueError) as error:
            raise self._no_record(error) from error

    def arms(self) -> list[Arm]:
        """The run's arms, in the order of its config.

        Raises:
            RunError: `run.json` does not hold them.
        """
        try:
            return [Arm.from_dict(values) for values in self.provenance()["arms"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_record(f"of its arms: {error!r}") from error

    def _no_record(self, why: object) -> RunError:
        return RunError(
            f"{self.provenance_path}: expected the JSON a sweep writes, found none ({why}). "
            "Run the sweep again with the same command; samples already made are kept."
        )

    def samples(self) -> list[Sample]:
        """Every sample in the manifest, in its order.

        Raises:
            RunError: no manifest, or a line that is not a sample.
        """
        if not self.manifest_path.is_file():
            raise RunError(
                f"{self.manifest_path} is missing: the sweep has not finished. "
                "Run it again with the same command to resume."
            )
        # Lines that are not UTF-8 are named like other damaged ones.
        with self.manifest_path.open(encoding="utf-8", errors="surrogateescape") as lines:
            return [
                self._sample(line, f"{self.manifest_path}:{number}")
                for number, line in enumerate(lines, 1)
                if line.strip()
            ]

    def _sample(self, line: str, where: str) -> Sample:
        sample = Sample.from_json(line, where)
        inside(self.root, sample.path, where, RunError)
        return sample


def sample_place(arm: str, prompt_id: str, replica: int, hashed: bool = False) -> str:
    """Return where a sample lies, relative to the run folder.

    Args:
        arm: its name.
        prompt_id: of the prompt.
        replica: 0, 1, …
        hashed: the arm's folder has 256 subfolders, since it holds very many images.
    """
    name = f"{prompt_id}-{replica}"
    return f"samples/{arm}/{subfolder(name) if hashed else ''}{name}.png"


def subfolder(name: str) -> str:
    """Return one of 256 subfolders with a slash, in which a file of this name lies."""
    return hashlib.sha256(name.encode()).hexdigest()[:2] + "/"


def sample_bytes(path: Path, sample: Sample) -> bytes:
    """Return the bytes of a sample's file, which must be those that the manifest lists.

    Args:
        path: the file.
        sample: as the manifest has it.

    Raises:
        ImageError: the file is missing, damaged or no image.
        RunError: it is another image.
    """
    content = read_file(path)
    require_listed(path, hashlib.sha256(content).hexdigest(), sample)
    return content


def require_listed(path: Path, sha256: str, sample: Sample) -> None:
    """Raise as `sample_bytes` does, unless a file has the digest that the manifest lists."""
    if sha256 != sample.sha256:
        read_rgb(path)  # a damaged image says what is wrong with it
        raise RunError(
            f"{path} is not the image that the manifest lists (its sha256 differs): it was "
            "changed after the sweep. Delete it and run the sweep again with the same command."
        )


@contextlib.contextmanager
def replacing(path: Path, private: bool = False, durable: bool = True) -> Generator[Path]:
    """A temporary path beside `path`, renamed onto it when the block succeeds.

    Readers see the old file or the whole new one, whatever kills us in between.

    Args:
        path: what is written.
        private: only its owner may read it; else the umask decides.
        durable: a power cut can't leave the new name on an empty file. It costs milliseconds, which
            a file can do without whose bytes are checked before it is used.

    Raises:
        StorageError: the disk is full, read-only, failing or gone; `path` is as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, since a rename across file systems is not atomic.
        temporary = partial_path(path)
        mode = 0o600 if private else 0o666  # and never wider than the umask
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        yield temporary
        if durable:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"Could not write {path}: {error.strerror or error}. Everything made before it is "
            "kept. Free space, mend the disk or choose another place, then run the command again."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a whole file atomically (see `replacing`)."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file atomically (see `replacing`)."""
    write_bytes(path, content.encode("utf-8"))
