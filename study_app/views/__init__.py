"""The pages: `rate` for raters, `owner` for the study's owner."""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).parents[1] / "static"
STYLE = _STATIC / "style.css"
GUARD = _STATIC / "guard.html"
