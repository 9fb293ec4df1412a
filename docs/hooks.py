"""Hooks of MkDocs: the command reference, pages that live outside docs/, and links to them.

Pages in docs/ link to `../../examples/…` or `../../generator/weights/README.md`. These links work
in the repository, but the site has no such files above it. The hooks copy the files into the site
and rewrite the links.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from mkdocs.structure.files import File, Files

from glide_eval.cli import cli

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

# Files outside docs/ that become pages: path in the repository -> path in the site's sources.
PAGES = {
    "generator/weights/README.md": "model-card.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
# Other files outside docs/ that pages may link to; the site gets unchanged copies.
COPIED = ("LICENSE", "examples/*.toml", "examples/train/*.toml")

COMMANDS = "<!-- commands -->"  # this mark is replaced by the command reference

_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside docs/."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text("utf-8")))
    for pattern in COPIED:
        for file in sorted(ROOT.glob(pattern)):
            name = file.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the command reference and rewrite links between docs/ and the rest."""
    source = page.file.src_uri
    if source == "index.md":
        page.meta["hide"] = ["navigation"]
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(command_reference()))
    origin = {site: path for path, site in PAGES.items()}.get(source, f"docs/{source}")

    def rewritten(match: re.Match[str]) -> str:
        opening, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith(("mailto:", "/")):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        site = PAGES.get(path) or path.removeprefix("docs/")
        return f"{opening}{posixpath.relpath(site, posixpath.dirname(source) or '.')}{anchor})"

    return _LINK.sub(rewritten, markdown)


def command_reference() -> Iterator[str]:
    """Yield the Markdown lines that describe every command, from click's own records."""
    context = click.Context(cli, info_name="glide-eval")
    names = cli.list_commands(context)
    yield "| command | use |\n| --- | --- |"
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None  # it is in the list
        use = _in_cell(_escaped(command.get_short_help_str(200)))
        yield f"| [`glide-eval {name}`](#glide-eval-{name}) | {use} |"
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None
        yield from _described(command, click.Context(command, context, name), 2)


def _described(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield from _help_text(command.help or "")
    records = [p.get_help_record(context) for p in command.get_params(context)]
    shown = [one for one in records if one and one[1] and "--help" not in one[0]]
    if shown:
        yield "| option | meaning |\n| --- | --- |"
        yield from (
            f"| `{_in_cell(names)}` | {_in_cell(_escaped(text))} |" for names, text in shown
        )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None  # it is in the list
            yield from _described(sub, click.Context(sub, context, name), level + 1)


def _help_text(text: str) -> Iterator[str]:
    """Paragraphs of a help text; a block that click must not wrap becomes a code block."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield f"\n```text\n{paragraph[2:]}\n```\n"
        else:
            yield f"{_escaped(paragraph)}\n"


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return re.sub(r"[*\[\]]", r"\\\g<0>", text).replace("<", "&lt;")
