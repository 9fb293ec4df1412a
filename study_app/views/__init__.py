"""The pages: `rate` for raters, `owner` for the study's owner."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).parents[1] / "static" / "style.css"
