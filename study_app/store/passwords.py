"""The owner's password and the raters' tokens: only hashes of them are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_TOKEN = re.compile(r"[0-9a-f]{32}")
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # about 50 ms a guess


def new_token() -> str:
    """128 random bits as 32 hex digits: nobody guesses it."""
    return secrets.token_hex(16)


def is_token(text: str) -> bool:
    """Whether a text could be one; whatever else comes in an address is not looked up."""
    return _TOKEN.fullmatch(text) is not None


def new_password() -> str:
    """A password to print once: 80 random bits in readable groups."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def hash_token(token: str) -> str:
    """SHA-256, hex; enough for a token that is random already."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Salted scrypt as `scrypt$salt$hash`, hex."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that was hashed."""
    _, salt, expected = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
