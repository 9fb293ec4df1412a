"""Sweeps of text-to-image guidance, measured.

The rooms, in the order a reader should meet them; each exports its public names:

    files/        images, TOML, run folders, tables, locks and atomic writes
    metrics/      pure functions from features to a value with an interval, one metric per file
    extractors/   networks that turn images into features, and the CLIPs that choose among images
    sweep/        the sweep file as typed records, sources of images, shards, and the run
    features/     one pass over images for all extractors, and the cache of features
    references/   the real images that metrics compare with
    measure/      which metrics of which arms, and the tables they are written to
    models/       the weights this toolkit knows, and bringing them to disk
    training/     training configs of the generator's models
    drawing/      single pictures: sample, inpaint, edit
    cli/          the command line, one file per command; it alone knows every other room

A room imports only rooms below it; `pyproject.toml` has the order. Importing this package is cheap
and needs no torch; modules that compute import it themselves.
"""

__version__ = "0.2.0"
