"""The report: what stands in it, what it refuses, and that it repeats byte for byte."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ReportError, VotesError
from analysis.report import ReportInputs, write_report
from analysis.report.contents import Part
from analysis.report.page.render import render_page
from analysis.report.write import build
from tests.analysis.reports import draw_votes, fake_inputs, fewer_metrics, page_of
from tests.analysis.simulated import votes_of
from tests.fakes import ARMS


def compute(inputs: ReportInputs) -> Part:
    return build([inputs]).parts[0]


def test_every_figure_is_there_in_four_formats_and_every_table_in_two(simulated_report):
    folder = simulated_report.parent
    figures = {path.name for path in (folder / "figures").iterdir()}
    for name in (
        "elo-vs-scale", "elo-ranking", "is-fid", "precision-recall", "clip-fid",
        "metric-vs-elo-photorealism-simulated", "win-probability-caption-similarity-simulated",
    ):  # fmt: skip
        assert {f"{name}.{kind}" for kind in ("svg", "pdf", "png", "csv")} <= figures
    tables = {path.name for path in (folder / "tables").iterdir()}
    for name in (
        "elo-photorealism-simulated", "win-probability-photorealism-simulated", "metrics",
        "correlations", "conduct",
    ):  # fmt: skip
        assert {f"{name}.csv", f"{name}.tex"} <= tables
    magic = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<svg"}
    for kind, start in magic.items():
        assert (folder / "figures" / f"elo-vs-scale.{kind}").read_bytes().startswith(start)


def test_page_asks_nothing_of_the_network_and_holds_its_images(simulated_report):
    page = simulated_report.read_text("utf-8")
    targets = re.findall(r'(?:src|href|xlink:href)="([^"]*)"', page)
    assert targets
    beside = ("data:", "#", "figures/", "tables/", "votes/")
    outside = [target for target in targets if not target.startswith(beside)]
    assert outside == []
    assert "@import" not in page
    assert re.findall(r"<script[^>]*>", page) == ["<script>"]  # inline, and nothing to load
    assert page.count("data:image/webp") >= 8 * len(ARMS)
    assert simulated_report.stat().st_size < 15e6
    for target in targets:
        if target.startswith(("figures/", "tables/")):
            assert (simulated_report.parent / target).is_file()


def test_page_escapes_what_others_wrote(simulated_report):
    page = simulated_report.read_text("utf-8")
    assert "A &lt;b&gt;test&lt;/b&gt;" in page
    assert "A <b>test" not in page


def test_simulated_votes_are_marked_on_top_in_every_section_and_figure(simulated_report):
    page = simulated_report.read_text("utf-8")
    assert "All 1,200 votes in this report were cast by simulated raters" in page
    for section in (
        "preference", "agreement", "wins", "best_prompts", "disputed", "conduct"
    ):  # fmt: skip
        heading = re.search(rf'<section id="{section}">\s*(?:<div.*>\s*)?<h2>(.*?)</h2>', page)[1]
        assert "simulated raters" in heading
    for figure in (simulated_report.parent / "figures").glob("*.svg"):
        if figure.name.startswith(("elo", "metric-vs", "win")):
            assert "simulated raters" in figure.read_text("utf-8")
    for table in (simulated_report.parent / "tables").glob("*.tex"):
        if table.name != "metrics.tex" and not table.name.startswith("published"):
            assert "simulated raters" in table.read_text("utf-8")


def test_peoples_votes_are_never_pooled_with_simulated_ones(tmp_path):
    people = draw_votes("person", "photorealism", 300, seed=1)
    both = pd.concat([draw_votes("simulated", "photorealism"), people])
    alone = compute(fake_inputs(tmp_path, people)).results[0]
    first, second = compute(fake_inputs(tmp_path, both)).results
    np.testing.assert_array_equal(first.fit.scores, alone.fit.scores)
    assert (first.ballot.rater_kind, second.ballot.rater_kind) == ("person", "simulated")
    page = page_of(fake_inputs(tmp_path, both))
    assert "600 of the 900 votes in this report were cast by simulated raters" in page


def test_peoples_report_says_nothing_of_simulated_raters(tmp_path):
    inputs = fake_inputs(tmp_path, draw_votes("person", "photorealism"))
    assert "simulated" not in page_of(inputs).lower()


def test_summary_names_the_winner_with_its_interval_over_unguided(simulated_report):
    page = simulated_report.read_text("utf-8").replace("\u00a0", " ")
    beginning = re.search(
        r"Classifier-free, s = 3 ranks first, (\d+) Elo above unguided "
        r"\(95% interval (\d+) to (\d+)\).* Its lead over the next, CLIP, s = 3, is (\d+) Elo",
        page,
    )
    assert beginning is not None
    table = pd.read_csv(simulated_report.parent / "tables" / "elo-photorealism-simulated.csv")
    elo = table.set_index("arm")["elo"]
    assert int(beginning[1]) == round(elo["cfg-3"] - elo["unguided"])
    assert int(beginning[4]) == round(elo["cfg-3"] - elo["clip-3"])
    assert int(beginning[2]) < int(beginning[1]) < int(beginning[3])


def test_elo_figure_puts_unguided_at_zero(simulated_report):
    data = pd.read_csv(simulated_report.parent / "figures" / "elo-vs-scale.csv")
    anchored = data[data["arm"] == "unguided"]
    assert len(anchored) == 2
    assert (anchored[["elo", "low", "high"]] == 0).all(axis=None)
    assert set(data["anchor"]) == {"Unguided"}


def test_elo_table_agrees_with_the_fit(simulated_report, tmp_path):
    table = pd.read_csv(simulated_report.parent / "tables" / "elo-photorealism-simulated.csv")
    inputs = fake_inputs(tmp_path, draw_votes("simulated", "photorealism"))
    fit = compute(inputs).results[0].fit
    expected = dict(zip(fit.arms, fit.scores, strict=True))
    np.testing.assert_allclose(table["elo"], table["arm"].map(expected))
    assert (table["bootstrap_low"] < table["elo"]).all()
    assert table["elo"].is_monotonic_decreasing


def test_equal_noise_is_claimed_only_when_seeds_are_equal(tmp_path):
    inputs = fake_inputs(tmp_path)
    page = page_of(inputs)
    assert "equal noise" in page
    inputs.samples.loc[0, "seed"] = 999
    page = page_of(inputs)
    assert "equal noise" not in page
    assert "different noise" in page


def test_same_inputs_give_the_same_bytes(tmp_path):
    inputs = fewer_metrics(fake_inputs(tmp_path / "run", draw_votes("simulated", "photorealism")))
    first, second = (write_report(inputs, tmp_path / name).parent for name in ("one", "two"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_without_votes_the_metrics_still_make_a_report(tmp_path):
    page = write_report(fake_inputs(tmp_path), tmp_path / "report")
    text = page.read_text("utf-8")
    assert "No votes yet" in text
    assert "FID" in text
    assert not (page.parent / "figures" / "elo-vs-scale.svg").exists()
    empty = fake_inputs(tmp_path, draw_votes("person", "photorealism", 5).head(0))
    assert "No votes yet" in page_of(empty)


def test_where_every_vote_was_excluded_the_page_says_so(tmp_path):
    votes = draw_votes("person", "photorealism", 5).assign(excluded="too fast")
    page = page_of(fake_inputs(tmp_path, votes)).replace("&#39;", "'")
    told = f"No vote counts. Left out were {len(votes):,} by the study's exclusion rules"
    assert page.count(told) == 3, "first sentences, preference and methods"
    assert "No votes yet" not in page


def test_arms_with_equal_scores_share_the_first_rank(tmp_path):
    both = [("cfg-3", "clip-1", "left"), ("cfg-3", "clip-1", "right")]
    page = page_of(fake_inputs(tmp_path, votes_of(both * 4)))
    assert "share the first rank" in page
    assert "ranks first" not in page


def test_arms_that_votes_do_not_link_are_told_apart(tmp_path):
    def even(a, b):
        return [(a, b, "left"), (a, b, "left"), (a, b, "right")]

    votes = votes_of(even("unguided", "clip-1") + even("cfg-1.5", "cfg-3"))
    page = page_of(fake_inputs(tmp_path, votes))
    assert "Votes don't link" in page.replace("&#39;", "'")


def test_votes_alone_make_a_report(tmp_path):
    inputs = fake_inputs(tmp_path, draw_votes("person", "photorealism"))
    bare = ReportInputs("Imported votes", inputs.arms, votes=inputs.votes)
    text = page_of(bare)
    assert "ranks first" in text
    assert 'id="samples"' not in text
    assert 'id="metrics"' not in text


def test_unbeaten_and_unseen_arms_are_told_in_words(tmp_path):
    votes = votes_of(
        [("unguided", "clip-1", "left"), ("unguided", "clip-1", "right"),
         ("cfg-3", "unguided", "left"), ("cfg-3", "clip-1", "left")] * 3,
    )  # fmt: skip
    page = page_of(fake_inputs(tmp_path, votes))
    assert "won all of its 6 comparisons: its score has no upper bound" in page
    assert "no votes" in page
    words = re.sub(r'data:[^"]*|<script>.*</script>', "", page, flags=re.DOTALL)
    assert "nan" not in words.lower().replace("provenance", "")


def test_two_lone_votes_rank_nobody(tmp_path):
    votes = votes_of([("unguided", "clip-1", "left"), ("cfg-3", "clip-1", "left")])
    page = page_of(fake_inputs(tmp_path, votes))
    assert "won its only comparison" in page
    assert "ranks first" not in page


def test_one_rater_has_scores_without_intervals(tmp_path):
    votes = draw_votes("person", "photorealism").assign(rater="only")
    page = page_of(fake_inputs(tmp_path, votes))
    assert "no interval: one rater" in page
    assert "No interval: one rater" in page


def test_unguided_that_lost_every_vote_is_no_anchor(tmp_path):
    votes = draw_votes("person", "photorealism")
    left = votes["arm_left"] == "unguided"
    right = votes["arm_right"] == "unguided"
    votes.loc[left, "answer"] = "right"
    votes.loc[right, "answer"] = "left"
    (result,) = compute(fake_inputs(tmp_path, votes)).results
    assert result.anchor is None
    page = page_of(fake_inputs(tmp_path, votes))
    assert "Elo (mean zero)" in page
    assert "its score has no lower bound" in page


def test_imported_arms_stand_beside_the_sweep(tmp_path):
    inputs = fake_inputs(tmp_path, draw_votes("person", "photorealism"))
    inputs.arms.loc[4, ["strategy", "label", "scale"]] = ["imported", "Other model", np.nan]
    page = page_of(inputs)
    assert "Imported images" in page
    figure = re.search(r'<figure id="figure-elo-vs-scale">.*?</figure>', page, re.DOTALL)[0]
    assert "Other model" in figure


def test_only_imported_arms_are_ranked_instead_of_drawn_over_scales(tmp_path):
    inputs = fake_inputs(tmp_path, draw_votes("person", "photorealism"))
    arms = inputs.arms.assign(strategy="imported", scale=None)
    folders = ReportInputs("Folders", arms, inputs.metrics, inputs.votes)
    contents = compute(folders)
    assert "elo-vs-scale" not in contents.figures
    assert "figure-elo-ranking" in render_page(build([folders]))


def test_values_of_two_extractors_never_share_a_column(tmp_path):
    inputs = fake_inputs(tmp_path)
    other = inputs.metrics[inputs.metrics["metric"] == "fid"].assign(extractor="inception")
    both = pd.concat([inputs.metrics, other], ignore_index=True)
    page = write_report(ReportInputs("Two", inputs.arms, both), tmp_path / "report")
    printed = (page.parent / "tables" / "metrics.tex").read_text("utf-8")
    assert r"FID $\downarrow$ (tabletop)" in printed
    assert r"FID $\downarrow$ (inception)" in printed


def test_missing_metric_values_show_a_dash_and_their_note(tmp_path):
    inputs = fake_inputs(tmp_path)
    inputs.metrics.loc[0, ["value", "ci_low", "ci_high"]] = np.nan
    inputs.metrics["note"] = inputs.metrics["note"].astype(object)
    inputs.metrics.loc[0, "note"] = "too few samples for a covariance"
    page = page_of(inputs)
    assert "too few samples for a covariance" in page
    assert "FID of Unguided: too few" in page


def test_a_metric_that_no_arm_has_leaves_its_note_and_no_empty_column(tmp_path):
    inputs = fewer_metrics(fake_inputs(tmp_path))
    none = inputs.metrics[inputs.metrics["metric"] == "fid"].assign(
        metric="r_precision", value=np.nan, ci_low=np.nan, ci_high=np.nan, n=0,
        note="needs 100 different captions",
    )  # fmt: skip
    measured = dataclasses.replace(
        inputs, metrics=pd.concat([inputs.metrics, none], ignore_index=True)
    )
    page = page_of(measured)
    assert "R-precision: needs 100 different captions" in page
    assert page.count("R-precision") == 1, "a column, or said to be measured"
    assert "of n = 0" not in page
    alone = page_of(dataclasses.replace(inputs, metrics=none))
    assert "R-precision: needs 100 different captions" in alone


def test_rewriting_replaces_the_old_report_and_leaves_strangers_alone(tmp_path):
    out = tmp_path / "report"
    inputs = fewer_metrics(fake_inputs(tmp_path, draw_votes("person", "photorealism")))
    write_report(inputs, out)
    (out / "figures" / "mine.txt").write_text("keep")
    write_report(dataclasses.replace(inputs, votes=None), out)
    assert not (out / "figures" / "elo-vs-scale.svg").exists()
    assert (out / "figures" / "is-fid.svg").exists()
    assert (out / "figures" / "mine.txt").read_text() == "keep"
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_truncated_image_is_named_and_the_old_report_stays(tmp_path):
    out = tmp_path / "report"
    inputs = fewer_metrics(fake_inputs(tmp_path))
    before = write_report(inputs, out).read_bytes()
    broken = tmp_path / inputs.samples["path"].iloc[0]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(ReportError, match=rf"{broken.name}: expected an image"):
        write_report(inputs, out)
    assert (out / "index.html").read_bytes() == before


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ReportError, match="Could not write the report to"):
        write_report(fake_inputs(tmp_path / "run"), tmp_path / "file")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda i: i.arms.pop("label"), ReportError, "missing column label"),
        (
            lambda i: i.metrics.__setitem__("arm", "zebra"),
            ReportError,
            "metrics: found arm 'zebra'",
        ),
        (lambda i: i.samples.__setitem__("arm", "zebra"), ReportError, "samples: found arm"),
        (lambda i: i.metrics.__setitem__("arm", "cfg-3"), ReportError, "of cfg-3 twice"),
        (lambda i: i.arms.__setitem__("name", "cfg-3"), ReportError, "each name once"),
        (lambda i: i.votes.__setitem__("arm_left", "zebra"), VotesError, "unknown arm_left"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused_before_anything_is_written(
    tmp_path, spoil, error, words
):
    inputs = fake_inputs(tmp_path, draw_votes("person", "photorealism", 20))
    spoil(inputs)
    with pytest.raises(error, match=words):
        write_report(inputs, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_report_json_lists_every_file_with_its_digest(simulated_report):
    folder = simulated_report.parent
    listed = json.loads((folder / "report.json").read_text("utf-8"))["files"]
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(listed) == there - {"report.json"}
