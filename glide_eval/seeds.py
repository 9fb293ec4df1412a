"""Seed policy: a sample's noise depends on the run's seed, its prompt and its replica alone."""

from __future__ import annotations

import hashlib


def sample_seed(run_seed: int, prompt_id: str, replica: int) -> int:
    """The noise seed of one sample, equal in every arm (docs/decisions/seed-policy.md).

    Returns:
        A whole number in 0 .. 2⁶³ − 1: the first 8 bytes of SHA-256 over the three, one bit
        dropped so that it fits a signed 64-bit integer.
    """
    key = f"{run_seed}\0{prompt_id}\0{replica}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1
