"""`glide-eval push RUN URL`: publish a run."""

from __future__ import annotations

from pathlib import Path

import click

from .invocation import next_command


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("url")
@click.option(
    "--images",
    type=click.Choice(["files", "tar", "parquet"]),
    default="files",
    show_default=True,
    help="As single files, WebDataset tars, or Parquet as Hugging Face's `datasets` reads it: a "
    "store takes hours for a million files.",
)
@click.option("--rater-ids", is_flag=True, help="Publish votes with the ids of their raters.")
def command(run: Path, url: str, images: str, rater_ids: bool) -> None:
    """Publish a finished run: images, tables, votes and a data card.

    URL is a folder, or s3://, gs://, sftp:// or hf://datasets/ with the package for it. Run the
    command again to resume: files that are there are not sent again.
    """
    from glide_eval.files import FarEnd, RunFolder, count, push

    far = FarEnd(url)
    moved = push(RunFolder.open(run), far, rater_ids, images)
    click.echo(
        f"Sent {count(moved.files, 'file')} ({moved.size:,} bytes); {moved.there:,} were there. "
        f"Fetch them with `{next_command('pull', far.name)}`."
    )
