"""The option `--device` of the commands that compute."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from generator.option_records import DEVICES
from glide_eval.errors import UsageError


def device_option(more: str = "") -> Callable[..., Any]:
    """Return the option; `more` ends its help."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        callback=_checked,
        help="cpu, cuda, cuda:1 or mps; auto takes CUDA, else an Apple GPU, else the CPU." + more,
    )


def _checked(context: click.Context, option: click.Parameter, value: str) -> str:
    del context, option
    if not re.fullmatch(DEVICES, value):
        raise UsageError(f"--device is {value!r}, expected auto, cpu, mps, cuda or cuda:1.")
    return value
