"""The models this toolkit knows by name: what they are, their files, and whether they are on disk.

A model is one entry of `known_models`; the commands `models list | info | fetch | verify` need no
more of it. Importing this loads no torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.errors import CheckpointError
from generator.released import CHECKPOINTS, VOCABULARY, released_folder
from generator.weight_files import (
    WEIGHTS,
    Record,
    checked_sha256,
    read_records,
    weights_folder,
    write_record,
)
from glide_eval.errors import UsageError, WeightsError
from glide_eval.extractors import EXTRACTORS, ExtractorRecord, PublishedFile

from .downloads import download


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: short, for `--only`.
        path: where it lies, or will.
        what: it is for.
        url: where it is published; None if it is bundled.
        parameters: of the network in it; 0 if none or unknown.
        sha256: if it was known before any download.
        published_size: bytes, if they were known before any download.
    """

    name: str
    path: Path
    what: str
    url: str | None = None
    parameters: int = 0
    sha256: str | None = None
    published_size: int | None = None

    @property
    def size(self) -> int | None:
        """Bytes on disk; None if it isn't there."""
        return self.path.stat().st_size if self.path.is_file() else None

    @property
    def begun(self) -> int | None:
        """Bytes of an unfinished download; None if there is none."""
        part = self.path.with_name(self.path.name + ".part")
        return part.stat().st_size if part.is_file() and not self.path.is_file() else None

    @property
    def record(self) -> Record | None:
        """What was recorded when it was downloaded."""
        return read_records(self.path.parent).get(self.path.name)


@dataclass(frozen=True, slots=True)
class Model:
    """One entry.

    Attributes:
        name: on the command line and in sweep files.
        what: in one line.
        about: where it comes from, terms, limits; a paragraph.
        folder: of its files.
        files: all of them.
        check: refuses a file (its path, and the name it has or will have) that holds another
            network; loads torch when called.
    """

    name: str
    what: str
    about: str
    folder: Path
    files: tuple[ModelFile, ...]
    check: Callable[[Path, str], None]

    @property
    def bundled(self) -> bool:
        """Whether it ships in the package."""
        return all(file.url is None for file in self.files)

    def choose(self, names: Sequence[str]) -> list[ModelFile]:
        """The files of these names; all if none is named.

        Raises:
            UsageError: a name no file has.
        """
        known = {file.name: file for file in self.files}
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{self.name} has no file {name!r}: expected one of {', '.join(known)}."
                )
        return [known[name] for name in names] if names else list(self.files)


def known_models() -> dict[str, Model]:
    """Every model by name, in the order they are listed."""
    return {model.name: model for model in (_tabletop(), _glide(), *_metric_networks())}


def find_model(name: str) -> Model:
    """A model by its name.

    Raises:
        UsageError: there is none of that name.
    """
    models = known_models()
    if name not in models:
        raise UsageError(f"Unknown model {name!r}: expected one of {', '.join(models)}.")
    return models[name]


def fetch_file(model: Model, file: ModelFile, *, force: bool = False) -> str:
    """Bring one file to disk unless it is there and as recorded; what was done, in a few words.

    A file somebody put there by hand is recorded as it is; `verify_file` looks into it. One that
    differs from its record is fetched again. What is fetched is recorded after it was read as what
    it should be.

    Args:
        model: whose file it is.
        file: one of its files.
        force: forget what was recorded of this file, and fetch it even if it is there.

    Raises:
        DownloadError, StorageError: see `download`.
        UsageError: the file is bundled.
    """
    if file.url is None:
        raise UsageError(f"{file.path.name} ships in the package: there is nothing to fetch.")
    if force and file.record is not None:
        write_record(file.path.parent, file.path.name, None)
    if file.size is not None and not force:
        with contextlib.suppress(WeightsError, CheckpointError):
            digest = checked(file)
            if file.record:
                return "is there, as downloaded"
            write_record(file.path.parent, file.path.name, Record(digest, file.size, file.url))
            return "was there; its sha256 is recorded now"

    def check(part: Path) -> None:
        model.check(part, file.path.name)

    record = download(
        file.url, file.path, file.sha256, expected_size=file.published_size, check=check
    )
    return f"fetched, {record.size:,} bytes, sha256 {record.sha256[:12]}…"


def checked(file: ModelFile) -> str:
    """A file's digest, recomputed.

    Raises:
        WeightsError: it is missing, or not what was published or recorded.
    """
    if file.size is None:
        raise WeightsError(
            f"{file.path} is missing. "
            + (
                "Reinstall the package."
                if file.url is None
                else "Fetch it: glide-eval models fetch."
            )
        )
    try:
        digest = checked_sha256(file.path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if file.sha256 and file.sha256 != digest:
        raise WeightsError(
            f"{file.path} is not the published file: expected sha256 {file.sha256[:12]}…, found "
            f"{digest[:12]}…. Delete it and fetch it again."
        )
    return digest


def verify_file(model: Model, file: ModelFile) -> str:
    """Recompute a file's sha256 and look at what it holds; its digest.

    Raises:
        WeightsError: missing, or not what was published or recorded.
        generator.errors.CheckpointError: it holds another network, or can't be read.
    """
    digest = checked(file)
    model.check(file.path, file.path.name)
    return digest


def _glide() -> Model:
    folder = released_folder()
    files = tuple(
        ModelFile(f.name, folder / f.file, f.what, f.url, f.parameters, f.sha256)
        for f in (VOCABULARY, *CHECKPOINTS)
    )
    return Model(
        "glide",
        "OpenAI's released GLIDE (filtered), 256 px",
        "Published by OpenAI in December 2021 with code under the MIT licence. Trained on 67 "
        "million pairs from the internet with people, violence and some symbols filtered out; it "
        "can't draw people, binds attributes to objects poorly and keeps its data's biases. Its "
        "authors release it for research and do not recommend commercial use.",
        folder,
        files,
        _check_released,
    )


def _tabletop() -> Model:
    what = {
        "base": "text to 32 px",
        "base-weak": "the weaker model of autoguidance",
        "upsample": "32 px to 128 px",
        "noised-clip": "guides",
        "base-inpaint": "fills a hole at 32 px",
        "upsample-inpaint": "its fill to 128 px",
        "clean-clip": "scores; never guides",
        "evaluator": "features, classes and scene reader",
    }
    files = tuple(
        ModelFile(path.stem, path, what.get(path.stem, ""))
        for path in sorted(WEIGHTS.glob("*.safetensors"))
    )
    return Model(
        "tabletop",
        "the bundled miniature, 128 px",
        "Ships in the package, MIT licence. Draws one to three objects on a table from captions of "
        "its own grammar; trained on pictures this project renders. Its model card: "
        "generator/weights/README.md.",
        WEIGHTS,
        files,
        _check_ours,
    )


def _metric_networks() -> list[Model]:
    """Return what the metrics of papers are defined with, one model for each set of weights."""
    by_model: dict[str, list[ExtractorRecord]] = {}
    for record in EXTRACTORS.values():
        if record.file:
            by_model.setdefault(record.file.model, []).append(record)
    return [_FAMILIES[records[0].kind](name, records) for name, records in by_model.items()]


def _inception(name: str, records: Sequence[ExtractorRecord]) -> Model:
    script, state = dict.fromkeys(record.published for record in records)
    run = {f: [r.name for r in records if r.file == f] for f in (script, state)}
    return _metric_network(
        name,
        f"the networks of {records[0].judges}",
        "Inception-v3 as Google released it in 2015 under the Apache licence 2.0, in two "
        "translations with the same weights: NVIDIA's TorchScript, which the extractors "
        f"{_and(run[script])} run, and the state dict of pytorch-fid "
        f"and torch-fidelity, which {_and(run[state])} load.",
        (script, state),
    )


def _clip(name: str, records: Sequence[ExtractorRecord]) -> Model:
    [record] = records
    return _metric_network(
        name,
        f"{record.published.what}, of {record.judges}",
        "Published by OpenAI in 2021 with code under the MIT licence; its model card puts "
        "deployed use out of scope. A TorchScript archive, of which only the weights are used; "
        f"no archive that OpenAI did not publish is opened. {record.judges} is defined with it.",
        (record.published,),
    )


def _dinov2(name: str, records: Sequence[ExtractorRecord]) -> Model:
    [record] = records
    return _metric_network(
        name,
        record.published.what + (f", of {record.judges}" if record.judges else ""),
        "Published by Meta in 2023 under the Apache licence 2.0, a state dict. FD-DINOv2 is "
        "defined with the ViT-L/14; values of other sizes compare among themselves only.",
        (record.published,),
    )


_FAMILIES = {"inception": _inception, "clip": _clip, "dinov2": _dinov2}


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _metric_network(name: str, what: str, about: str, files: Sequence[PublishedFile]) -> Model:
    folder = weights_folder()
    return Model(
        name,
        what,
        about,
        folder,
        tuple(
            ModelFile(f.name, folder / f.file, f.what, f.url, f.parameters, f.sha256, f.size)
            for f in files
        ),
        _check_digest_only,
    )


def _check_digest_only(path: Path, name: str) -> None:
    """Nothing more: the published digest, compared before, leaves no doubt of what it holds."""


def _check_released(path: Path, name: str) -> None:
    from generator.bpe import Gpt2Tokenizer
    from generator.checkpoints import check_released

    if name == VOCABULARY.file:
        Gpt2Tokenizer(path)
    else:
        check_released(path, name)


def _check_ours(path: Path, name: str) -> None:
    from generator.checkpoints import check_ours

    check_ours(path)
