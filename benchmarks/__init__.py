"""Speeds and figures, run by hand: `python -m benchmarks.NAME`."""
