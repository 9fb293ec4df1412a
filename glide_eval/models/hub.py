"""Pipelines of diffusers, fetched from the Hugging Face hub into its own cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glide_eval.errors import DownloadError, UsageError

KEPT = (".json", ".txt", ".model", ".safetensors", ".md")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)\.")


@dataclass(frozen=True)
class HubFile:
    """A file of a repo.

    Attributes:
        name: its path in the repo.
        size: in bytes; None if the hub does not say.
    """

    name: str
    size: int | None


def fetch_pipeline(
    repo: str,
    revision: str | None = None,
    variant: str | None = None,
    *,
    endpoint: str | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Bring what a pipeline needs of a repo to disk; goes on where it stopped.

    Args:
        repo: its id, such as `stabilityai/stable-diffusion-xl-base-1.0`.
        revision: branch, tag or commit; the default branch otherwise.
        variant: of the weight files, such as `fp16`; files of other variants are left out.
        endpoint: of the hub; `HF_ENDPOINT` or the public one otherwise.
        say: takes a line of news: how much there is, before anything is fetched.

    Returns:
        Where it lies, in the hub's cache.

    Raises:
        UsageError: the id is none, or the repo holds no pipeline of diffusers.
        DownloadError: no network, no such repo, or one that is gated.
    """
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if Path(repo).expanduser().is_dir() and not _REPO.fullmatch(repo):
        raise UsageError(
            f"{repo!r} is a folder here, which needs no fetching: name it in the sweep file, "
            f'model = "diffusers:{repo}".'
        )
    if not _REPO.fullmatch(repo):
        raise UsageError(
            f"{repo!r} is no repo id: expected an owner and a name, such as "
            "diffusers:stabilityai/stable-diffusion-xl-base-1.0."
        )
    try:
        info = huggingface_hub.HfApi(endpoint=endpoint).model_info(
            repo, revision=revision, files_metadata=True
        )
        files = [HubFile(f.rfilename, f.size) for f in info.siblings or ()]
        chosen = needed_files(files, variant)
        if "model_index.json" not in [file.name for file in chosen]:
            raise UsageError(
                f"{repo} holds no pipeline of diffusers (no model_index.json among its "
                f"{len(files)} files). Name a repo that diffusers loads."
            )
        total = sum(file.size or 0 for file in chosen)
        say(f"{repo} at {(info.sha or '')[:12]}: {len(chosen)} files, {total / 1e9:.2f} GB in all.")
        hub: Any = huggingface_hub  # typed in part
        names = [file.name for file in chosen]
        place = hub.snapshot_download(
            repo, revision=info.sha, allow_patterns=names, endpoint=endpoint
        )
        return Path(place)
    except GatedRepoError as error:
        raise DownloadError(
            f"{repo} is gated: its owner gives access to those who ask. Ask on its page, sign in "
            "(hf auth login), and run the same command again."
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{repo} is not on the hub, or is private. Mind the spelling, or sign in "
            "(hf auth login)."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise DownloadError(
            f"{repo} can't be fetched ({type(error).__name__}: {str(error).splitlines()[0]}). What "
            "came is kept: check the network and run the same command again."
        ) from error


def needed_files(files: Iterable[HubFile], variant: str | None) -> list[HubFile]:
    """Return the files that a pipeline is loaded from.

    Weights are those in safetensors, in the variant where a folder has it. Files at the top of a
    repo are single-file checkpoints and pictures, but for configs and the model card.

    Examples:
        >>> names = ["model_index.json", "v1.safetensors", "unet/a.safetensors", "unet/a.bin",
        ...          "unet/a.fp16.safetensors"]
        >>> [f.name for f in needed_files([HubFile(name, 1) for name in names], "fp16")]
        ['model_index.json', 'unet/a.fp16.safetensors']
    """
    kept = [f for f in files if f.name.endswith(KEPT)]
    kept = [f for f in kept if "/" in f.name or not f.name.endswith(".safetensors")]
    has = {_folder(f) for f in kept if variant and f".{variant}." in f.name}
    return [f for f in kept if _in_variant(f, variant if _folder(f) in has else None)]


def _folder(file: HubFile) -> str:
    return file.name.rpartition("/")[0]


def _in_variant(file: HubFile, variant: str | None) -> bool:
    if not file.name.endswith((".safetensors", ".safetensors.index.json")):
        return True
    if variant is None:
        return not _VARIANT.search(file.name)
    return f".{variant}." in file.name
