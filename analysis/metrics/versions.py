"""Values that can't be compared get different extractor names, so that nothing joins them.

One extractor may have measured a run twice, in an older and a newer version (other weights, another
way of resizing: another fingerprint), or against two sets of real images. Tables, curves and
correlations group by the extractor's name; here that name says which.
"""

from __future__ import annotations

import pandas as pd

SHOWN = 8  # characters of a fingerprint


def tell_versions(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rename `extractor` so that rows share a name only if their values are comparable.

    Args:
        metrics: extractor, metric, and, where known, fingerprint and reference as texts.

    Returns:
        A copy, with the names as given in `extractor_given`; where that column is there already,
        names are taken from it, so that tables already told can be joined and told anew. An
        extractor of several fingerprints is named with each; a metric against several references
        keeps its extractor's name with the first, and is named with each other one.

    Examples:
        >>> table = pd.DataFrame({"extractor": "clip", "metric": "fid", "fingerprint": ["a", "b"]})
        >>> list(tell_versions(table)["extractor"])
        ['clip, version a', 'clip, version b']
    """
    told = metrics.copy()
    if "extractor_given" not in told:
        told["extractor_given"] = told["extractor"]
    told["extractor"] = told["extractor_given"]
    if "fingerprint" in told:
        versions = told.groupby("extractor")["fingerprint"].transform("nunique")
        named = told["extractor"] + ", version " + told["fingerprint"].str[:SHOWN]
        unnamed = told["extractor"] + ", version unknown"
        named = named.where(told["fingerprint"] != "", unnamed)
        told["extractor"] = told["extractor"].where(versions < 2, named)
    if "reference" in told:
        against = told[told["reference"] != ""]
        first = against.groupby(["extractor", "metric"])["reference"].transform("first")
        other = against.index[against["reference"] != first]
        suffix = ", against " + told.loc[other, "reference"]
        told.loc[other, "extractor"] = told.loc[other, "extractor"] + suffix
    return told
