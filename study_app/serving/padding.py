"""Images of one length: a blurred twin's PNG would be shorter, and arms differ in mean length."""

from __future__ import annotations

import zlib

_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of every PNG
_KIND = b"paDd"  # a chunk that no decoder reads: private, and safe to copy
OVERHEAD = 12
"""Bytes of a chunk without data; an image as long as the longest is sent with one such."""


def padded(png: bytes, length: int) -> bytes:
    """Return the same image as a PNG of `length` bytes.

    One that is too long for that, or no PNG, comes back as it is.
    """
    room = length - len(png) - OVERHEAD
    if room < 0 or not png.endswith(_END):
        return png
    data = bytes(room)
    check = zlib.crc32(_KIND + data).to_bytes(4, "big")
    return png[: -len(_END)] + room.to_bytes(4, "big") + _KIND + data + check + _END
