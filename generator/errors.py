"""The exception family of `generator`.

GeneratorError          anything reported in one paragraph (exit status 1)
├── CheckpointError     a weights file that is missing, corrupt or of another layout
├── DataError           training data that is missing, empty or unreadable
├── SamplingError       pictures that came out as no finite numbers
├── TrainingError       a training that broke down or can't go on
└── OptionError         an impossible sampling or training option (exit status 2)

GeneratorWarning        work goes on, but not quite as asked
"""

from __future__ import annotations


class GeneratorError(Exception):
    """A failure the caller can act on; its text is one paragraph."""

    exit_status = 1


class CheckpointError(GeneratorError):
    """A weights file that is missing, corrupt or belongs to another model."""


class DataError(GeneratorError):
    """Training data that is missing, holds no captioned picture or can't be read."""


class SamplingError(GeneratorError):
    """Predictions or pictures that are not finite: damaged weights, or too little precision."""


class TrainingError(GeneratorError):
    """A training whose loss is no number any more, or that belongs to other settings."""


class OptionError(GeneratorError):
    """An option outside what the model or the sampler can do."""

    exit_status = 2


class GeneratorWarning(UserWarning):
    """Work goes on, but not quite as asked; its text is one paragraph."""
