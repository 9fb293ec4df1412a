"""Damaged copies of whole files, each from its own seed: what a hostile or unlucky hand makes."""

from __future__ import annotations

import random
from collections.abc import Callable

TOKENS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b",", b";", b"=", b"[" * 3000,
    b"{" * 3000, b"9" * 5000, b"-1", b"0", b"1e999", b"NaN", b"null", b"true", b"\\u0000",
    b"\\ud800", b"../../x", b"/etc/passwd", b"%s%n", "\u202e".encode(), b"\xed\xa0\x80", b"\x1b[2J",
)  # fmt: skip


def mutated(content: bytes, seed: int) -> bytes:
    """Return the content after one to four random changes."""
    rng = random.Random(seed)
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_CHANGES)(changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: random.Random) -> int:
    # Headers are short and matter most.
    return rng.randrange(min(len(content), rng.choice((64, 1024, 10**9))) or 1)


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_place(content, rng) % len(content)] ^= 1 << rng.randrange(8)


def _set(content: bytearray, rng: random.Random) -> None:
    if content:
        start = _place(content, rng) % len(content)
        length = rng.choice((1, 2, 4, 8))
        content[start : start + length] = rng.choice((b"\xff", b"\0", b"\x7f")) * length


def _insert(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    content[start:start] = rng.choice(TOKENS)


def _replace(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    content[start : start + rng.randint(1, 12)] = rng.choice(TOKENS)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _remove(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    del content[start : start + rng.randint(1, 200)]


def _double(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    content[start:start] = content[start : start + rng.randint(1, 300)]


def _shuffle_lines(content: bytearray, rng: random.Random) -> None:
    lines = bytes(content).split(b"\n")
    rng.shuffle(lines)
    content[:] = b"\n".join(lines)


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _set, _insert, _replace, _cut, _remove, _double, _shuffle_lines,
)  # fmt: skip
