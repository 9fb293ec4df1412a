"""Fetching pipelines from a hub: a fake one on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from glide_eval.errors import DownloadError, UsageError
from glide_eval.models import fetch_pipeline
from tests.glide_eval.sweeps import glide_eval

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
    "README.md": b"---\nlicense: mit\n---\n",
    "huge.safetensors": b"single file",
    "unet/model.safetensors": b"w" * 40_000,
    "unet/model.fp16.safetensors": b"h" * 20_000,
    "unet/model.bin": b"pickle",
}


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download takes."""

    def log_message(self, *_):
        """Say nothing."""

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body: bool = True):
        self.server.asked.append((self.command, self.path))
        if self.path.startswith("/api/models/own/tiny/tree"):
            told = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in FILES.items()
            ]
            return self._send(json.dumps(told).encode(), {}, body)
        if self.path.startswith("/api/models/own/tiny"):
            return self._send(json.dumps(self._info()).encode(), {}, body)
        if self.path.startswith("/api/models/own/gated"):
            return self._refuse(403, "GatedRepo")
        name = self.path.partition(f"/resolve/{COMMIT}/")[2]
        if self.path.startswith("/own/tiny/") and name in FILES:
            digest = hashlib.sha256(FILES[name]).hexdigest()
            return self._send(FILES[name], {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}, body)
        return self._refuse(404, "RepoNotFound")

    def _info(self):
        told = [{"rfilename": n, "size": len(c), "blobId": "0" * 40} for n, c in FILES.items()]
        return {"id": "own/tiny", "_id": "1", "sha": COMMIT, "siblings": told, "tags": []}

    def _send(self, content: bytes, headers: dict, body: bool):
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _refuse(self, status: int, code: str):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(hub, repo, *more):
    said = []
    place = fetch_pipeline(
        repo, *more, endpoint=f"http://127.0.0.1:{hub.server_port}", say=said.append
    )
    return place, said


def test_a_pipeline_is_fetched_without_what_it_does_not_need(hub):
    place, said = fetch(hub, "own/tiny")
    held = {
        p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()
    }
    names = {"model_index.json", "README.md", "unet/model.safetensors"}
    assert held == {name: FILES[name] for name in names}
    assert place.name == COMMIT
    assert said == ["own/tiny at 0123456789ab: 3 files, 0.00 GB in all."]


def test_what_is_there_is_not_fetched_again(hub):
    fetch(hub, "own/tiny")
    before = len([path for kind, path in hub.asked if kind == "GET" and "/resolve/" in path])
    fetch(hub, "own/tiny", None, "fp16")
    asked = [path for kind, path in hub.asked if kind == "GET" and "/resolve/" in path][before:]
    assert [path.rpartition("/")[2] for path in asked] == ["model.fp16.safetensors"]


@pytest.mark.parametrize(
    ("repo", "error", "words"),
    [
        ("own/gated", DownloadError, "own/gated is gated"),
        ("own/nothing", DownloadError, "not on the hub, or is private"),
        ("nothing", UsageError, "is no repo id"),
    ],
)
def test_what_cannot_be_fetched_says_why(hub, repo, error, words):
    with pytest.raises(error, match=words):
        fetch(hub, repo)


def test_the_command_hands_its_options_on(monkeypatch, capsys, tmp_path):
    asked = []

    def fetched(*arguments, say):
        asked.append(arguments)
        return tmp_path

    monkeypatch.setattr("glide_eval.cli.models.fetch_pipeline", fetched)
    command = ["models", "fetch", "diffusers:a/b", "--revision", "v1", "--variant", "fp16"]
    status, out, _ = glide_eval(capsys, *command)
    assert (status, asked) == (0, [("a/b", "v1", "fp16")])
    assert f"In {tmp_path}." in out
    assert glide_eval(capsys, "models", "fetch", "glide", "--variant", "fp16")[0] == 2


def test_a_folder_needs_no_fetching(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, error = glide_eval(capsys, "models", "fetch", "diffusers:mine")
    assert status == 2
    assert "'mine' is a folder here, which needs no fetching" in error
