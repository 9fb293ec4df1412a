"""Where there is no terminal, long work says how far it is once a minute."""

from __future__ import annotations

from glide_eval.files import progress


def test_a_line_per_minute_and_none_before(capsys):
    now = 0.0
    with progress(5000, "Measuring", initial=1000, clock=lambda: now) as update:
        for _ in range(10):
            now += 20
            update(300)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Measuring: 1,900 of 5,000 images",
        "Measuring: 2,800 of 5,000 images",
        "Measuring: 3,700 of 5,000 images",
    ]
