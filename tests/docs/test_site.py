"""The documentation as a site: it builds without a warning and asks no other host for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import click
import pytest

from glide_eval.cli import COMMANDS, cli

from .conftest import ROOT

LOADED = re.compile(r"""(?:url\(|@import\s+)["']?(?:https?:)?//[^"')\s]+""")  # by a style sheet


class Loads(HTMLParser):
    """What a page makes the browser load: scripts, styles, fonts, images, frames.

    Links that a reader may click load nothing until then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        names = ["src", "srcset", "data", "poster"] + (["href"] if tag == "link" else [])
        self.addresses += [address for name in names if (address := found.get(name))]


def outside(address: str) -> bool:
    return re.match(r"(https?:)?//", address.strip()) is not None


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text("utf-8"))
        assert loads.addresses, "the page's style sheets are among them"
        assert not [a for a in loads.addresses if outside(a)], page.relative_to(site)


@pytest.mark.slow
def test_no_style_sheet_loads_anything_from_another_host(site):
    sheets = sorted(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not LOADED.findall(sheet.read_text("utf-8")), sheet.relative_to(site)


@pytest.mark.slow
def test_every_page_of_the_documentation_is_in_the_site(site):
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), page


@pytest.mark.slow
def test_the_command_reference_has_every_command_and_option(site):
    text = (site / "reference/commands.html").read_text("utf-8")
    context = click.Context(cli, info_name="glide-eval")
    commands = [(name, cli.get_command(context, name)) for name in COMMANDS]
    for name, command in commands:
        assert f"glide-eval {name}</code>" in text
        commands += [(f"{name} {n}", c) for n, c in getattr(command, "commands", {}).items()]
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            assert option in text, (name, option)


@pytest.mark.slow
def test_the_api_reference_has_every_public_name_of_analysis(site):
    import analysis

    text = (site / "reference/api/analysis.html").read_text("utf-8")
    assert [name for name in analysis.__all__ if f'id="analysis.{name}"' not in text] == []


def test_a_page_that_loads_from_another_host_would_be_found():
    loads = Loads()
    loads.feed('<a href="https://a.example">x</a><script src="//b.example/x.js"></script>')
    assert [a for a in loads.addresses if outside(a)] == ["//b.example/x.js"]
    assert LOADED.findall("@font-face{src:url(https://c.example/f.woff2)}")
