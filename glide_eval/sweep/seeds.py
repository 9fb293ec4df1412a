"""Seed policy: a sample's noise depends on the run's seed, its prompt and its replica alone."""

from __future__ import annotations

import hashlib


def sample_seed(run_seed: int, prompt_id: str, replica: int) -> int:
    """Return the noise seed of one sample, equal in every arm
    (docs/explanation/decisions/seed-policy.md).

    Returns:
        A whole number in 0 .. 2⁶³ − 1: the first 8 bytes of SHA-256 over the three, one bit
        dropped so that it fits a signed 64-bit integer.
    """
    return _digest(f"{run_seed}\0{prompt_id}\0{replica}")


def candidate_seed(seed: int, candidate: int) -> int:
    """Return the noise seed of one candidate of a reranked sample.

    Candidate 0 has the sample's own `seed`, so that an arm with reranking and one without share
    it; the others' derive from it in the same way for every arm.
    """
    return _digest(f"{seed}\0candidate\0{candidate}") if candidate else seed


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1
