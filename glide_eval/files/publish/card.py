"""The data card of a published run: README.md with the YAML head of Hugging Face data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from glide_eval.files.records import Arm, Sample
from glide_eval.files.words import count

CARD = "README.md"


def data_card(
    provenance: Mapping[str, Any],
    arms: Sequence[Arm],
    samples: Sequence[Sample],
    votes: int,
    rater_ids: bool,
) -> str:
    """Return the card, from what `run.json` and the manifest say; it invents nothing.

    Licence and raters' terms are the publisher's to state: the card says where they are missing.
    """
    prompts = len({sample.prompt_id for sample in samples})
    images = Counter(sample.arm for sample in samples)
    rows = "\n".join(
        f"| {_cell(arm.name)} | {_cell(arm.label)} | {images[arm.name]:,} |" for arm in arms
    )
    weights: dict[str, str] = provenance.get("weights") or {}
    drawn_by = "\n".join(
        f"- `{_cell(name)}`, SHA-256 `{digest}`" for name, digest in weights.items()
    )
    identity: dict[str, Any] = provenance.get("identity") or {}
    models = dict.fromkeys(
        str(value) for key, value in identity.items() if key.endswith(".model") and value
    )
    sources: dict[str, Any] = provenance.get("sources") or {}
    terms = sources.get("license") or "not stated yet"
    ids = "with the ids of their raters" if rater_ids else "with numbers in place of rater ids"
    versions: dict[str, str] = provenance.get("versions") or {}
    version = versions.get("glide-eval", "of an unknown version")
    return f"""---
license: unknown
task_categories:
- text-to-image
tags:
- glide-eval
---

# A run of glide-eval

{count(len(samples), "image")} of {count(prompts, "prompt")}, made by glide-eval {version}.
Fetch it with `glide-eval pull`, which checks every file by its SHA-256.

| arm | label | images |
| --- | --- | --- |
{rows}

## Models

{", ".join(models) or "Not recorded"}. Licence of the model, as its card says: {terms}.

{drawn_by or "No weights are recorded."}

## Prompts

{count(prompts, "prompt")}, in `manifest.jsonl`; how they were chosen stands in `sweep.toml`.
Source and licence of the prompts: not stated yet.

## Terms

Licence of the images and votes: not stated yet. Copy this file into the run folder, set
`license` above, name it here, and push again.

Votes: {f"{count(votes, 'vote')}, {ids}" if votes else "none"}.

Consent and raters' terms: not stated yet. Say here what raters agreed to.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
