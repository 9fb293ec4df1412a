"""Which values share a table, and what a table says."""

from __future__ import annotations

import re

import pytest

from glide_eval.cli.metric_table import comparable_tables, format_table
from glide_eval.extractors import difference_in_words
from glide_eval.measure import MetricRow

REAL = "40 images of real (0123456789ab)"
NAN = float("nan")


def row(
    arm: str, metric: str, fingerprint: str = "new", reference: str = "", **others
) -> MetricRow:
    given = {
        "value": 1.0, "ci_low": 0.5, "ci_high": 1.5, "n": 9, "extractor": "tabletop", "note": "",
        "level": 0.95, "method": "", "images": "",
    } | others  # fmt: skip
    return MetricRow(arm=arm, metric=metric, fingerprint=fingerprint, reference=reference, **given)


def shown(rows, facts=None, current=()) -> list[tuple[set[tuple[str, str]], str]]:
    tables = comparable_tables(rows, facts or {}, current)
    return [({(r.arm, r.metric) for r in table.rows}, table.apart) for table in tables]


def test_rows_of_one_extractor_and_reference_share_a_table():
    rows = [
        row("a", "fid", reference=REAL),
        row("b", "fid", reference=REAL),
        row("a", "clip_score"),
    ]
    assert shown(rows) == [({("a", "fid"), ("b", "fid"), ("a", "clip_score")}, "")]


def test_values_of_a_changed_extractor_stand_apart_with_the_fact_that_changed():
    rows = [row("a", "clip_score", "old"), row("a", "fid", "new", REAL)]
    facts = {
        "old": {"weights": "ab" * 32, "resize": "bicubic"},
        "new": {"weights": "cd" * 32, "resize": "bicubic"},
    }
    assert shown(rows, facts, current=["new"]) == [
        ({("a", "fid")}, ""),
        ({("a", "clip_score")}, "weights differs: cdcdcdcdcdcd… against abababababab…"),
    ]


def test_an_old_run_that_recorded_no_facts_says_so():
    rows = [row("a", "fid", "old", REAL), row("b", "fid", "new", REAL)]
    (_, (_, why)) = shown(rows, {"new": {"weights": "1"}}, current=["new"])
    assert why == "another version of tabletop; what changed was not recorded"


def test_values_against_other_real_images_stand_apart():
    other = "40 images of real (ffffffffffff)"
    rows = [
        row("a", "fid", reference=REAL),
        row("a", "clip_score"),
        row("b", "fid", reference=other),
    ]
    assert shown(rows) == [
        ({("a", "fid"), ("a", "clip_score")}, ""),
        ({("b", "fid")}, "they are against other real images"),
    ]


def test_the_same_real_images_under_another_name_are_the_same_reference():
    rows = [row("a", "fid", reference=REAL), row("b", "fid", reference="copy (0123456789ab)")]
    assert len(shown(rows)) == 1


def test_other_extractors_have_tables_of_their_own_without_an_excuse():
    rows = [
        row("a", "fid", reference=REAL),
        row("a", "fid", "x", REAL, extractor="inception-clean"),
    ]
    assert [why for _, why in shown(rows)] == ["", ""]


def test_differences_in_words():
    facts = {"resize": "bicubic", "version": "1"}
    assert difference_in_words(("a", facts), ("b", facts)) == "the extractors differ: a against b"
    other = {"resize": "bilinear", "version": "1", "crop": "centre"}
    assert difference_in_words(("a", facts), ("a", other)) == (
        "resize differs: bicubic against bilinear; crop differs: none against centre"
    )


def test_undefined_values_and_notes_of_some_arms_are_told_apart():
    text = format_table(
        [
            row("a", "recall", reference=REAL, value=0.5, ci_low=0.4, ci_high=0.6),
            row("b", "recall", reference=REAL, value=NAN, ci_low=NAN, ci_high=NAN, n=2,
                note="needs more images"),
            row("a", "clip_score", value=20.0, ci_low=NAN, ci_high=NAN, note="no interval"),
        ],
        {"a": "Arm A"},
    )  # fmt: skip
    assert "recall (b): needs more images." in text
    assert "clip_score: no interval." in text
    assert "n = 2 to 9 images an arm" in text.splitlines()[0]
    assert re.search(r"Arm A +0\.50 \[0\.40, 0\.60\] +20\.000 \[none\]", text)
    assert re.search(r"b +undefined$", text, re.MULTILINE)


def test_a_note_of_several_metrics_is_said_once():
    text = format_table(
        [row("a", metric, note="no captions") for metric in ("clip_score", "caption_accuracy")], {}
    )
    assert "clip_score, caption_accuracy: no captions." in text


def test_metrics_of_fewer_images_than_the_arm_and_arms_of_unequal_n_are_noted():
    text = format_table(
        [row("a", "fid", n=1000), row("b", "fid", n=5000), row("a", "relation_accuracy", n=20),
         row("b", "relation_accuracy", n=25)],
        {},
    )  # fmt: skip
    assert "n = 1,000 to 5,000 images an arm" in text
    assert "relation_accuracy: of 20 to 25 images an arm." in text
    assert "fid: arms have 1,000 to 5,000 images" in " ".join(text.split())


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    metrics = ["fid", "inception_score", "precision", "recall", "clip_score", "caption_accuracy"]
    rows = [
        row(arm, metric, reference=REAL if metric == "fid" else "", note="a long story " * 12)
        for arm in ("Unguided", "Classifier-free, s = 1.5")
        for metric in metrics
    ]
    lines = format_table(rows, {}, width).splitlines()
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 30  # and it is used


def test_tiny_values_keep_two_digits_and_zero_has_no_sign():
    from glide_eval.cli.metric_table import _cell, _decimals

    assert _decimals([0.00002]) == 6
    assert _cell(0.00003, 0.00002, 0.00004, 6) == "0.000030 [0.000020, 0.000040]"
    assert _cell(3e-9, 2e-9, 4e-9, _decimals([2e-9])) == "3e-09 [2e-09, 4e-09]"
    assert _cell(-0.00001, -0.2, 0.2, 2) == "0.00 [-0.20, 0.20]"
    assert _cell(-0.0, float("nan"), 0.0, 3) == "0.000 [none]"
