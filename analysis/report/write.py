"""The comparison report: a page that opens offline, beside its figures and tables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.errors import ReportError

from .check import checked
from .compute import compute
from .contents import Comparison, Part, Report
from .formats.markdown import render_markdown
from .formats.pdf import find_browser, print_pdf
from .inputs import ReportInputs
from .page.render import render_pages
from .progress import Progress, between, quiet
from .side_by_side import compare
from .tables.files import comparison_tables, table_files
from .words.wording import file_stem

FORMATS = ("html", "pdf", "md")
COMPUTED, DRAWN = 0.35, 0.65  # of the whole, by the time each usually takes
PRIVATE = "raters.csv"  # ends the name of the file with raters' ids: only its owner may read it
FOLDERS = ("figures/", "tables/", "votes/")
PAGES = {"html": "index.html", "pdf": "report.pdf", "md": "report.md"}


def write_report(
    inputs: ReportInputs | Sequence[ReportInputs],
    out_dir: Path | str,
    seed: int = 0,
    formats: Sequence[str] = ("html",),
    progress: Progress = quiet,
) -> Path:
    """Write the page, `figures/`, `tables/` and `votes/` into a folder.

    The same inputs and seed give the same bytes. Everything is computed and rendered before the
    first file is touched; each file then replaces its older self whole, the page last.

    Args:
        inputs: arms, metrics, votes, samples; of several runs or studies, each with a name of its
            own, the first with the title and command of the whole.
        out_dir: made if missing; files that are no part of a report stay as they are.
        seed: of the bootstrap intervals in the tables.
        formats: `html` (index.html), `pdf` (report.pdf, printed by Chromium), `md` (report.md, with
            the figures beside it).
        progress: told what is done next, and how much of the whole is done by then (0 to 1).

    Returns:
        The path of the page, in the first format.

    Raises:
        VotesError: votes that can't be counted.
        ReportError: other inputs that don't fit together, an unreadable image, an unknown format,
            no browser to print a PDF, or a folder that can't be written.
    """
    _check_formats(formats)
    report = build([inputs] if isinstance(inputs, ReportInputs) else inputs, seed, progress)
    out_dir = Path(out_dir)
    files = _supplements(report, progress) | _pages(report, formats, out_dir, progress)
    progress("writing files", 0.97)
    try:
        _replace_files(files, out_dir)
    except OSError as error:
        raise ReportError(
            f"Could not write the report to {out_dir}: {error.strerror or error}. "
            "Free space or name another folder with --out, then run the same command again."
        ) from error
    return out_dir / PAGES[formats[0]]


def build(inputs: Sequence[ReportInputs], seed: int = 0, progress: Progress = quiet) -> Report:
    """Return everything a report holds, before it is laid out.

    Args:
        inputs: of each run or study.
        seed: of the bootstraps.
        progress: as for `write_report`.

    Raises:
        VotesError: votes that can't be counted.
        ReportError: other inputs that don't fit together.
    """
    progress("checking inputs", 0.0)
    ready = [checked(each) for each in inputs]
    first = ready[0]
    if len(ready) == 1:
        part = compute(first, seed, progress=between(progress, 0.02, COMPUTED))
        return Report(first.title, first.command, [part])
    names = [each.name for each in ready]
    if len(set(names)) < len(names) or not all(names):
        raise ReportError(f"runs: expected each to have a name of its own, found {names}.")
    ends = [0.02 + (COMPUTED - 0.02) * n / len(ready) for n in range(len(ready) + 1)]
    parts = [
        compute(each, seed, f"{file_stem(each.name)}-", between(progress, *ends[n : n + 2]))
        for n, each in enumerate(ready)
    ]
    return Report(first.title, first.command, parts, compare(parts))


def _check_formats(formats: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ReportError(
            f"formats: found {', '.join(unknown) or 'none'}, expected some of {', '.join(FORMATS)}."
        )
    if "pdf" in formats:
        find_browser()


def _supplements(report: Report, progress: Progress) -> dict[str, bytes]:
    """Figures and tables, by their path in the folder."""
    progress("writing out tables", COMPUTED)
    holders: list[Part | Comparison] = [*report.parts]
    files: dict[str, bytes] = {}
    if report.comparison:
        holders.append(report.comparison)
        files |= {f"tables/{n}": data for n, data in comparison_tables(report.comparison).items()}
    for part in report.parts:
        files |= {f"tables/{name}": data for name, data in table_files(part).items()}
    figures = [figure for holder in holders for figure in holder.figures.values()]
    for number, figure in enumerate(figures):
        done = 0.02 + COMPUTED + (DRAWN - COMPUTED - 0.02) * number / len(figures)
        progress("drawing figures", done)
        files |= {f"figures/{name}": data for name, data in figure.files().items()}
    return files


def _pages(
    report: Report, formats: Sequence[str], out_dir: Path, progress: Progress
) -> dict[str, bytes]:
    """The page in each format, and the pages of the votes behind it, which only HTML links to."""
    progress("laying out the page", DRAWN)
    beside = render_pages(report, out_dir if "html" in formats else None)
    page = beside.pop(PAGES["html"])
    if "pdf" in formats:
        progress("printing", 0.9)
    made = {"html": lambda: page.encode("utf-8"), "pdf": lambda: print_pdf(page),
            "md": lambda: render_markdown(report).encode("utf-8")}  # fmt: skip
    votes = {name: text.encode("utf-8") for name, text in beside.items() if "html" in formats}
    return votes | {PAGES[name]: made[name]() for name in dict.fromkeys(formats)}


def _replace_files(files: dict[str, bytes], out_dir: Path) -> None:
    """Put files into a folder, each whole or not at all, and drop those of an older report."""
    out_dir.mkdir(parents=True, exist_ok=True)
    listing = out_dir / "report.json"
    old = _listed_files(listing)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    text = json.dumps({"files": digests}, indent=1) + "\n"
    ordered = {**files, "report.json": text.encode("utf-8")}
    for page in PAGES.values():  # last
        if page in ordered:
            ordered[page] = ordered.pop(page)
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out_dir))
    try:
        for name, data in ordered.items():
            staged = staging / name
            staged.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if name.endswith(PRIVATE):
                staged.chmod(0o600)
        for name in ordered:
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for name in old - set(ordered):
        with contextlib.suppress(OSError):
            (out_dir / name).unlink(missing_ok=True)


def _listed_files(listing: Path) -> set[str]:
    """Pages, figures and tables an older report says it wrote; nothing else, nothing elsewhere."""
    try:
        names = json.loads(listing.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {
        name
        for name in names
        if name in PAGES.values()
        or (name.count("/") == 1 and name.startswith(FOLDERS) and ".." not in name)
    }
