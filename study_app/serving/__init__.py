"""Serving a study over HTTP: the web application, its limits and host names."""

from __future__ import annotations

from .limits import guesses, joins
from .server import current_study, serve
from .tuning import settle
from .web import RaterPage

__all__ = [
    "RaterPage",
    "current_study",
    "guesses",
    "joins",
    "serve",
    "settle",
]
