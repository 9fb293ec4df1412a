"""What may come to a run: arms, prompts and replicas, of which no image that is there depends.

Nothing that a run has may go or change: another scale in place of one, another text of a prompt,
fewer replicas, another sampler. `fork` makes a new run of what stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glide_eval.errors import RunError
from glide_eval.files import Prompt, RunFolder, count, some

from .identity import (
    ARMS,
    REPLICAS,
    SHOWN,
    Extent,
    Identity,
    another_config,
    differences,
    of_models,
)
from .plan import Plan
from .records import Recorded

CAPTIONS = "prompts.sha256"


def added(run: RunFolder, story: Mapping[str, Any], plan: Plan, before: Recorded) -> dict[str, Any]:
    """Return what a sweep adds to a run, as `run.json` tells it; empty if it adds nothing.

    Args:
        run: the run.
        story: its `run.json`.
        plan: of the sweep.
        before: what its manifest and records say was made.

    Raises:
        RunError: the sweep lacks or changes what the run has, or adds prompts or replicas to a run
            that is not finished.
    """
    recorded: Identity = {k: v for k, v in story["identity"].items() if not of_models(k)}
    whole = plan.identity()
    if recorded == whole:
        return {}
    grows = recorded[CAPTIONS] != whole[CAPTIONS] or recorded[REPLICAS] != whole[REPLICAS]
    if grows and not story["ended"]:
        raise RunError(
            f"{run.root} is not finished, and has other prompts or replicas than "
            f"{plan.sweep.path}: they can be added to finished runs only. Nothing was changed. "
            f"Finish it first with the config it was made with ({run.config_path}), or choose "
            "another --out."
        )
    held = _held(recorded, plan.extent, before)
    now = plan.identity(held) if not (lost := _lost(held, plan.extent)) else {}
    if lost or (lost := differences(recorded, _without_new_generators(recorded, now))):
        way_out = (
            " A new run takes over what is the same, so that only the rest is drawn: "
            f"glide-eval runs fork {run.root} NEW --config {plan.sweep.path}"
        )
        raise another_config(run.root, lost, way_out)
    new = {
        "arms": [name for name in plan.extent.arms if name not in held.arms],
        "prompts": [p.id for p in plan.extent.prompts if p not in held.prompts],
        "replicas": plan.extent.replicas - held.replicas,
    }
    return {key: value for key, value in new.items() if value}


def told(new: Mapping[str, Any]) -> str:
    """Return what was added, as a line of news."""
    words = [f"arm {name}" for name in new.get("arms", [])]
    words += [count(len(new["prompts"]), "prompt")] if new.get("prompts") else []
    words += [count(new["replicas"], "replica")] if new.get("replicas") else []
    return f"Added to the run: {some(words, SHOWN)}. What it had stays as it is."


def _held(recorded: Identity, now: Extent, before: Recorded) -> Extent:
    """Return what a run has of arms, prompts and replicas."""
    arms = tuple(str(recorded[ARMS]).split(", "))
    listed = (sample for key, sample in before.samples.items() if key in before.listed)
    captions = {s.prompt_id: s.caption for s in listed if s.arm == arms[0]}
    prompts = tuple(Prompt(*pair) for pair in captions.items()) or now.prompts
    return Extent(arms, prompts, int(recorded[REPLICAS] or 1))


def _lost(before: Extent, now: Extent) -> list[str]:
    """Return what a run has and a sweep has not, one line each."""
    lost: list[str] = []
    if gone := [name for name in before.arms if name not in now.arms]:
        [line] = differences({ARMS: ", ".join(before.arms)}, {ARMS: ", ".join(now.arms)})
        lost.append(f"{line}, without {some(gone)}")
    captions = {prompt.id: prompt.caption for prompt in now.prompts}
    if missing := [prompt.id for prompt in before.prompts if prompt.id not in captions]:
        here = f"{len(now.prompts)} here, without {some(missing)}"
        lost.append(f"`prompts.count` is {len(before.prompts)} there and {here}")
    lost += [
        f"prompt {p.id} is {p.caption!r} there and {captions[p.id]!r} here"
        for p in before.prompts
        if captions.get(p.id, p.caption) != p.caption
    ]
    if now.replicas < before.replicas:
        lost += differences({REPLICAS: before.replicas}, {REPLICAS: now.replicas})
    return lost


def _without_new_generators(recorded: Identity, now: Identity) -> Identity:
    """Return an identity without the generators that only arms to come need."""
    ending = ".micro_batch"
    places = {key.removesuffix(ending) for key in now if key.endswith(ending)}
    new = tuple(f"{place}." for place in places if place + ending not in recorded)
    return {key: value for key, value in now.items() if not (new and key.startswith(new))}
