"""Pydantic's complaints about a sweep file, told as one paragraph a person can act on."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic import BaseModel, Tag, ValidationError

from .words import some

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

PATTERN_WORDS = {
    NAME_PATTERN: "letters, digits, `_`, `.` and `-`, beginning with a letter or digit",
    r"^[A-Za-z][A-Za-z0-9 _-]*$": "letters, digits, spaces, `_` and `-`, beginning with a letter",
    r"^(auto|cpu|mps|cuda(:\d+)?)$": '"auto", "cpu", "mps", "cuda" or "cuda:1"',
}
SHOWN = 5


def describe(
    error: ValidationError, model: type[BaseModel], where: str, what: str = "a sweep file"
) -> str:
    """One paragraph: the file, each key's path, what was found, what was expected, a hint.

    Args:
        error: of validating a sweep file's content.
        model: that refused it; its fields are the known keys.
        where: the file's name.
        what: kind of file it is.
    """
    problems = [_problem(details, model, what) for details in error.errors(include_url=False)]
    many = "" if len(problems) == 1 else f"{len(problems)} mistakes: "
    return f"{where}: {many}{some(problems, SHOWN, '; ')}. Mend the file and run the command again."


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word most like `word`, if any is like it."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _problem(details: Any, model: type[BaseModel], what: str) -> str:
    loc = tuple(details["loc"])
    path, table = _walk(loc, model)
    kind, found, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(table.model_fields) if table else []
        near = nearest(str(loc[-1]), known)
        hint = f"did you mean `{near}`? " if near else ""
        return f"`{path}` is not a key of {what}; {hint}known keys here are {_listed(known)}"
    if kind == "missing":
        return f"`{path}` is missing"
    if kind == "union_tag_not_found":
        return f"`{path}.strategy` is missing; expected one of {_tags(path, model)}"
    if kind == "union_tag_invalid":
        near = nearest(context["tag"], context["expected_tags"].replace("'", "").split(", "))
        hint = f"; did you mean '{near}'?" if near else ""
        return (
            f"`{path}.strategy` is {_show(context['tag'])}, "
            f"expected one of {context['expected_tags']}{hint}"
        )
    if kind == "value_error":
        return f"`{path}`: {context['error']}" if path else str(context["error"])
    return f"`{path}` is {_show(found)}, expected {_expected(kind, details['msg'], context)}"


def _expected(kind: str, message: str, context: dict[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        return PATTERN_WORDS.get(context["pattern"], f"text like {context['pattern']}")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "a table of keys and values"
    if kind == "too_long":
        return f"at most {context['max_length']:,} items"
    if kind == "too_short":
        return f"at least {context['min_length']} item"
    if kind == "string_too_short":
        return "some text"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    if kind == "list_type":
        return "a list in brackets, such as [1.5, 3.0]"
    if kind in ("int_type", "int_from_float"):
        return "a whole number"
    return message.removeprefix("Input should be ").replace("a valid ", "a ")


def _walk(loc: tuple[Any, ...], model: type[BaseModel]) -> tuple[str, type[BaseModel] | None]:
    """The path as a person writes it (`arms[1].scales`) and the table the last key stands in.

    Pydantic puts a union's tag into the location (`arms, 1, clip, scales`); it selects the table
    and is left out of the path.
    """
    path, here = "", cast("type[BaseModel] | None", model)
    choices: dict[str, Any] = {}
    table = here
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in choices:
            chosen = choices[part]
            here, choices = (chosen, {}) if _is_table(chosen) else (None, _choices(chosen))
        else:
            path += f".{part}" if path else str(part)
            table = here
            field = here.model_fields.get(part) if here else None
            models = list(_models(field.annotation)) if field else []
            here = models[0] if len(models) == 1 else None
            choices = _choices(field.annotation) if field and len(models) > 1 else {}
    return path, table


def _choices(annotation: Any) -> dict[str, Any]:
    """What a union's tags in a location choose: tables, or unions of their own by `Tag`."""
    if _is_table(annotation):
        return {_tag(annotation): annotation}
    arguments = typing.get_args(annotation)
    for tag in arguments[1:]:
        if isinstance(tag, Tag):
            return {tag.tag: arguments[0]}
    return {tag: chosen for part in arguments for tag, chosen in _choices(part).items()}


def _is_table(annotation: Any) -> bool:
    plain = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    return plain and issubclass(annotation, BaseModel)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables a field may hold, through lists, unions and `Annotated`."""
    if _is_table(annotation):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _tag(model: type[BaseModel]) -> str:
    return typing.get_args(model.model_fields["strategy"].annotation)[0]


def _tags(path: str, model: type[BaseModel]) -> str:
    field = path.split("[")[0]
    return _listed([_tag(m) for m in _models(model.model_fields[field].annotation)])


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
