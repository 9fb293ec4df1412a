"""Say which pinned or lowest admitted versions have a published hole.

    python scripts/advisories.py FOLDER

FOLDER holds advisories in the OSV format, as YAML or JSON: a clone of PyPA's advisory database, or
an export of OSV's. Versions are those of constraints.txt and the floors (>=) of pyproject.toml.
Ends with 1 if any is affected, and with 2 if FOLDER holds no advisory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def versions_used(root: Path) -> set[tuple[str, str, str]]:
    """Return (package, version, where it is asked for) of every pin and every floor."""
    found: set[tuple[str, str, str]] = set()
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    asked = {
        "pyproject.toml": [*project["dependencies"], *(line for extra in extras for line in extra)],
        "constraints.txt": (root / "constraints.txt").read_text("utf-8").splitlines(),
    }
    for file, lines in asked.items():
        for line in lines:
            if line.strip() and not line.startswith("#"):
                wanted = Requirement(line)
                for part in wanted.specifier:
                    if part.operator in (">=", "=="):
                        found.add((canonicalize_name(wanted.name), part.version, file))
    return found


def advisories(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (package, what the hole is called, what is affected) of every advisory in force."""
    for file in sorted(folder.rglob("*")):
        if file.suffix not in (".yaml", ".yml", ".json") or not file.is_file():
            continue
        text = file.read_text("utf-8")
        entry = json.loads(text) if file.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
        if not isinstance(entry, dict) or "affected" not in entry or "withdrawn" in entry:
            continue
        title = ", ".join([entry["id"], *entry.get("aliases", [])])
        for affected in entry["affected"]:
            package = affected.get("package", {})
            if package.get("ecosystem") == "PyPI":
                yield canonicalize_name(package["name"]), title, affected


def affects(affected: dict[str, Any], version: str) -> bool:
    """Whether OSV's ranges or list of versions hold this version."""
    if version in affected.get("versions", ()):
        return True
    ranges = (r["events"] for r in affected.get("ranges", ()) if r["type"] == "ECOSYSTEM")
    return any(_inside(events, Version(version)) for events in ranges)


def _inside(events: Iterable[dict[str, str]], version: Version) -> bool:
    inside = False
    for event in sorted(events, key=lambda event: Version(str(*event.values()))):
        ((kind, at),) = event.items()
        if kind == "introduced":
            inside |= Version(str(at)) <= version
        elif kind == "fixed":
            inside &= version < Version(str(at))
        elif kind == "last_affected":
            inside &= version <= Version(str(at))
    return inside


def main(folder: str, root: Path = ROOT) -> int:
    """Print what is affected in the project at root; return the exit code."""
    used, seen, holes = versions_used(root), 0, list[str]()
    for package, title, affected in advisories(Path(folder)):
        seen += 1
        holes += [
            f"{package} {version} ({file}): {title}"
            for name, version, file in sorted(used)
            if name == package and affects(affected, version)
        ]
    for line in dict.fromkeys(holes):
        print(line)
    print(f"{len(set(holes))} holes in {len(used)} versions, by {seen} advisories of {folder}.")
    return 2 if not seen else int(bool(holes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Known holes in the versions in use.")
    parser.add_argument("folder", help="advisories in the OSV format, YAML or JSON")
    sys.exit(main(parser.parse_args().folder))
