"""Training of every model: losses, one resumable loop, and the recipes of the bundled miniature."""
