"""`run.json`: how a run came to be, written when it starts and completed when it ends.

name, seed, replicas, image_size    from the sweep file and the generator
arms                                each as `Arm.to_dict()`, in order
config_sha256                       of the run folder's sweep.toml
command, started, ended             of the first and the last session; `ended` null until done
sessions                            one entry per start: when, how far, with which command; `added`
                                    names arms and prompts, and counts replicas, that came with it
forked                              of a fork: the run, and how many of its samples were taken over
versions, commit, device, threads,
dtype                               of the first worker of the last session
weights                             SHA-256 of each weights file, by name
workers                             all that differ, each with its facts and how many images it drew
sources                             what a source says of itself; absent if it says nothing
identity                            what must not change on resuming (see `identity`)
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from glide_eval import __version__
from glide_eval.errors import RunError
from glide_eval.files import RunFolder, write_text

from .file.sweep_file import SweepFile
from .identity import Identity
from .sources import ImageSource, Size

PACKAGES = ("torch", "numpy", "pillow", "safetensors", "scipy", "tiktoken")


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def read_provenance(run: RunFolder) -> dict[str, Any] | None:
    """Return an earlier start's `run.json`, or None if this folder has never held a run.

    Raises:
        RunError: the file is there but no sweep wrote it.
    """
    if not run.provenance_path.exists():
        return None
    try:
        values = run.provenance()
        if _resumable(values):
            return values
    except RunError:
        pass
    raise RunError(
        f"{run.provenance_path}: expected the record a sweep writes, found something else, so "
        "nobody can tell which config made the images beside it. Nothing was changed. Choose "
        "another --out, or put the file back."
    )


def _resumable(values: dict[str, Any]) -> bool:
    """Whether a record has all that a resumed sweep builds on."""
    sessions = values.get("sessions")
    return (
        isinstance(values.get("identity"), dict)
        and isinstance(values.get("versions", {}), dict | None)
        and isinstance(sessions, list)
        and len(cast(list[object], sessions)) > 0
        and all(isinstance(session, dict) for session in cast(list[object], sessions))
        and values.keys() >= {"command", "started", "ended"}
    )


def config_fields(sweep: SweepFile) -> dict[str, Any]:
    """Return what a sweep file may change in a run without changing its images, as `run.json` holds
    it.
    """
    return {
        "name": sweep.config.run.name,
        "arms": [arm.record.to_dict() for arm in sweep.config.expand()],
        "config_sha256": hashlib.sha256(sweep.text.encode()).hexdigest(),
    }


def begin(
    previous: dict[str, Any] | None,
    sweep: SweepFile,
    identity: Identity,
    facts: Mapping[str, Any],
    command: str,
    shard: str = "",
    added: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`run.json` of a run that starts or resumes now.

    Args:
        previous: an earlier start's, whose first command, start and sessions are kept.
        sweep: what runs.
        identity: all of it.
        facts: see `facts_of`, or `nobodys_facts`.
        command: as typed.
        shard: the share that this session draws, such as `2/8`; empty for all.
        added: what this session adds to the run (`growth.added`).
    """
    time = now()
    first = previous or {"command": command, "started": time, "sessions": []}
    session: dict[str, Any] = {
        "command": command, "started": time, "ended": None, "images": None,
    }  # fmt: skip
    if shard:
        session["shard"] = shard
    if added:
        session["added"] = dict(added)
    kept = {"forked": first["forked"]} if "forked" in first else {}
    return {
        **config_fields(sweep),
        "seed": sweep.config.run.seed,
        "replicas": sweep.config.run.replicas,
        "command": first["command"],
        "started": first["started"],
        "ended": None,
        "sessions": [*first["sessions"], session],
        **facts,
        **kept,
        "workers": first.get("workers", []),
        "identity": identity,
    }


def facts_of(source: ImageSource | None, weights: Mapping[str, str], size: Size) -> dict[str, Any]:
    """Return what this process draws with, as `run.json` and each shard's record hold it.

    Args:
        source: the opened image source; None if every arm is imported.
        weights: SHA-256 of every weights file that takes part, by name.
        size: of the samples in pixels.
    """
    told = source.facts() if source else {}
    return {
        "image_size": size,
        **environment(source),
        "dtype": source.dtype if source else None,
        "weights": dict(weights),
        **({"sources": told} if told else {}),
    }


def nobodys_facts(previous: dict[str, Any] | None) -> dict[str, Any]:
    """Return the facts of a run whose first worker has not come yet: those of earlier ones."""
    keys = ("image_size", "versions", "commit", "device", "threads", "dtype", "weights")
    known: dict[str, Any] = previous or {}
    return {key: known.get(key) for key in keys}


def end_session(values: dict[str, Any], images: int, shard: str = "") -> dict[str, Any]:
    """Return `run.json` after the last session of a share made `images` images.

    The run itself goes on, see `end`.
    """
    sessions = list(values["sessions"])
    for place in reversed(range(len(sessions))):
        if sessions[place].get("shard", "") == shard:
            sessions[place] = {**sessions[place], "ended": now(), "images": images}
            break
    return {**values, "sessions": sessions}


def end(values: dict[str, Any]) -> dict[str, Any]:
    """Return `run.json` of a run that was finished just now."""
    return {**values, "ended": now()}


def changes(previous: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """Return what differs between two sessions' machines and could move an image's last bits."""
    before: dict[str, str] = previous.get("versions") or {}
    after: dict[str, str] = current["versions"]
    found = [
        f"{name} {before.get(name)} → {after.get(name)}"
        for name in after
        if name != "glide-eval" and before.get(name) != after.get(name)
    ]
    # Where a card draws, the number of the host's threads moves no image.
    for key in ("device",) if current["device"].startswith("cuda") else ("device", "threads"):
        if previous.get(key) != current[key]:
            found.append(f"{key} {previous.get(key)} → {current[key]}")
    return found


def write_provenance(run: RunFolder, values: dict[str, Any]) -> None:
    """Replace `run.json`."""
    write_text(run.provenance_path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def environment(source: ImageSource | None) -> dict[str, Any]:
    """Versions, commit, device and thread count of this process."""
    return {
        "versions": _versions(),
        "commit": commit(),
        "device": _device(source.device if source else "cpu"),
        "threads": _threads(),
    }


def _versions() -> dict[str, str]:
    versions = {"glide-eval": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def commit() -> str | None:
    """Return the checkout's commit, `-dirty` if files differ from it; None outside a checkout."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=40"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _device(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({_processor()})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch:
        return torch.get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else os.cpu_count() or 1
