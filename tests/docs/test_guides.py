"""The guides to studies work: their commands, typed word for word, on SQLite and on PostgreSQL."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glide_eval.cli import main
from study_app.rating import Study
from study_app.store import database_url
from tests.fakes import make_fake_run
from tests.study_app.conftest import ROOT, free_port, postgres, wait_until_up  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
GUIDES = ("run-a-study", "run-a-paid-study")
TRIED_ELSEWHERE = ("sweep", "metrics", "plan", "report")  # by the tutorials' test: they take long
CHANGES_THE_MACHINE = ("apt", "certbot", "nginx", "pip")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"postgresql://\S+")
PEOPLE = ("5f0c7d2a9b3e4f1a2b3c4d5e", "5f0c7d2a9b3e4f1a2b3c4d5f")


def typed(guide: str) -> list[list[str]]:
    """The commands of a guide's blocks, and of its sentences, in their order."""
    text = (ROOT / "docs" / "how-to" / f"{guide}.md").read_text("utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


class Reader:
    """Somebody who types a guide's commands, with `study.db` or a database on a server.

    Args:
        new_database: gives an empty database on a server.
        on_server: studies without a `--db` are there as well.
    """

    def __init__(self, new_database: Callable[[], str], on_server: bool) -> None:
        self._new_database = new_database
        self._on_server = on_server
        self._named: dict[str, str] = {}  # databases, by the address that the guide names
        self._study = "runs/guidance/study.db"

    def types(self, words: list[str]) -> None:
        program, *rest = [word for word in words if not re.match(r"[A-Z_]+=", word)]
        if program == "glide-eval" and rest[0] == "study":
            self._study_command(rest[1], rest[2:])
        elif program in ("cp", "sed") and "/etc" not in " ".join(rest):
            subprocess.run([program, *rest], check=True)
        elif program == "glide-eval":
            assert rest[0] in TRIED_ELSEWHERE, words
        else:
            assert program in (*CHANGES_THE_MACHINE, "cp"), words

    def _study_command(self, name: str, arguments: list[str]) -> None:
        if name == "create":
            self._start_again(arguments)
        arguments = [self._database(word, name) for word in arguments]
        if name == "invite":
            arguments = [*without("runs/guidance", arguments), "--db", self._by_invitation()]
        if self._on_server and "--db" not in arguments and name != "import":
            arguments = self._with_db(name, arguments)
        if name == "serve":
            serve(arguments)
            return
        with pytest.raises(SystemExit) as ended:
            main(["study", name, *arguments])
        assert ended.value.code == 0, (name, arguments)
        if name == "create":
            self._study = value_of("--db", arguments) or self._study
            self._come()

    def _start_again(self, arguments: list[str]) -> None:
        """Move the study before this one away, as the guide says."""
        if "--db" in arguments:
            return
        for file in Path("runs/guidance").glob("study.db*"):
            file.unlink()
        if self._on_server:
            self._study = self._new_database()

    def _database(self, word: str, name: str) -> str:
        if not SERVER.fullmatch(word):
            return word
        if name != "serve":
            self._named[word] = self._new_database()
        return self._named[word]

    def _with_db(self, name: str, arguments: list[str]) -> list[str]:
        keeps_run = name in ("create", "simulate")
        kept = arguments if keeps_run else without("runs/guidance", arguments)
        return [*kept, "--db", self._study]

    def _by_invitation(self) -> str:
        """A study of the same file that is entered by invitation, as the guide says beforehand."""
        text = Path("study.toml").read_text().replace('by = "prolific"', 'by = "invite"')
        Path("invited.toml").write_text(text)
        db = self._new_database() if self._on_server else str(Path("invited.db").absolute())
        with pytest.raises(SystemExit) as ended:
            main(["study", "create", "--study", "invited.toml", "--db", db])
        assert ended.value.code == 0
        return db

    def _come(self) -> None:
        """Let the people come whom later commands speak of."""
        study = Study.open(database_url(self._study), writable=True)
        if study.info.entry == "prolific":
            for person in PEOPLE:
                study.admit({"PROLIFIC_PID": person})
        study.close()


def without(word: str, arguments: list[str]) -> list[str]:
    return [one for one in arguments if one != word]


def value_of(option: str, arguments: list[str]) -> str | None:
    return arguments[arguments.index(option) + 1] if option in arguments else None


def serve(arguments: list[str]) -> None:
    """Serve until the addresses are told, then press Ctrl-C; on another port than the guide's."""
    if "--port" in arguments:
        at = arguments.index("--port")
        arguments = arguments[:at] + arguments[at + 2 :]
    port = free_port()
    command = ["study", "serve", *arguments, "--port", str(port)]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from glide_eval.cli import main; main()"
    server = subprocess.Popen([sys.executable, "-c", code, *command], stdout=-1, text=True)
    wait_until_up(f"http://127.0.0.1:{port}")
    server.send_signal(signal.SIGINT)
    told = server.communicate(timeout=60)[0]
    assert server.returncode == 0, told
    assert "Every accepted vote is stored" in told


@pytest.mark.parametrize("place", ["sqlite", "postgresql"])
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_s_commands_work_in_their_order(guide, place, tmp_path, monkeypatch, postgres):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))  # yes, delete this rater's votes
    shutil.copytree(ROOT / "examples", "examples")
    make_fake_run(tmp_path / "runs" / "guidance", prompts=24)
    for name in ("export.csv", "prolific_export.csv"):
        Path(name).write_text("Participant id,Status\n" + "".join(f"{one},\n" for one in PEOPLE))
    Path("theirs.csv").write_text("A,B,choice,worker\nx,y,1,ann\ny,x,0,bob\n")
    shutil.copy("examples/study.toml", "study.toml")
    Path("study.toml").write_text(Path("study.toml").read_text().replace("../runs", "runs"))

    def new_database() -> str:
        return postgres.new_database().render_as_string(hide_password=False)

    reader = Reader(new_database, place == "postgresql")
    commands = typed(guide)
    assert sum(words[:2] == ["glide-eval", "study"] for words in commands) > 10
    for words in commands:
        reader.types(words)
