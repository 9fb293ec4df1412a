"""Training files, and the loss curve of a training as a picture."""

from __future__ import annotations

from .loss_curve import draw_loss_curve
from .train_file import load_training

__all__ = ["draw_loss_curve", "load_training"]
