"""Commands of `glide-eval study` that carry data: export, import, backup, deletion, upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.files import RunFolder
from study_app.store import PASSWORD_VARIABLE, database_url

from .options import FILE, db_option, opened, run_argument, study_url

if TYPE_CHECKING:
    from study_app.owner import Format


@click.command()
@run_argument
@db_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet", "jsonl"]),
    default="csv",
    show_default=True,
    help="Of the file.",
)
@click.option(
    "--out", type=FILE, help="Default: RUN/votes.csv (or .parquet, .jsonl); here without RUN."
)
@click.option("--comments", type=FILE, help="Also write what raters wrote, as a CSV.")
def export(
    run: Path | None, db: str | None, format_: Format, out: Path | None, comments: Path | None
) -> None:
    """Write every vote to a file. Revised and excluded votes are in it, flagged."""
    from study_app.owner import write_comments, write_votes

    default = RunFolder(run).votes_path if run else Path("votes.csv")
    out = out or default.with_suffix(f".{format_}")
    with opened(run, db) as study:
        count = write_votes(study, out, format_)
        written = None if comments is None else write_comments(study, comments)
    click.echo(f"Wrote {count:,} votes to {out}")
    if written is not None:
        click.echo(f"Wrote {written:,} comments to {comments}")


@click.command("import")
@click.argument("votes", type=FILE)
@click.option("--db", required=True, metavar="URL", help="The new study's database; empty.")
@click.option("--name", help="Of the study; default: the file's name.")
@click.option("--question", help="What was asked, when the file has no column that says so.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="The file's name for a column of votes.csv; repeat for several.",
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="THEIRS=OURS",
    help="What the file says for an answer of ours, such as 1=left; repeat for several.",
)
@click.option("--password", envvar=PASSWORD_VARIABLE, help="The owner's; default: a generated one.")
def import_(
    votes: Path,
    db: str,
    name: str | None,
    question: str | None,
    columns: tuple[str, ...],
    answers: tuple[str, ...],
    password: str | None,
) -> None:
    """Make a closed study of votes made elsewhere, for status, owner's page and report.

    VOTES is any file that `glide-eval report --votes` reads, also one of another tool.
    """
    from study_app.making import import_votes, parse_pairs

    made = import_votes(
        votes,
        database_url(db),
        columns=parse_pairs(columns, "--column"),
        answers=parse_pairs(answers, "--answer"),
        question=question,
        name=name,
        password=password,
    )
    click.echo(
        f"Imported {made.votes:,} votes of {made.raters:,} raters on {made.arms} arms into {db}."
    )
    if password is None:
        click.echo(f"Owner's password, shown only now: {made.password}")


@click.command()
@run_argument
@db_option
@click.option(
    "--out", required=True, metavar="URL", help="An SQLite file, or an empty PostgreSQL database."
)
def backup(run: Path | None, db: str | None, out: str) -> None:
    """Copy the study as it is now, while it is served; the copy is a whole study.

    Also moves a study from SQLite to PostgreSQL, or back.
    """
    from study_app.store import back_up

    made = back_up(study_url(run, db), database_url(out))
    click.echo(f"Copied the study with {made.votes:,} votes. Its images stay in {made.images}.")


@click.command("delete-rater")
@run_argument
@db_option
@click.option(
    "--rater",
    required=True,
    metavar="ID",
    help="Their id in votes.csv, at Prolific or Mechanical Turk, or the token of their invite.",
)
@click.option(
    "--keep-votes", is_flag=True, help="Keep the votes, without anything that leads to the person."
)
@click.confirmation_option(prompt="This can't be undone. Delete?")
def delete_rater(run: Path | None, db: str | None, rater: str, keep_votes: bool) -> None:
    """Delete all that is stored of a rater who asks for it; copies of the study are not touched."""
    from study_app.owner import delete_rater as delete

    with opened(run, db, writable=True) as study:
        deleted = delete(study, rater, keep_votes=keep_votes)
    what = "kept, without a name" if deleted.kept else "deleted"
    click.echo(f"Deleted the rater's data; {deleted.votes:,} votes were {what}.")


@click.command()
@run_argument
@db_option
def upgrade(run: Path | None, db: str | None) -> None:
    """Bring a study made by an earlier version up to date; every vote is kept."""
    from study_app.store import upgrade_database

    before, after = upgrade_database(study_url(run, db))
    if before == after:
        click.echo(f"The study is up to date (schema version {after}).")
    else:
        click.echo(f"Upgraded the study from schema version {before} to {after}.")
