"""A Griffe extension for the API reference: a package's exports win over files of the same name.

`analysis.agreement` is a function, and it is defined in a file of that name. At run time the
import in `__init__.py` wins. Griffe reads without running and takes the file.
"""

from __future__ import annotations

from typing import Any

import griffe


class ExportsBeforeFiles(griffe.Extension):
    """Put exported objects in the place of submodules that have their names."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Correct a package and its rooms, once everything is loaded."""
        for member in [*pkg.members.values()]:
            if isinstance(member, griffe.Module):
                self.on_package(pkg=member)
        shadowed = [
            name
            for name in _exports(pkg)
            if isinstance(module := pkg.members.get(name), griffe.Module) and name in module.members
        ]
        if shadowed:
            for name in _exports(pkg):  # before the places of their targets change
                if isinstance(member := pkg.members.get(name), griffe.Alias):
                    member.resolve_target()
        for name in shadowed:
            found = pkg.members[name].members[name]
            found.parent = pkg
            pkg.members[name] = found


def _exports(module: griffe.Module) -> list[str]:
    return [str(name) for name in module.exports or () if str(name) in module.imports]
