"""`glide-eval study …`: collect votes on pairs of images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.files import RunFolder, write_text
from study_app.errors import StudyUsageError
from study_app.store import IMAGES_VARIABLE, PASSWORD_VARIABLE
from study_app.words import file_of, languages

from . import data as study_data
from .options import FILE, RUN, db_option, opened, run_argument, study_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from study_app.making import CreatedStudy
    from study_app.rules import StudyFile


@click.group("study")
def command() -> None:
    """Collect votes on pairs of images.

    A study lives in one database: RUN/study.db, or the one named with --db, an SQLite file or a
    PostgreSQL URL.
    """


_study_file = click.option(
    "--study",
    "study_file",
    type=FILE,
    metavar="FILE",
    help="Its design, in TOML; then the options that say the same are left out.",
)
_password = click.option(
    "--password",
    envvar=PASSWORD_VARIABLE,
    help=f"The owner's; default: a generated one, printed once. Also ${PASSWORD_VARIABLE}.",
)


@command.command()
@run_argument
@_study_file
@db_option
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
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the pairs, their order and their sides.",
)
@click.option("--name", help="What votes.csv calls the study; default: the run folder's name.")
@_password
@click.pass_context
def create(
    context: click.Context,
    run: Path | None,
    study_file: Path | None,
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
    """Plan pairs of RUN's images, or of the study file's runs, and make them ready for raters."""
    from study_app.making import create_study
    from study_app.rules import Rules, parse_questions

    if study_file is not None:
        _refuse_both(context)
        _create_from_file(study_file, run, db, password)
        return
    if run is None:
        raise click.UsageError("Name the run folder, or a study file with --study.")
    folder = RunFolder.open(run)
    made = create_study(
        folder,
        study_url(folder.root, db),
        questions=parse_questions(questions),
        pairs_per_question=pairs,
        rules=Rules(votes_per_pair, pairs_per_rater, min_seconds),
        seed=seed,
        name=name,
        password=password,
    )
    _say_created(made, password, str(run) if db is None else None, study_url(folder.root, db))


def _refuse_both(context: click.Context) -> None:
    """Refuse options that the study file decides: they could contradict it."""
    known = ("questions", "pairs", "votes_per_pair", "pairs_per_rater", "min_seconds", "seed")
    for name in (*known, "name"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--question" if name == "questions" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} stands in the study file; leave it out, or --study.")


def _create_from_file(
    study_file: Path, run: Path | None, db: str | None, password: str | None
) -> None:
    from study_app.making import create_from_design
    from study_app.rules import load_study_file

    read = load_study_file(study_file)
    _require_told(read)
    url, where = _place(read, run, db)
    folder = None if run is None else RunFolder.open(run)
    made = create_from_design(
        read.design,
        url,
        run=folder,
        base=study_file.parent,
        source=study_file,
        password=password,
    )
    _say_created(made, password, where, url)


def _require_told(read: StudyFile) -> None:
    """Refuse a study of paid strangers that does not tell them what they agree to."""
    entry, missing = read.design.entry.by, read.design.pages.missing_for_strangers()
    if entry not in ("prolific", "mturk") or not missing:
        return
    raise StudyUsageError(
        f'{read.path} invites paid strangers (`[entry] by = "{entry}"`), and its `[pages]` lack '
        f"{', '.join(missing)}. Whoever takes part must know what they agree to, and most laws and "
        "both sites ask for it. Add these keys; docs/how-to/run-a-paid-study.md has a text to "
        "start from in English and German."
    )


def _place(read: StudyFile, run: Path | None, db: str | None) -> tuple[URL, str | None]:
    """Return a study file's database, and RUN as the next command names it (None: by --db)."""
    from study_app.store import database_url

    if db is not None:
        return database_url(db), None
    if run is not None:
        return study_url(run, None), str(run)
    if len(read.design.runs) == 1:
        only = read.path.parent / Path(read.design.runs[0].path).expanduser()
        return study_url(only, None), str(only)
    return database_url(str(read.path.with_suffix(".db"))), None


def _say_created(made: CreatedStudy, password: str | None, run: str | None, url: URL) -> None:
    width, height = made.image_size
    from study_app.rules import estimate_text

    click.echo(
        f"Created a study of {made.pairs:,} pairs from {made.images:,} images ({width}×{height} "
        f"pixels); it wants {made.votes:,} votes."
    )
    click.echo(estimate_text(made.estimate))
    if made.gold:
        click.echo(f"{made.gold:,} gold pairs, with a known answer, are beside them.")
    if made.left_out:
        click.echo(f"{made.left_out:,} images were left out, as the study file says.")
    if made.resized:
        click.echo("The arms' images differed in size; larger ones were made smaller for raters.")
    if password is None:
        click.echo(f"Owner's password, shown only now: {made.password}")
    # with the password that was typed: a command with *** in its place would not run
    server = url.render_as_string(hide_password=False)
    shown = url.database if url.get_backend_name() == "sqlite" else f"'{server}'"
    click.echo(f"Next: glide-eval study serve {run or f'--db {shown}'}")


@command.command()
@run_argument
@_study_file
@db_option
@click.option("--out", required=True, metavar="URL", help="The new study's database; empty.")
@_password
def fork(
    run: Path | None, study_file: Path | None, db: str | None, out: str, password: str | None
) -> None:
    """Begin a new study from an existing one, with the same design or an edited one.

    A study that began is never changed: its votes were given under its rules. The fork starts
    without votes; the old study stays as it is.
    """
    from study_app.making import fork_study
    from study_app.store import database_url

    url = database_url(out)
    with opened(run, db) as study:
        made, changes = fork_study(study, url, study_file, password=password)
    click.echo(f"Forked: {'; '.join(changes) if changes else 'the same design'}.")
    _say_created(made, password, None, url)


@command.command()
@click.argument("language", type=click.Choice(languages()), default="en")
def words(language: str) -> None:
    """Print what raters read in a language, to be translated or put in other words.

    Save it as words-LANGUAGE.toml beside the study file, with `[pages] language = "LANGUAGE"`.
    """
    click.echo(file_of(language), nl=False)


@command.command()
@run_argument
@db_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option("--public-url", metavar="URL", help="Where raters reach it through a proxy.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar=IMAGES_VARIABLE,
    help="Folder of the images on this machine, if the study was created on another; also "
    f"${IMAGES_VARIABLE}.",
)
def serve(
    run: Path | None,
    db: str | None,
    host: str,
    port: int,
    public_url: str | None,
    images: Path | None,
) -> None:
    """Serve the rating page and the owner's page until Ctrl-C."""
    from study_app.making import require_images, require_unedited
    from study_app.serving import RaterPage
    from study_app.serving import serve as serve_study
    from study_app.views import rate

    if images is not None:
        os.environ[IMAGES_VARIABLE] = os.fspath(images.resolve())
    url = study_url(run, db)
    with opened(run, db) as study:
        require_unedited(study)
        require_images(study)
    page = RaterPage(rate.shell, rate.respond)
    serve_study(url, page, host=host, port=port, public_url=public_url, announce=click.echo)
    click.echo("Stopped. Every accepted vote is stored.")


@command.command()
@run_argument
@db_option
@click.option(
    "--json",
    "json_out",
    metavar="OUT",
    type=FILE,
    help="Write it as JSON instead; `-` is standard output.",
)
def status(run: Path | None, db: str | None, json_out: Path | None) -> None:
    """Show progress, raters and the live Elo table."""
    from study_app.owner import status_record, status_text

    with opened(run, db) as study:
        if json_out is None:
            click.echo(status_text(study))
            return
        text = json.dumps(status_record(study), indent=1, ensure_ascii=False)
    if str(json_out) == "-":
        click.echo(text)
    else:
        write_text(json_out, text + "\n")


@command.command()
@run_argument
@db_option
@click.option(
    "--count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many."
)
@click.option(
    "--url", metavar="URL", default="http://localhost:8501", show_default=True,
    help="Where raters reach the study.",
)  # fmt: skip
def invite(run: Path | None, db: str | None, count: int, url: str) -> None:
    """Print personal links, one per line. They are shown only now: the study keeps their hashes."""
    with opened(run, db, writable=True) as study:
        tokens = study.invite(count)
    for token in tokens:
        click.echo(f"{url.rstrip('/')}/?invite={token}")


@command.command()
@run_argument
@db_option
@click.option(
    "--ids",
    type=FILE,
    metavar="FILE",
    help="Ids at Prolific or Mechanical Turk: their exported CSV, or one id per line. Prints CSV.",
)
def codes(run: Path | None, db: str | None, ids: Path | None) -> None:
    """List who is done, with their completion code, to check what people hand in for payment.

    The study keeps ids of people only as keyed hashes; with --ids it says how far each of these
    people came.
    """
    with opened(run, db) as study:
        if ids is not None:
            from study_app.owner import people_of, read_list

            people = people_of(study, read_list(ids).people())
            click.echo(people.to_csv(index=False), nl=False)
            return
        for rater, code in study.completion_codes().items():
            click.echo(f"{rater} {code}")


@command.command()
@run_argument
@db_option
@click.option(
    "--ids",
    type=FILE,
    required=True,
    metavar="FILE",
    help="The CSV that Prolific or Mechanical Turk exports, or one id per line.",
)
@click.option("--out", type=RUN, default="pay", show_default=True, help="Folder of the lists.")
def pay(run: Path | None, db: str | None, ids: Path, out: Path) -> None:
    """Write lists for paying people: whom to approve, bonuses, and whom to look at first.

    Prolific takes approve.csv and bonus.csv in its forms for bulk approval and bulk bonus payment,
    Mechanical Turk takes reviewed.csv as reviewed results. people.csv says of each person what was
    decided and why. Nobody is refused: who did not finish is listed for review.
    """
    from study_app.owner import payment_text, read_list, write_payments

    with opened(run, db) as study:
        made = write_payments(study, read_list(ids), out)
    click.echo(payment_text(made))
    for file in made.files:
        click.echo(f"Wrote {file}")


@command.command()
@run_argument
@db_option
def pause(run: Path | None, db: str | None) -> None:
    """Hand out no more pairs until `resume`; answers to pairs already shown still count."""
    with opened(run, db, writable=True) as study:
        study.pause()
    click.echo("Paused. Raters are told to come back later.")


@command.command()
@run_argument
@db_option
def resume(run: Path | None, db: str | None) -> None:
    """Go on after `pause`; pairs whose images were missing and are back are handed out again."""
    with opened(run, db, writable=True) as study:
        study.resume()
    click.echo("Open. Pairs are handed out again.")


@command.command()
@run_argument
@db_option
def close(run: Path | None, db: str | None) -> None:
    """End the study for good: no vote is taken any more."""
    with opened(run, db, writable=True) as study:
        study.close_voting()
    click.echo("Closed. Every accepted vote is stored; see `glide-eval study export`.")


@command.command()
@click.argument("run", type=RUN)
@db_option
@click.option(
    "--raters", type=click.IntRange(1), default=40, show_default=True, help="How many come."
)
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
    from study_app.making import read_scores
    from study_app.making import simulate as add_simulated

    scores = read_scores(RunFolder.open(run).scores_path)
    with opened(run, db, writable=True) as study:
        added = add_simulated(study, scores, raters=raters, votes=votes, seed=seed)
    click.echo(f"Added {added:,} SIMULATED votes of {raters} simulated raters (seed {seed}).")


for _one in (
    study_data.export,
    study_data.import_,
    study_data.backup,
    study_data.delete_rater,
    study_data.upgrade,
):
    command.add_command(_one)
