"""What hosts are given to run a study: requirements without torch, and a script of Streamlit's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from study_app.commands.study import command
from study_app.errors import StudyUsageError
from study_app.making import create_study
from study_app.rating import Study
from study_app.store import database_url
from tests.study_app.conftest import ROOT, free_port, wait_until_up

DEPLOY = ROOT / "deploy"
WITHOUT = """
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ImportError(f"{{name}} is not there")
sys.meta_path.insert(0, Refuse())
from glide_eval.cli import main
main({arguments!r})
"""


def named(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-")


def wanted() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    return {named(one): one for one in needed}


def listed() -> list[str]:
    lines = (DEPLOY / "requirements.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def left_out() -> set[str]:
    return set(wanted()) - {named(one) for one in listed()}


def test_a_server_s_requirements_are_the_project_s_without_those_that_draw_and_measure():
    assert set(listed()) <= set(wanted().values())
    assert {"torch", "torchvision", "torchmetrics", "timm"} <= left_out()


def test_a_study_needs_nothing_that_a_server_does_not_install(finished_run, tmp_path):
    modules = {"open-clip-torch": "open_clip", "clean-fid": "cleanfid"}
    refused = {modules.get(name, name.replace("-", "_")) for name in left_out()}
    db = str(tmp_path / "study.db")
    for arguments in (
        ["study", "create", str(finished_run.root), "--db", db, "--pairs", "4"],
        ["study", "status", "--db", db],
        ["study", "export", "--db", db, "--out", str(tmp_path / "votes.csv")],
    ):
        code = WITHOUT.format(refused=refused, arguments=arguments)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def hosted(run, tmp_path):
    """The address of a study that `streamlit run` serves, with its images elsewhere."""
    db = tmp_path / "elsewhere" / "study.db"
    db.parent.mkdir()
    create_study(run, database_url(str(db)), password="x")
    images = (run.root / "study_images").rename(tmp_path / "images")
    port = free_port()
    told = {
        "GLIDE_EVAL_STUDY_DB": str(db),
        "GLIDE_EVAL_STUDY_IMAGES": str(images),
        "GLIDE_EVAL_PUBLIC_URL": "https://study.example.org",
    }
    options = ["--server.port", str(port), "--server.headless", "true"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(DEPLOY / "streamlit_app.py"), *options],
        cwd=tmp_path,
        env=os.environ | told | {"PYTHONPATH": str(ROOT)},
    )
    yield f"http://127.0.0.1:{port}", database_url(str(db))
    server.terminate()
    server.wait(30)


def ask(address: str, path: str, body: object = None, host: str = "study.example.org") -> bytes:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Host": host} | ({"Content-Type": "application/json"} if data else {})
    request = urllib.request.Request(address + path, data, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def test_streamlit_s_own_command_serves_a_study(hosted):
    address, url = hosted
    wait_until_up(address)
    assert b"Compare images" in ask(address, "/")
    asked = {"query": {}, "event": {"kind": "begin"}, "visit": "0" * 32}
    first = json.loads(ask(address, "/turn", asked))
    assert ask(address, f"/image/{first['pair']['left']}.png").startswith(b"\x89PNG")
    vote = {"kind": "answer", "assignment": first["pair"]["id"], "answer": "left", "seconds": 2}
    time.sleep(1)  # sooner clicks do not count
    done = json.loads(ask(address, "/turn", {"query": first["query"], "event": vote}))
    assert done["progress"]["done"] == 1
    assert ask(address, "/owner")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask(address, "/", host="evil.example.org")
    study = Study.open(url)
    assert study.progress().raters["person"]
    study.close()


def test_images_that_are_not_where_the_study_looks_are_asked_for(run, sqlite_url):
    create_study(run, sqlite_url, password="x")
    (run.root / "study_images").rename(run.root / "elsewhere")
    told = CliRunner().invoke(command, ["serve", "--db", sqlite_url.database])
    assert isinstance(told.exception, StudyUsageError)
    assert "--images FOLDER" in str(told.exception)
