"""Arguments that the commands of `glide-eval study` share, and how they open a study."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.files import RunFolder
from study_app.store import database_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from study_app.rating import Study

RUN = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

run_argument = click.argument("run", type=RUN, required=False)
db_option = click.option(
    "--db", metavar="URL", help="Database instead of RUN/study.db: a path or a PostgreSQL URL."
)


def study_url(run: Path | None, db: str | None) -> URL:
    """Return the database of the study that the user named."""
    if db is not None:
        return database_url(db)
    if run is None:
        raise click.UsageError("Name the run folder, or its study's database with --db.")
    return database_url(str(RunFolder.open(run).study_path))


@contextlib.contextmanager
def opened(
    run: Path | None, db: str | None, *, writable: bool = False
) -> Generator[Study, None, None]:
    """Open the study, and close it afterwards."""
    from study_app.rating import Study

    study = Study.open(study_url(run, db), writable=writable)
    if study.database.warning:
        click.echo(f"Warning: {study.database.warning}", err=True)
    try:
        yield study
    finally:
        study.close()
