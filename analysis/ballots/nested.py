"""Exports of annotation tools, which nest answers in tasks: one row per answer.

Their values differ by version and by how a project names its questions, so nothing here checks an
answer: `read_votes` refuses a wrong one by its row.
"""

# What JSON holds has no types before it is looked at.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_SCALARS = (str, int, float, bool)
_PART = ":::"  # parts a schema from its label in a column of Potato's
_LABEL = re.compile(r"^(selected|selection|choice|value)$")


def label_studio_rows(tasks: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per answer of Label Studio's JSON: the task's data beside it.

    Args:
        tasks: `data` and `annotations` of each task.
        where: unused; every layout's rows are made alike.
    """
    rows = [
        {**_plain(data), **answer}
        for data, annotations in zip(tasks["data"], tasks["annotations"], strict=True)
        for annotation in _each(annotations)
        if not annotation.get("was_cancelled")
        for answer in _of_annotation(annotation)
    ]
    return _table(rows)


def _of_annotation(annotation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    who = annotation.get("completed_by")
    if isinstance(who, Mapping):  # an export with users' details
        who = who.get("id", who.get("email"))
    for result in _each(annotation.get("result")):
        value = result.get("value") or {}
        choices = value.get("choices")
        answer = value.get("selected") if choices is None else next(iter(choices), None)
        if answer is None:
            continue
        name = str(result.get("from_name", "preference"))
        yield {
            "question": name, "answer": answer, "rater": who,
            "seconds": annotation.get("lead_time"), "created_at": annotation.get("created_at"),
            "assignment": f"{annotation.get('id')}/{name}",
            "excluded": "ground truth" if annotation.get("ground_truth") else None,
        }  # fmt: skip


def argilla_rows(records: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per submitted response of Argilla's records, nested or flat.

    Args:
        records: with `fields`, `metadata` and `responses`, or flat with `QUESTION.responses`.
        where: unused.
    """
    of = _flat_responses if "responses" not in records else _responses
    return _table([row for record in records.to_dict("records") for row in of(record)])


def _responses(record: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    told = {**_plain(record.get("metadata")), **_plain(record.get("fields"))}
    for question, answers in (record.get("responses") or {}).items():
        for answer in _each(answers):
            if (answer.get("status") or "submitted") == "submitted":
                yield {**told, "question": question, "answer": answer.get("value"),
                       "rater": answer.get("user_id")}  # fmt: skip


def _flat_responses(record: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    told = {name: value for name, value in _plain(record).items() if ".responses" not in name}
    for name, answers in record.items():
        question, _, end = str(name).rpartition(".")
        if end != "responses" or not _listed(answers):
            continue
        users = _listed(record.get(f"{name}.users"))
        states = _listed(record.get(f"{name}.status")) or ["submitted"] * len(users)
        for answer, user, state in zip(_listed(answers), users, states, strict=False):
            if state == "submitted":
                yield {**told, "question": question, "answer": answer, "rater": user}


def potato_rows(instances: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per answer of Potato's instances, JSON Lines or a table.

    Args:
        instances: `id` and `label_annotations`, or `instance_id`, `user` and `SCHEMA:::LABEL`.
        where: unused.
    """
    of = _of_instance if "label_annotations" in instances else _of_row
    return _table([row for each in instances.to_dict("records") for row in of(each)])


def _of_instance(instance: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    for schema, labels in (instance.get("label_annotations") or {}).items():
        for label, value in (labels or {}).items():
            if value not in (None, "", False):
                answer = value if _LABEL.match(str(label)) else label
                yield {**_plain(instance), "question": schema, "answer": answer}


def _of_row(row: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    told = {name: value for name, value in _plain(row).items() if _PART not in name}
    for name, value in row.items():
        schema, found, label = str(name).partition(_PART)
        if found and not pd.isna(value) and str(value) not in ("", "False"):
            answer = value if _LABEL.match(label) else label
            yield {**told, "question": schema, "answer": answer}


def _plain(data: Any) -> dict[str, Any]:
    """Return what is one value each: texts, numbers and truth."""
    items = data.items() if isinstance(data, Mapping) else ()
    return {str(name): value for name, value in items if isinstance(value, _SCALARS)}


def _listed(cell: Any) -> list[Any]:
    """Return a cell's values, however JSON or Arrow holds them; none where it is empty."""
    return list(cell) if cell is not None and hasattr(cell, "__len__") else []


def _each(cell: Any) -> list[dict[str, Any]]:
    return [value for value in _listed(cell) if isinstance(value, dict)]


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, dtype=object)
