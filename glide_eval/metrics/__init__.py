"""Metrics: pure functions from features to a value with its interval, one file each."""
