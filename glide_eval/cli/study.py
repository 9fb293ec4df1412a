"""`glide-eval study …`: collect votes on pairs of a run's images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.run_store import RunFolder
from study_app.settings import PASSWORD_VARIABLE, database_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from study_app.services import Study

_RUN = click.Path(path_type=Path, file_okay=False)


@click.group("study")
def command() -> None:
    """Collect votes on pairs of a run's images.

    A study lives in one database: RUN/study.db, or the one named with --db, an SQLite file or a
    PostgreSQL URL.
    """


_db = click.option(
    "--db", metavar="URL", help="Database instead of RUN/study.db: a path or a PostgreSQL URL."
)


@command.command()
@click.argument("run", type=_RUN)
@_db
@click.option(
    "--question",
    "questions",
    multiple=True,
    metavar="KEY[=TEXT]",
    help="Ask this instead of photorealism and caption_similarity; repeat for several.",
)
@click.option(
    "--pairs",
    type=click.IntRange(1),
    help="Pairs a question; default: every pair of arms on every prompt.",
)
@click.option(
    "--votes-per-pair", type=click.IntRange(1), default=2, show_default=True, help="Votes wanted."
)
@click.option(
    "--pairs-per-rater",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Pairs shown to one person.",
)
@click.option(
    "--min-seconds",
    type=click.FloatRange(0, 60),
    default=0.6,
    show_default=True,
    help="Sooner clicks were meant for the pair before and do not count.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--name", help="What votes.csv calls the study; default: the run folder's name.")
@click.option(
    "--password",
    envvar=PASSWORD_VARIABLE,
    help=f"The owner's; default: a generated one, printed once. Also ${PASSWORD_VARIABLE}.",
)
def create(
    run: Path,
    db: str | None,
    questions: tuple[str, ...],
    pairs: int | None,
    votes_per_pair: int,
    pairs_per_rater: int,
    min_seconds: float,
    seed: int,
    name: str | None,
    password: str | None,
) -> None:
    """Plan pairs of RUN's images and make them ready for raters."""
    from study_app.create import create_study
    from study_app.domain import Rules, parse_questions

    folder = RunFolder.open(run)
    url = _url(folder.root, db)
    made = create_study(
        folder,
        url,
        questions=parse_questions(questions),
        pairs_per_question=pairs,
        rules=Rules(votes_per_pair, pairs_per_rater, min_seconds),
        seed=seed,
        name=name,
        password=password,
    )
    width, height = made.image_size
    click.echo(
        f"Created a study of {made.pairs:,} pairs from {made.images:,} images ({width}×{height} "
        f"pixels); it wants {made.pairs * votes_per_pair:,} votes."
    )
    if made.resized:
        click.echo("The arms' images differed in size; larger ones were made smaller for raters.")
    if password is None:
        click.echo(f"Owner's password, shown only now: {made.password}")
    target = f"--db {url.render_as_string(hide_password=True)}" if db else str(run)
    click.echo(f"Next: glide-eval study serve {target}")


@command.command()
@click.argument("run", type=_RUN, required=False)
@_db
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8501, show_default=True)
@click.option("--public-url", metavar="URL", help="Where raters reach it through a proxy.")
def serve(run: Path | None, db: str | None, host: str, port: int, public_url: str | None) -> None:
    """Serve the rating page and the owner's page until Ctrl-C."""
    from study_app.server import serve as serve_study

    url = _url(run, db)
    serve_study(url, host=host, port=port, public_url=public_url, announce=_announce)
    click.echo("Stopped. Every accepted vote is stored.")


@command.command()
@click.argument("run", type=_RUN, required=False)
@_db
def status(run: Path | None, db: str | None) -> None:
    """Show progress, raters and the live Elo table."""
    from study_app.status import status_text

    study = _open(run, db)
    try:
        click.echo(status_text(study))
    finally:
        study.close()


@command.command()
@click.argument("run", type=_RUN, required=False)
@_db
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: RUN/votes.csv, or votes.csv here without RUN.",
)
def export(run: Path | None, db: str | None, out: Path | None) -> None:
    """Write every vote to a CSV file."""
    from study_app.export import write_votes

    study = _open(run, db)
    try:
        out = out or (RunFolder(run).votes_path if run else Path("votes.csv"))
        count = write_votes(study, out)
    finally:
        study.close()
    click.echo(f"Wrote {count:,} votes to {out}")


@command.command()
@click.argument("run", type=_RUN)
@_db
@click.option("--raters", type=click.IntRange(1), default=40, show_default=True)
@click.option(
    "--votes", type=click.IntRange(1), help="In all; default: as many as the study wants."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Which raters come."
)
def simulate(run: Path, db: str | None, raters: int, votes: int | None, seed: int) -> None:
    """Add raters marked as simulated, who follow RUN's scores.csv.

    Their votes are kept apart from people's everywhere and use up none of what people are asked
    for. The same seed gives the same votes; run again, it adds only what is missing.
    """
    from study_app.simulate import read_scores
    from study_app.simulate import simulate as add_simulated

    scores = read_scores(RunFolder.open(run).scores_path)
    study = _open(run, db, writable=True)
    try:
        added = add_simulated(study, scores, raters=raters, votes=votes, seed=seed)
    finally:
        study.close()
    click.echo(f"Added {added:,} SIMULATED votes of {raters} simulated raters (seed {seed}).")


def _announce(line: str) -> None:
    click.echo(line)


def _url(run: Path | None, db: str | None) -> URL:
    if db is not None:
        return database_url(db)
    if run is None:
        raise click.UsageError("Name the run folder, or its study's database with --db.")
    return database_url(str(RunFolder.open(run).study_path))


def _open(run: Path | None, db: str | None, *, writable: bool = False) -> Study:
    from study_app.services import Study

    return Study.open(_url(run, db), writable=writable)
