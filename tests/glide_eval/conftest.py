"""Fixtures of the toolkit's tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.glide_eval.servers import Server


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
