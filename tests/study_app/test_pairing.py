from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study_app.errors import StudyUsageError
from study_app.rules import plan_pairs


def grid(arms: int, prompts: int) -> list[tuple[str, str, int]]:
    return [(f"arm{a}", f"p{p}", 0) for a in range(arms) for p in range(prompts)]


def spread(counts: Counter, size: int) -> int:
    """Largest minus smallest count, absent ones included."""
    return max(counts.values()) - (min(counts.values()) if len(counts) == size else 0)


@given(st.integers(2, 6), st.integers(1, 9), st.data())
def test_any_prefix_is_balanced_over_arm_pairs_and_over_prompts(arms, prompts, data):
    every = plan_pairs(grid(arms, prompts), ["q"], None, seed=data.draw(st.integers(0, 99)))
    prefix = every[: data.draw(st.integers(1, len(every)))]
    assert spread(Counter((p.arm_a, p.arm_b) for p in prefix), arms * (arms - 1) // 2) <= 1
    assert spread(Counter(p.prompt_id for p in prefix), prompts) <= 1


def test_every_arm_pair_meets_on_every_prompt_once():
    plan = plan_pairs(grid(4, 6), ["q"], None, seed=1)
    seen = Counter((p.prompt_id, p.arm_a, p.arm_b) for p in plan)
    arms = [f"arm{a}" for a in range(4)]
    expected = itertools.product([f"p{p}" for p in range(6)], itertools.combinations(arms, 2))
    assert seen == Counter((prompt, *pair) for prompt, pair in expected)


def test_sides_are_half_and_half_within_each_arm_pair():
    plan = plan_pairs(grid(3, 10), ["q"], None, seed=5)
    for pair in itertools.combinations(("arm0", "arm1", "arm2"), 2):
        sides = [p.a_first for p in plan if (p.arm_a, p.arm_b) == pair]
        assert sum(sides) == len(sides) / 2


def test_the_seed_decides_the_plan_and_questions_are_planned_apart():
    plan = plan_pairs(grid(4, 5), ["q", "r"], 10, seed=3)
    assert plan == plan_pairs(reversed(grid(4, 5)), ["q", "r"], 10, seed=3)
    assert plan != plan_pairs(grid(4, 5), ["q", "r"], 10, seed=4)
    assert [p.question for p in plan[:4]] == ["q", "r", "q", "r"]
    cells = [[(p.prompt_id, p.arm_a, p.arm_b) for p in plan if p.question == q] for q in "qr"]
    assert cells[0] != cells[1]


def test_only_samples_of_the_same_prompt_and_replica_are_paired():
    samples = [("a", "p0", 0), ("b", "p0", 0), ("a", "p1", 0), ("b", "p1", 1), ("b", "p2", 0)]
    (pair,) = plan_pairs(samples, ["q"], None, seed=0)
    assert (pair.prompt_id, pair.replica, pair.arm_a, pair.arm_b) == ("p0", 0, "a", "b")


def test_too_few_samples_are_told_with_what_was_found():
    with pytest.raises(StudyUsageError, match="found 2 arms, no two of which share a prompt"):
        plan_pairs([("a", "p0", 0), ("b", "p1", 0)], ["q"], None, seed=0)
    with pytest.raises(StudyUsageError, match="holds only 4"):
        plan_pairs(grid(2, 4), ["q"], 5, seed=0)


samples = st.sets(
    st.tuples(
        st.sampled_from("abcde"), st.sampled_from(["p0", "p1", "p2", "p3"]), st.integers(0, 1)
    )
)


@given(samples, st.integers(0, 99))
def test_whatever_samples_there_are_every_pair_is_of_one_prompt_and_two_arms(have, seed):
    shared = {
        (prompt, replica, *sorted((arm, other)))
        for arm, prompt, replica in have
        for other in "abcde"
        if other != arm and (other, prompt, replica) in have
    }
    if not shared:
        with pytest.raises(StudyUsageError, match="No pair can be made"):
            plan_pairs(have, ["q"], None, seed)
        return
    plan = plan_pairs(have, ["q", "r"], None, seed)
    for question in "qr":
        met = [(p.prompt_id, p.replica, p.arm_a, p.arm_b) for p in plan if p.question == question]
        assert sorted(met) == sorted(shared), "each once"
    assert plan == plan_pairs(sorted(have), ["q", "r"], None, seed), "the seed decides"
    sides = Counter((p.question, p.arm_a, p.arm_b, p.a_first) for p in plan)
    for question, arm, other, _ in sides:
        left, right = (sides[question, arm, other, first] for first in (True, False))
        assert abs(left - right) <= 1
