"""How often one address may ask."""

from __future__ import annotations

from study_app.serving.rate_limit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_then_the_rate_holds():
    clock = Clock()
    limit = RateLimit(burst=3, per_minute=60, clock=clock)
    assert [limit.allow("a") for _ in range(5)] == [True, True, True, False, False]
    clock.now = 1.0
    assert [limit.allow("a") for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert [limit.allow("a") for _ in range(4)] == [True, True, True, False], "no more than a burst"


def test_one_address_does_not_use_up_another_s():
    limit = RateLimit(burst=1, per_minute=1, clock=Clock())
    assert limit.allow("a")
    assert not limit.allow("a")
    assert limit.allow("b")


def test_memory_is_bounded_whoever_knocks():
    limit = RateLimit(burst=1, per_minute=1, clock=Clock(), remembered=100)
    for number in range(500):
        assert limit.allow(str(number))
    assert len(limit) == 100
    assert not limit.allow("499"), "the last to ask is remembered"
    assert limit.allow("0"), "the first was forgotten"
