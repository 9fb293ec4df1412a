"""Sweeps of text-to-image guidance, measured: configs, runs, extractors, metrics and the CLI.

Importing this package is cheap and needs no torch; modules that compute import it themselves.
"""

__version__ = "0.1.0"
