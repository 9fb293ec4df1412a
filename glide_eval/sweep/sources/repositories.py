"""Repositories of the Hugging Face hub, on disk: where they lie and what they say of themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from generator.weight_files import sha256
from glide_eval.errors import WeightsError

WEIGHTS = (".safetensors", ".bin", ".pt", ".ckpt")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VARIANTS = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)\b")


def located_repository(name: str, revision: str | None, base: Path) -> Path:
    """Return where a repo lies: a path, relative to the sweep file, or in the hub's cache.

    Raises:
        WeightsError: it is not on disk; names the command that gets it.
    """
    path = base / Path(name).expanduser()
    if path.exists():
        return path
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise WeightsError(
            f"{path}: no such pipeline. Expected a folder as diffusers saves it, relative to the "
            "sweep file, or a repo id such as stabilityai/stable-diffusion-xl-base-1.0."
        )
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    hub: Any = huggingface_hub  # typed in part
    try:
        return Path(hub.snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        at = f" at revision {revision}" if revision else ""
        more = f" --revision {revision}" if revision else ""
        raise WeightsError(
            f"{name}{at} is not on disk, and sweeps download nothing. Fetch it: glide-eval models "
            f"fetch diffusers:{name}{more}, which says first how large it is."
        ) from error


def revision_of(folder: Path) -> str | None:
    """Return the commit that a snapshot in the hub's cache is of; None for any other folder."""
    return folder.name if _COMMIT.fullmatch(folder.name) else None


def licence_of(folder: Path) -> str | None:
    """Return the licence that a repo's model card names in its head; None if it names none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = re.match(r"---\n(.*?)\n---", card.read_text("utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:\s*(\S.*?)\s*$", head[1], re.MULTILINE) if head else None
    return found[1].strip("\"'") if found else None


def weight_digests(path: Path, variant: str | None) -> dict[str, str]:
    """Return the SHA-256 of each weights file, by its path in the repo.

    Of a file in several variants only that which is loaded counts.
    """
    if path.is_file():
        return {path.name: sha256(path)}
    files = sorted(file for file in path.rglob("*") if file.suffix in WEIGHTS and file.is_file())
    safe = {file.parent for file in files if file.suffix == ".safetensors"}
    files = [f for f in files if f.suffix == ".safetensors" or f.parent not in safe]
    chosen = {file.parent for file in files if variant and f".{variant}." in file.name}
    return {
        file.relative_to(path).as_posix(): sha256(file)
        for file in files
        if (f".{variant}." in file.name) == (file.parent in chosen)
        and (file.parent in chosen or not _VARIANTS.search(file.name))
    }
