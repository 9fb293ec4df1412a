"""What a sweep file may say of a generator and of its arms, whatever the source.

A source adds keys of its own by subclassing both tables (`ImageSource.Settings`, `.Options`).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from generator.option_records import DEVICES
from glide_eval.files import Table, Text

Scalar = str | int | float | bool


class GeneratorTable(Table):
    """`[generator]`, or `[generators.NAME]`: what every source has.

    Attributes:
        model: `tabletop` (bundled), `glide` (OpenAI's released files, once fetched), `fake`
            (tests), `diffusers:` and a folder or repo id, `package.module:Class` (a source of your
            own), or a folder of GLIDE checkpoints.
        micro_batch: images made together. It is part of a run's identity, since kernels round
            differently at other batch sizes.
        device: `auto` takes CUDA if there is one, else an Apple GPU, else the CPU.
        dtype: `auto` is float32 on CPU, bfloat16 on CUDA from Ampere on, float16 elsewhere.
    """

    model: Text = "tabletop"
    micro_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    device: Annotated[str, Field(pattern=DEVICES)] = "auto"
    dtype: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"

    def identity(self) -> dict[str, Scalar | None]:
        """Return what decides images beside model, micro-batch, device and dtype.

        By default that is each further key that differs from its default.
        """
        common = GeneratorTable.model_fields
        return {
            key: scalar(value)
            for key, value in self
            if key not in common and value != type(self).model_fields[key].get_default()
        }


class ArmOptions(Table):
    """What a source lets its arms choose; a source's `Options` adds fields to it."""

    own_keys: ClassVar[tuple[str, ...] | None] = None  # set where every arm's keys are added

    def identity(self) -> dict[str, Scalar]:
        """Return all options that decide an arm's images, beside strategy and scale.

        By default that is each option that is not None.
        """
        names = self.own_keys or tuple(type(self).model_fields)
        return {name: scalar(value) for name, value in self if name in names and value is not None}


def scalar(value: Any) -> Scalar:
    """Return a value as a run's identity holds it: a JSON scalar; tables and lists as JSON text."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Table):
        value = value.model_dump()
    return json.dumps(value, sort_keys=True, default=str)
