"""The documentation is true: commands exist, links resolve, the Python shown runs."""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
from pathlib import Path

import click
import pandas as pd
import pytest
import yaml

from docs import columns
from glide_eval import __version__
from glide_eval.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "generator/weights/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def command_named(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command these words call, and the words left over."""
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        assert found is not None, f"no such command: {' '.join(words)}"
        group, words = found, words[1:]
    return group, words


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as repository hosts and MkDocs make them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_shown_exist_with_the_options_shown(page):
    text = page.read_text("utf-8")
    typed = re.compile(r"^\s*(?:\$ |[A-Z_]+=\S+ )?glide-eval (.+?)(?:\s{2,}#.*)?$", re.MULTILINE)
    shown = [line for block in FENCED.findall(text) for line in typed.findall(block)]
    shown += re.findall(r"`glide-eval ([^`]+)`", FENCED.sub("", text))
    for command_line in shown:
        text = command_line.split(" #")[0].rstrip("\\").strip()
        if "|" in text or "…" in text.split()[0] or "<" in text or text.startswith("COMMAND"):
            continue
        command, rest = command_named(
            shlex.split(text.replace("…", "X").replace("[", "").replace("]", ""))
        )
        known = {option for p in command.params for option in p.opts}
        for word in rest:
            if word.startswith("--"):
                assert word.split("=")[0] in known | {"--help"}, f"{page.name}: {text}"


def test_every_command_has_help_and_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in COMMANDS:
        command, _ = command_named([name])
        assert command.help
        assert name in readme
        for sub in getattr(command, "commands", {}).values():
            assert sub.help


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_to_files_and_their_headings_resolve(page):
    text = FENCED.sub("", page.read_text("utf-8"))
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)]*)?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor[1:] in anchors(linked), f"{page.name}: {target}{anchor}"


def test_every_page_of_the_documentation_can_be_reached_from_the_site_s_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in navigation


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["version"], citation["license"]) == (__version__, project["license"])


def test_the_changelog_begins_with_the_version_of_the_package():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(\S+)\]", changelog, re.MULTILINE)
    assert headings[0] == __version__


def test_the_workflow_runs_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": "bash .ci/run"}


def test_the_reference_of_files_is_what_the_records_declare():
    page = columns.PAGE.read_text("utf-8")
    assert columns.filled(page) == page, "run: python docs/columns.py"
    for file in columns.tables():
        assert f"## `{file}`\n" in page
        assert f"<!-- columns: {file} -->" in page


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    votes = tmp_path / "runs/demo/votes.csv"
    votes.parent.mkdir(parents=True)
    rows = [
        {
            "study": "s", "question": "photorealism", "prompt_id": f"p{i % 5}", "replica": 0,
            "arm_left": "unguided", "arm_right": "cfg-3", "answer": "right" if i % 3 else "left",
            "rater": f"r{i % 4}", "rater_kind": "person", "seconds": 2.0,
            "created_at": "2026-01-01T00:00:00+00:00", "assignment": f"a{i}",
        }
        for i in range(40)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(votes, index=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(textwrap.dedent(code), "README.md", "exec"), {})
    assert "cfg-3" in capsys.readouterr().out
