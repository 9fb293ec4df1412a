"""The numbers GLIDE's paper prints (Nichol et al. 2021, arXiv 2112.10741, Tables 1 to 4).

They are of another model, other images and other raters than any run of this toolkit. A report sets
them beside its own, marked as published, so that shapes can be compared: which strategy leads, and
by how much. Their values never enter a fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

SOURCE = "Nichol et al. 2021, arXiv 2112.10741"
QUESTIONS = ("photorealism", "caption_similarity")

# Table 1: Elo of the 3.5-billion-parameter model by strategy and scale.
TABLE_1 = pd.DataFrame(
    [
        ("unguided", np.nan, -88.6, -106.2),
        ("clip", 2.0, -73.2, 29.3),
        ("classifier_free", 3.0, 82.7, 110.9),
    ],
    columns=["strategy", "scale", *QUESTIONS],
)

# Table 2: FID on MS-COCO at 256 px; trained on COCO or not. DALL-E's is printed as about 28.
TABLE_2 = pd.DataFrame(
    [
        ("AttnGAN", "trained on COCO", 35.49),
        ("DM-GAN", "trained on COCO", 32.64),
        ("DF-GAN", "trained on COCO", 21.42),
        ("DM-GAN + CL", "trained on COCO", 20.79),
        ("XMC-GAN", "trained on COCO", 9.33),
        ("LAFITE", "trained on COCO", 8.12),
        ("DALL-E", "zero-shot", 28.0),
        ("LAFITE", "zero-shot", 26.94),
        ("GLIDE, classifier-free s = 1.5", "zero-shot", 12.24),
        ("GLIDE, the same, validation images filtered", "zero-shot", 12.89),
    ],
    columns=["model", "setting", "fid"],
)

# Table 3: how often raters preferred GLIDE to DALL-E, in percent, by DALL-E's temperature.
TABLE_3 = pd.DataFrame(
    [
        ("no reranking", 1.0, 91, 83),
        ("no reranking", 0.85, 84, 80),
        ("DALL-E reranked", 1.0, 89, 71),
        ("DALL-E reranked", 0.85, 87, 69),
        ("DALL-E reranked, GLIDE blurred", 1.0, 72, 63),
        ("DALL-E reranked, GLIDE blurred", 0.85, 66, 61),
    ],
    columns=["comparison", "temperature", *QUESTIONS],
)

# Table 4: Elo by model size and classifier-free scale; 1 is unguided.
TABLE_4 = pd.DataFrame(
    [
        ("300 million", 1.0, -131.8, -136.4),
        ("300 million", 4.0, 28.2, 70.9),
        ("3.5 billion", 1.0, -23.9, -27.1),
        ("3.5 billion", 3.0, 133.0, 140.5),
    ],
    columns=["parameters", "scale", *QUESTIONS],
)


def beside_paper(elo: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1's guided arms above unguided, beside this run's best of each strategy.

    Elo's zero is arbitrary, so both sides are measured from their unguided arm.

    Args:
        elo: question, rater_kind, arm, label, strategy, scale, anchor (empty where Elo isn't
            measured from an unguided arm), elo, low, high.

    Returns:
        question, rater_kind, strategy, published_scale, published (Elo above unguided), arm,
        label, scale, elo, low, high (ours). One row per ballot and strategy that was asked about in
        the paper; empty where there is none.

    Examples:
        >>> elo = pd.DataFrame({"question": "photorealism", "rater_kind": "person",
        ...                     "arm": ["cfg-3"],
        ...                     "label": "guided", "strategy": "classifier_free", "scale": [3.0],
        ...                     "anchor": "unguided",
        ...                     "elo": [120.0], "low": [90.0], "high": [150.0]})
        >>> beside_paper(elo)[["published", "elo"]].values.tolist()
        [[171.3, 120.0]]
    """
    unguided = TABLE_1.iloc[0]
    rows: list[dict[str, Any]] = []
    usable = elo[np.isfinite(elo["elo"]) & (elo["anchor"] != "")]
    for (question, kind), ours in usable.groupby(
        ["question", "rater_kind"], sort=False, observed=True
    ):
        if question not in QUESTIONS:
            continue
        for _, paper in TABLE_1.iloc[1:].iterrows():
            arms = ours[ours["strategy"].astype(str) == str(paper["strategy"])]
            if arms.empty:
                continue
            best = arms.sort_values("elo", ascending=False, kind="stable").iloc[0]
            rows.append({
                "question": question, "rater_kind": kind, "strategy": paper["strategy"],
                "published_scale": paper["scale"],
                "published": round(float(paper[question] - unguided[question]), 1),
                **{name: best[name] for name in ("arm", "label", "scale", "elo", "low", "high")},
            })  # fmt: skip
    columns = ["question", "rater_kind", "strategy", "published_scale", "published", "arm", "label",
               "scale", "elo", "low", "high"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def published_tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Return every published table as printed: name → caption and rows of text.

    Examples:
        >>> published_tables()["published-4"][1].iloc[0].tolist()
        ['300 million', '1', '−131.8', '−136.4']
    """
    one = TABLE_1.assign(
        strategy=["Unguided", "CLIP guidance, s = 2", "Classifier-free guidance, s = 3"]
    )[["strategy", *QUESTIONS]]
    headings = {"photorealism": "Photorealism", "caption_similarity": "Caption similarity"}
    two = _printed(TABLE_2, {"model": "Model", "setting": "Setting", "fid": "FID"}, ".2f")
    two.loc[two["Model"] == "DALL-E", "FID"] = "≈28"
    return {
        "published-1": (
            "Elo by guidance strategy",
            _printed(one, {"strategy": "Arm", **headings}, ".1f"),
        ),
        "published-2": ("FID on MS-COCO, 256 px (DALL-E's is approximate)", two),
        "published-3": (
            "GLIDE preferred to DALL-E, percent of votes",
            _printed(
                TABLE_3.assign(temperature=TABLE_3["temperature"].map("{:g}".format)),
                {"comparison": "Comparison", "temperature": "DALL-E's temperature", **headings},
                ".0f",
            ),
        ),
        "published-4": (
            "Elo by model size",
            _printed(
                TABLE_4.assign(scale=TABLE_4["scale"].map("{:g}".format)),
                {"parameters": "Parameters", "scale": "Scale", **headings},
                ".1f",
            ),
        ),
    }


def _printed(table: pd.DataFrame, headings: dict[str, str], form: str) -> pd.DataFrame:
    """Return the table with headings and its numbers as text, with a true minus."""
    texts = {
        heading: [
            f"{value:{form}}".replace("-", "−") if isinstance(value, (int, float)) else str(value)
            for value in table[name]
        ]
        for name, heading in headings.items()
    }
    return pd.DataFrame(texts)
