"""`glide-eval pull URL [FOLDER]`: fetch a published run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("url")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def command(url: str, folder: Path | None) -> None:
    """Fetch a published run; each file is checked by its SHA-256.

    FOLDER is by default the last part of URL, in the current folder. Run the command again to
    resume: files that are there are not fetched again.
    """
    from glide_eval.errors import UsageError
    from glide_eval.files import FarEnd, count, pull

    far = FarEnd(url)
    last = far.name.rstrip("/").rpartition("/")[2]
    if folder is None and last in ("", ".", ".."):
        raise UsageError(f"{far.name} has no last part to name a folder after: name FOLDER too.")
    target = Path(last) if folder is None else folder
    moved = pull(far, target)
    click.echo(
        f"Fetched {count(moved.files, 'file')} ({moved.size:,} bytes) into {target}; "
        f"{moved.there:,} were there."
    )
