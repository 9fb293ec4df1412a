"""Arms of one strategy that share a scale: a curve for each variant, and none across them."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import win_matrix
from analysis.report import ReportInputs
from analysis.report.contents import Part
from analysis.report.side_by_side import compare
from analysis.report.write import build
from analysis.scores import Sandwich, fit_elo, sandwich, scale_curves, with_series
from tests.analysis.reports import methods_of, page_of
from tests.analysis.simulated import draw_ballot

UNGUIDED = ("unguided", "unguided", None, "Unguided")


def study(scores: np.ndarray, names: list[str]) -> Sandwich:
    ballot = draw_ballot(scores, 30, 30, np.random.default_rng(0))
    ballot = dataclasses.replace(ballot, arms=tuple(names))
    return sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)


def cfg(variant: str, *scales: float) -> list[tuple[Any, ...]]:
    return [
        (f"{variant}-{s:g}", "classifier_free", s, f"Classifier-free, s = {s:g}") for s in scales
    ]


def inputs_of(*rows: tuple[Any, ...], seed: int = 0, name: str = "") -> ReportInputs:
    """600 votes on the arms and two metrics of them."""
    arms = pd.DataFrame(list(rows), columns=["name", "strategy", "scale", "label"])
    rng = np.random.default_rng(seed)
    left = rng.integers(0, len(arms), 600)
    right = (left + rng.integers(1, len(arms), 600)) % len(arms)
    names = arms["name"].to_numpy()
    votes = pd.DataFrame(
        {"question": "photorealism", "arm_left": names[left], "arm_right": names[right],
         "answer": np.where(rng.random(600) < 0.5, "left", "right"),
         "rater": np.char.mod("r%02d", rng.integers(0, 12, 600))}
    )  # fmt: skip
    metrics = pd.DataFrame(
        [(arm, metric, rng.normal(10), np.nan, np.nan, 50, "x", "", "f1")
         for arm in names for metric in ("fid", "inception_score")],
        columns=["arm", "metric", "value", "ci_low", "ci_high", "n", "extractor", "note",
                 "fingerprint"],
    )  # fmt: skip
    return ReportInputs("Variants", arms, metrics=metrics, votes=votes, name=name)


def contents_of(*rows: tuple[Any, ...]) -> Part:
    return build([inputs_of(*rows)]).parts[0]


def lines_of(contents: Any, name: str) -> list[pd.DataFrame]:
    """The points of each line in a figure, and its dashes."""
    found = []
    for panel in contents.figures[name].panels:
        for layer in panel.spec["layer"]:
            if layer["mark"]["type"] == "line":
                points = pd.DataFrame(panel.spec["datasets"][layer["data"]["name"]])
                dashes = tuple(layer["mark"].get("strokeDash", ()))
                words = ["words"] if "words" in points else []
                groups = points.groupby(words) if words else [("", points)]
                found += [of_one.assign(dashes=[dashes] * len(of_one)) for _, of_one in groups]
    return found


TWO = (UNGUIDED, *cfg("dpm20", 1.5, 3, 6), *cfg("ddpm100", 1.5, 3, 6))


def test_a_strategy_whose_scales_differ_is_one_series_and_a_repeated_scale_splits_it():
    arms = pd.DataFrame(
        [UNGUIDED, *cfg("cfg", 1.5, 3), ("clip-2", "clip", 2, ""), ("clip-2-mine", "clip", 2, ""),
         ("ours", "classifier", 3, ""), ("classifier-3", "classifier", 3, ""),
         ("dog-3-inpaint", "x", 3, ""), ("cat-3.0-inpaint", "x", 3, "")],
        columns=["name", "strategy", "scale", "label"],
    )  # fmt: skip
    found = with_series(arms)
    assert list(found["series"]) == [
        None, "classifier_free", "classifier_free", "clip [clip]", "clip [clip-mine]",
        "classifier [ours]", "classifier [classifier]", "x [dog-inpaint]", "x [cat-inpaint]",
    ]  # fmt: skip
    assert list(found["variant"]) == [0, 0, 0, 0, 1, 0, 1, 0, 1]


def test_replicates_of_a_variant_are_of_no_series():
    arms = pd.DataFrame([*cfg("a", 2, 4), ("a-2.0", "classifier_free", 2.0, ""), *cfg("b", 2)],
                        columns=["name", "strategy", "scale", "label"])  # fmt: skip
    found = with_series(arms)
    assert list(found["series"]) == [None, None, None, "classifier_free [b]"]
    assert list(found["variant"]) == [0, 0, 0, 1]


def test_variants_are_fitted_and_tested_as_two_strategies_would_be():
    intervals = study(
        np.array([0.0, 60, 20, 30, 90, 40]), ["a-1", "a-2", "a-4", "b-1", "b-2", "b-4"]
    )
    arms = pd.DataFrame({"arm": intervals.fit.arms, "scale": [1.0, 2, 4] * 2})
    as_two = scale_curves(intervals, arms.assign(strategy=["a"] * 3 + ["b"] * 3))
    found = scale_curves(intervals, arms.assign(strategy="cfg"))
    words = {"a": "cfg [a]", "b": "cfg [b]"}
    for name in ("table", "best", "tests"):
        expected = getattr(as_two, name)
        named = [column for column in ("strategy", "against") if column in expected]
        expected = expected.assign(**{column: expected[column].map(words) for column in named})
        pd.testing.assert_frame_equal(getattr(found, name), expected)
    assert found.tests[["strategy", "against"]].to_numpy().tolist() == [["cfg [a]", "cfg [b]"]]


@pytest.mark.parametrize("names", [["a-1", "a-2", "a-1.0", "a-2.0"], ["w", "x", "y", "z"]])
def test_replicates_and_arms_whose_names_tell_no_variant_have_no_curve(names):
    arms = pd.DataFrame({"arm": names, "strategy": "cfg", "scale": [1.0, 2, 1, 2]})
    assert scale_curves(study(np.zeros(4), names), arms).best.empty


def test_no_line_joins_two_variants_and_dashes_tell_them_apart():
    contents = contents_of(*TWO)
    over_scale = lines_of(contents, "elo-vs-scale")
    assert [sorted(line["scale"]) for line in over_scale] == [[1.5, 3, 6], [1.5, 3, 6]]
    assert {line["arm"].str.rsplit("-").str[0].nunique() for line in over_scale} == {1}
    assert len({line["dashes"].iloc[0] for line in over_scale}) == 2
    tradeoff = lines_of(contents, "is-fid")
    assert [len(line) for line in tradeoff] == [4, 4]  # unguided, and three scales
    metrics = contents.inputs.metrics.set_index(["metric", "arm"])["value"]
    first = tradeoff[0].sort_values("step")
    arms = ["unguided", "dpm20-1.5", "dpm20-3", "dpm20-6"]
    np.testing.assert_allclose(first["y"], metrics["fid"][arms])
    assert set(tradeoff[1]["words"]) == {"Classifier-free guidance [ddpm100]"}
    shape = contents.figures["is-fid"].panels[0].spec["layer"][-1]["encoding"]["shape"]["scale"]
    assert len(set(shape["range"])) == 2  # unguided and dpm20 are circles, told apart by colour
    assert shape["range"][1] != shape["range"][2]


@pytest.mark.parametrize("rows", [
    (UNGUIDED, *cfg("dpm20", 3), *cfg("ddpm100", 3)),
    (UNGUIDED, *cfg("cfg", 3), ("clip-2", "clip", 2.0, "CLIP, s = 2")),
])  # fmt: skip
def test_nothing_is_drawn_against_scale_where_no_series_has_two(rows):
    contents = contents_of(*rows)
    assert "elo-vs-scale" not in contents.figures
    assert "elo-ranking" in contents.figures
    assert contents.ballots[0].claims.curves.best.empty
    page = page_of(inputs_of(*rows))
    assert "Preference against guidance scale" not in page
    assert "Best scale" not in page


def test_the_page_names_variants_in_legend_labels_tests_and_methods():
    inputs = inputs_of(*TWO)
    page = page_of(inputs)
    assert "Classifier-free, s = 3 [dpm20]" in page
    assert "[dpm20-3]" not in page
    legend = page[page.index('<ul class="legend">') :].split("</ul>")[0]
    assert legend.count("<svg") == 2
    assert "</svg>dpm20" in legend
    assert "</svg>ddpm100" in legend
    assert (
        "Classifier-free guidance [dpm20] against classifier-free guidance [ddpm100], each at its "
        "best scale"
    ) in page
    methods = methods_of(inputs)
    assert (
        "7 arms (unguided; classifier-free guidance [dpm20] at scales 1.5, 3 and 6; "
        "classifier-free guidance [ddpm100] at scales 1.5, 3 and 6)"
    ) in methods


def test_labels_fall_back_to_names_where_variants_do_not_tell_arms_apart():
    rows = [("cfg-2", "classifier_free", 2.0, "CFG"), ("cfg-4", "classifier_free", 4.0, "CFG")]
    labels = build([inputs_of(*rows)]).parts[0].inputs.arms["label"]
    assert list(labels) == ["CFG [cfg-2]", "CFG [cfg-4]"]


def test_runs_side_by_side_join_each_runs_variant_alone():
    parts = build([inputs_of(*TWO, name="one"), inputs_of(*TWO, seed=1, name="two")]).parts
    comparison = compare(parts)
    lines = lines_of(comparison, "runs-elo-vs-scale")
    joined = [run for line in lines for _, run in line.groupby("study")]
    assert [sorted(run["scale"]) for run in joined] == [[1.5, 3, 6]] * 4
    figure = comparison.figures["runs-elo-vs-scale"]
    assert figure.panels[0].subtitle == "Classifier-free guidance: solid dpm20, dashed ddpm100"
    assert {len(line) for line in lines_of(comparison, "runs-is-fid")} == {4}
    assert comparison.figures["runs-is-fid"].caption.endswith(
        "from unguided: solid classifier-free guidance [dpm20], dashed classifier-free guidance "
        "[ddpm100]."
    )


def test_a_sweep_without_variants_is_drawn_and_written_as_ever():
    contents = contents_of(UNGUIDED, *cfg("cfg", 1.5, 3), ("clip-2", "clip", 2.0, "CLIP, s = 2"))
    (line,) = lines_of(contents, "elo-vs-scale")[:1]
    assert line["dashes"].iloc[0] == ()
    figure = contents.figures["elo-vs-scale"]
    assert "variant" not in figure.caption
    written = pd.read_csv(io.BytesIO(figure.files()["elo-vs-scale.csv"]))
    assert not {"series", "variant"} & set(written)
    assert set(contents.ballots[0].claims.curves.best["strategy"]) == {"classifier_free"}


def test_a_runs_lone_variants_take_no_line_from_the_other_runs_curves():
    one = inputs_of(UNGUIDED, *cfg("cfg", 1.5, 3), name="one")
    two = inputs_of(*cfg("dpm20", 3), *cfg("ddpm100", 3), seed=1, name="two")
    figure = compare(build([one, two]).parts).figures["runs-is-fid"]
    assert figure.caption.endswith("solid classifier-free guidance, dashed CLIP guidance.")
