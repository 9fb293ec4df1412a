"""The study's secret: keys the hashes that stand for raters' outside ids.

A plain hash of an id could be undone by trying every id there is; without the secret, a keyed one
can't. By default the secret lies in the study's database. An owner who wants it elsewhere puts one
in the environment when creating the study: then only its fingerprint is stored, and the study can
be served only where the same secret is set.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets

from study_app.errors import StudyError, StudyUsageError

SECRET_VARIABLE = "GLIDE_EVAL_STUDY_SECRET"
_SHORTEST = 16


def new_secret() -> str:
    """What a new study stores: `stored:<hex>`, or `environment:<fingerprint>`.

    Raises:
        StudyUsageError: the environment's secret is too short to be one.
    """
    given = os.environ.get(SECRET_VARIABLE)
    if given is None:
        return f"stored:{secrets.token_hex(32)}"
    if len(given) < _SHORTEST:
        raise StudyUsageError(
            f"{SECRET_VARIABLE} has {len(given)} characters; expected at least {_SHORTEST}, random "
            "ones. Make one with `openssl rand -hex 32`, or unset it."
        )
    return f"environment:{_fingerprint(given)}"


def secret_key(stored: str) -> bytes:
    """The key for `keyed_hash`.

    Raises:
        StudyError: the study was made with a secret that is not in this environment.
    """
    where, _, value = stored.partition(":")
    if where == "stored":
        return bytes.fromhex(value)
    given = os.environ.get(SECRET_VARIABLE, "")
    if not hmac.compare_digest(_fingerprint(given), value):
        found = "another one" if given else "none"
        raise StudyError(
            f"This study was created with a secret in {SECRET_VARIABLE}; found {found}. Set the "
            "same secret again: without it nobody who took part can be recognised."
        )
    return given.encode()


def keyed_hash(key: bytes, text: str) -> str:
    """HMAC-SHA256 (RFC 2104), 64 hex digits."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(b"glide-eval study secret:" + secret.encode()).hexdigest()
