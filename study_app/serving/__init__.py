"""Serving a study over HTTP: the web application, its limits and host names."""

from __future__ import annotations

from .limits import guesses, joins
from .server import current_study, guard, serve
from .tuning import settle
from .web import SCRIPT, RaterPage

__all__ = [
    "SCRIPT",
    "RaterPage",
    "current_study",
    "guard",
    "guesses",
    "joins",
    "serve",
    "settle",
]
