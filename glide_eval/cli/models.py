"""`glide-eval models …`: which models there are, and bringing their weights to disk."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import click

from generator.errors import GeneratorError
from glide_eval.errors import GlideEvalError, UsageError
from glide_eval.models import (
    Model,
    ModelFile,
    fetch_file,
    fetch_pipeline,
    find_model,
    known_models,
    verify_file,
)

from .train import command as train


@click.group("models")
def command() -> None:
    """List, fetch and check models and their weights.

    Weights lie in $GLIDE_EVAL_WEIGHTS, or else in glide-eval/weights of the user's cache folder.
    Nothing but `models fetch` ever downloads.
    """


command.add_command(train)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with files, sizes and digests.")
def list_models(as_json: bool) -> None:
    """List models: what they are, how much of them is on disk."""
    if as_json:
        listed = [_as_json(model) for model in known_models().values()]
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    rows = [("model", "what", "on disk", "sha256")]
    rows += [(m.name, m.what, _on_disk(m), _recorded(m)) for m in known_models().values()]
    _print_table(rows)


@command.command()
@click.argument("name")
def info(name: str) -> None:
    """Show a model's origin, terms, folder and files."""
    model = find_model(name)
    click.echo(f"{model.name}: {model.what}\n\n{textwrap.fill(model.about, 96)}\n")
    click.echo(f"Folder: {model.folder}\n")
    rows = [("file", "parameters", "on disk", "sha256", "what")]
    for file in model.files:
        parameters = f"{file.parameters / 1e6:.0f} M" if file.parameters else ""
        digest = (file.record.sha256[:12] + "…") if file.record else ""
        rows.append((file.name, parameters, _state(file), digest, file.what))
    _print_table(rows)
    if not model.bundled and any(file.size is None for file in model.files):
        click.echo(f"\nNext: glide-eval models fetch {model.name}")


@command.command()
@click.argument("name")
@click.option(
    "--only", "only", multiple=True, metavar="FILE", help="Fetch this file; repeat for several."
)
@click.option(
    "--force", is_flag=True, help="Forget what was recorded of the files, and fetch them anew."
)
@click.option("--revision", help="Of a diffusers pipeline: branch, tag or commit.")
@click.option("--variant", help="Of a diffusers pipeline's weights, such as fp16.")
def fetch(
    name: str, only: tuple[str, ...], force: bool, revision: str | None, variant: str | None
) -> None:
    """Download a model's files; goes on where it stopped.

    NAME is one that `models list` knows, or diffusers: and the id of a repo on the Hugging Face
    hub, which goes into the hub's own cache (HF_HOME).

    Each file is put into place only when it is whole and holds what it should; its sha256 is
    recorded then and checked ever after. A file that is there already, as recorded, is not fetched
    again.
    """
    source, _, repo = name.partition(":")
    if source == "diffusers" and repo:
        click.echo(f"In {fetch_pipeline(repo, revision, variant, say=click.echo)}.")
        return
    if revision or variant:
        raise UsageError("--revision and --variant are of diffusers pipelines. Leave them out.")
    model = find_model(name)
    for file in model.choose(only):
        click.echo(f"{file.path.name}: {fetch_file(model, file, force=force)}")
    click.echo(f"In {model.folder}.")


@command.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Recompute each file's sha256 and check what it holds, of NAME or of all on disk."""
    models = [find_model(name)] if name else list(known_models().values())
    good = bad = 0
    for model in models:
        for file in model.files:
            if file.size is None and file.record is None:  # never fetched, which is no fault
                continue
            try:
                digest = verify_file(model, file)
            except (GlideEvalError, GeneratorError) as error:
                bad += 1
                click.echo(f"{model.name}/{file.name}: {error}", err=True)
                continue
            good += 1
            against = "as recorded" if file.record or file.sha256 else "whole; nothing recorded"
            click.echo(f"{model.name}/{file.name}: {against}, sha256 {digest}")
    if not good + bad:
        raise click.ClickException(
            f"{models[0].name} is not on disk. Fetch it: glide-eval models fetch {models[0].name}"
        )
    if bad:
        raise click.ClickException(f"{bad} of the files failed; see above.")


def _as_json(model: Model) -> dict[str, Any]:
    """Return a model for scripts; `size` is that on disk, in bytes, None for what isn't there."""
    files = [
        {
            "name": file.name,
            "path": str(file.path),
            "size": file.size,
            "published_size": file.published_size,
            "sha256": file.record.sha256 if file.record else file.sha256,
        }
        for file in model.files
    ]
    return {"name": model.name, "what": model.what, "bundled": model.bundled, "files": files}


def _on_disk(model: Model) -> str:
    there = [file.size for file in model.files if file.size is not None]
    if not there:
        begun = any(file.begun is not None for file in model.files)
        return "fetch not finished" if begun else "no"
    size = _bytes(sum(there))
    if len(there) < len(model.files):
        return f"{len(there)} of {len(model.files)} files, {size}"
    return f"{'bundled' if model.bundled else 'yes'}, {size}"


def _recorded(model: Model) -> str:
    """Whether every file on disk is as long as when its sha256 was recorded."""
    there = [file for file in model.files if file.size is not None]
    if model.bundled or not there:
        return "-"
    records = [(file.record.size if file.record else None, file.size) for file in there]
    if any(recorded is None for recorded, _ in records):
        return "not recorded"
    return "recorded" if all(a == b for a, b in records) else "FILES DIFFER: run verify"


def _state(file: ModelFile) -> str:
    if file.size is not None:
        return _bytes(file.size)
    if file.begun is not None:
        return f"{_bytes(file.begun)} so far"
    return f"no ({_bytes(file.published_size)} to fetch)" if file.published_size else "no"


def _bytes(size: int) -> str:
    """Bytes as people read them: `1.54 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
