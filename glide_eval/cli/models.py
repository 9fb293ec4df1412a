"""`glide-eval models …`: which models there are, and bringing their weights to disk."""

from __future__ import annotations

import click

from .train import command as train


@click.group("models")
def command() -> None:
    """List, fetch and check models and their weights; train your own."""


command.add_command(train)
