"""A web server on this machine that serves a file as badly as a test asks."""

from __future__ import annotations

import hashlib
import http.server
import os
import time

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, as badly as a test asks.

    Attributes:
        cut: bytes of a response's body after which the connection ends, one entry a request.
        ranges: what each request's Range header was.
        files: what lies under which name; `content` under all others.
        paths: what was asked for.
        headers: sent with every answer.
        redirect: where every request is sent on to; empty sends the file.
        drip: bytes a piece, if the file shall come in many small ones.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag = CONTENT, '"v1"'
        self.cut: list[int] = []
        self.ranges: list[str | None] = []
        self.obeys_ranges = self.names_length = True
        self.status = 200
        self.wrong_start = False
        self.pause = 0.0
        self.headers: dict[str, str] = {}
        self.redirect = ""
        self.drip = 0
        self.files: dict[str, bytes] = {}
        self.paths: list[str] = []

    def handle_error(self, *_):
        """Clients that hang up are what these tests are about."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/base.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        self.server.paths.append(self.path)
        body, start = self.server.files.get(self.path[1:], self.server.content), 0
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        current = self.headers.get("If-Range") == self.server.tag
        if asked and self.server.obeys_ranges and current:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            start += self.server.wrong_start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if self.server.names_length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + self.server.cut.pop(0) if self.server.cut else len(body)
        piece = self.server.drip or 100_000
        for at in range(start, min(end, len(body)), piece):
            self.wfile.write(body[at : min(at + piece, end)])
            time.sleep(self.server.pause)

    def log_message(self, *_):
        pass
