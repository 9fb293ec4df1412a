"""Reading TOML files that a pydantic model understands."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .reading import read_whole
from .toml_messages import describe

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path, kind: str, example: str, refusal: type[Exception]) -> str:
    """The text of a file in UTF-8.

    Args:
        path: of the file.
        kind: what it is called in messages, such as `sweep file`.
        example: a file of that kind to name where there is none.
        refusal: the error to raise.

    Raises:
        Exception: of type `refusal`; it is missing or can't be read.
    """
    try:
        return read_whole(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise refusal(
            f"{path}: no such {kind}. Name one that exists, such as {example}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(
            f"{path}: expected a {kind} (TOML in UTF-8), found something that can't be read "
            f"as one ({error})."
        ) from error


def parsed(text: str, model: type[Model], where: str, kind: str, refusal: type[Exception]) -> Model:
    """What the text of a TOML file says.

    Args:
        text: of the file.
        model: that understands it.
        where: the file's name in messages.
        kind: what it is called in messages.
        refusal: the error to raise.

    Raises:
        Exception: of type `refusal`; it is not TOML, or the model refuses what it says.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise refusal(
            f"{where}: expected TOML, found a mistake: {error}. Strings need quotes, tables "
            "brackets; mend that line and run the command again."
        ) from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refusal(describe(error, model, where, f"a {kind}")) from error
