"""The exception family of `glide_eval`.

    GlideEvalError              anything this toolkit reports in one paragraph (exit status 1)
    ├── UsageError              the request itself is wrong: flags, config values (exit status 2)
    │   └── ConfigError         a sweep file that can't be read as one
    ├── RunError                a run folder that is foreign or damaged
    │   └── NoRunError          there is nothing at the path that was named (exit status 2)
    ├── ImageError              an image that is missing, truncated or not an image
    │   └── NoFolderError       there is no folder at the path that was named (exit status 2)
    ├── WeightsError            weights that are missing, corrupt or of another model
    ├── DownloadError           a file that can't be fetched
    ├── FeatureError            features that are not finite, misshapen or of another extractor
    └── StorageError            the disk is full, read-only or out of reach

Each message names the thing, what was found, what was expected and what to do.
"""

from __future__ import annotations


class GlideEvalError(Exception):
    """A failure the user can act on; its text is one paragraph."""

    exit_status = 1


class UsageError(GlideEvalError):
    """The request is wrong, not the world."""

    exit_status = 2


class ConfigError(UsageError):
    """A sweep file with unknown keys, wrong types or impossible values."""


class RunError(GlideEvalError):
    """A run folder that is missing, made by another config, or damaged."""


class NoRunError(RunError):
    """Nothing lies at the path that was named as a run."""

    exit_status = 2


class ImageError(GlideEvalError):
    """An image that is missing, truncated or unreadable."""


class NoFolderError(ImageError):
    """No folder lies at the path that was named as one of images."""

    exit_status = 2


class WeightsError(GlideEvalError):
    """Weights that are missing, corrupt or belong to another model."""


class DownloadError(GlideEvalError):
    """No network, a server that refuses, or a file that is not the expected one."""


class FeatureError(GlideEvalError):
    """Features no metric can be computed from: NaN, misshapen, or of another extractor."""


class StorageError(GlideEvalError):
    """Writing failed: disk full, read-only or gone."""
