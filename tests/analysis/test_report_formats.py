"""Formats, several runs and studies, and inputs that are odd."""

from __future__ import annotations

import dataclasses
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ReportError
from analysis.report import ReportInputs, write_report
from analysis.report.formats import pdf as printing
from analysis.report.formats.markdown import render_markdown
from analysis.report.page.render import render_page
from analysis.report.write import build
from tests.analysis.reports import NAMES, draw_votes, fake_inputs, fewer_metrics, page_of
from tests.analysis.simulated import votes_of


def named(inputs: ReportInputs, name: str, **changes: object) -> ReportInputs:
    return dataclasses.replace(inputs, name=name, **changes)


@pytest.mark.browser
def test_pdf_is_printed_with_page_numbers_and_the_simulated_raters_on_every_page(tmp_path):
    inputs = fewer_metrics(fake_inputs(tmp_path / "run", draw_votes("simulated", "photorealism")))
    page = write_report(inputs, tmp_path / "out", formats=["pdf"])
    pdf = page.read_bytes()
    assert page.name == "report.pdf"
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type ?/Page\b", pdf)) > 3
    assert not (tmp_path / "out" / "index.html").exists()
    dates = re.findall(rb"/(?:CreationDate|ModDate) ?\(D:(\d{14})", pdf)
    assert set(dates) <= {b"20000101000000"}
    assert "@bottom-left" in render_page(build([inputs]))


def test_without_a_browser_pdf_is_refused_before_any_work_with_what_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(printing.shutil, "which", lambda _: None)
    with pytest.raises(ReportError, match="apt install chromium"):
        write_report(fake_inputs(tmp_path / "run"), tmp_path / "out", formats=["html", "pdf"])
    assert not (tmp_path / "out").exists()


def test_a_browser_that_fails_is_told_in_one_paragraph(monkeypatch):
    monkeypatch.setattr(printing, "BROWSERS", ("false",))
    assert shutil.which("false")
    with pytest.raises(ReportError, match="could not print the page"):
        printing.print_pdf("<p>page</p>")


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ReportError, match="found docx, expected some of html, pdf, md"):
        write_report(fake_inputs(tmp_path), tmp_path / "out", formats=["docx"])


def test_markdown_has_findings_tables_and_only_figures_that_are_there(tmp_path):
    inputs = fewer_metrics(fake_inputs(tmp_path / "run", draw_votes("simulated", "photorealism")))
    page = write_report(inputs, tmp_path / "out", formats=["md"])
    text = page.read_text("utf-8")
    assert page.name == "report.md"
    assert text.startswith("# A \\<b\\>test\\</b\\>\n")
    assert "> **Simulated raters.** All 600 votes" in text
    figures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert "figures/elo-vs-scale.png" in figures
    assert all((page.parent / name).is_file() for name in figures)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = block.splitlines()
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(cells) == 1, block
    assert "**Votes of simulated raters.**" in text
    assert "Published: Table 2" in text


def test_a_page_no_longer_asked_for_goes_away(tmp_path):
    inputs = fewer_metrics(fake_inputs(tmp_path / "run"))
    write_report(inputs, tmp_path / "out", formats=["html", "md"])
    write_report(inputs, tmp_path / "out", formats=["html"])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "index.html", "figures", "tables", "report.json",
    }  # fmt: skip


def test_studies_side_by_side_are_fitted_apart(tmp_path):
    run = fewer_metrics(fake_inputs(tmp_path, draw_votes("person", "photorealism", 300, 1)))
    other = named(run, "second", votes=draw_votes("person", "photorealism", 300, 2))
    alone = build([other]).parts[0]
    report = build([named(run, "first"), other])
    assert [part.inputs.name for part in report.parts] == ["first", "second"]
    np.testing.assert_array_equal(
        report.parts[1].results[0].fit.scores, alone.results[0].fit.scores
    )
    agreement = report.comparison.agreement.iloc[0]
    both = [part.elo.set_index("arm")["elo"] for part in report.parts]
    expected = both[0].corr(both[1], method="spearman")
    assert agreement["spearman"] == pytest.approx(expected)
    assert agreement["n"] == len(NAMES)


def test_several_parts_never_share_a_file_or_an_anchor(tmp_path):
    run = fewer_metrics(fake_inputs(tmp_path, draw_votes("person", "photorealism", 200, 1)))
    report = build([named(run, "Study A"), named(run, "study a")])
    page = render_page(report)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(ids)
    figures = [figure.name for part in report.parts for figure in part.figures.values()]
    assert len(figures) == len(set(figures))


def test_parts_without_names_of_their_own_are_refused(tmp_path):
    run = fake_inputs(tmp_path)
    with pytest.raises(ReportError, match="a name of its own"):
        build([named(run, "same"), named(run, "same")])


def test_simulated_and_peoples_studies_side_by_side_are_told_apart_in_figure_and_table(tmp_path):
    run = fewer_metrics(fake_inputs(tmp_path, draw_votes("person", "photorealism", 300, 1)))
    programs = named(run, "programs", votes=draw_votes("simulated", "photorealism", 300, 2))
    report = build([named(run, "people"), programs])
    figure = report.comparison.figures["runs-elo-vs-scale"]
    assert set(figure.data["study"]) == {"people", "programs (simulated raters)"}
    assert figure.simulated
    assert "programs (simulated raters), Elo above unguided" in render_page(report)


def test_metrics_of_runs_share_a_column_only_where_fingerprints_match(tmp_path):
    run = fewer_metrics(fake_inputs(tmp_path))
    same = run.metrics.assign(fingerprint="1111111111")
    first = named(run, "first", metrics=same)
    second = named(run, "second", metrics=same.assign(value=same["value"] + 1))
    other = named(run, "other", metrics=same.assign(fingerprint="2222222222"))
    alike = build([first, second]).comparison
    assert set(alike.metrics["extractor"]) == {"tabletop"}
    assert "runs-is-fid" in alike.figures
    apart = build([first, other]).comparison
    assert apart.metrics.groupby("extractor")["part"].nunique().tolist() == [1, 1]
    assert "runs-is-fid" not in apart.figures
    unknown = build([named(run, "a"), named(run, "b", metrics=run.metrics.assign(n=9))]).comparison
    assert set(unknown.metrics["extractor"]) == {"tabletop of a", "tabletop of b"}


def arms_named(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"name": names, "strategy": "imported", "scale": np.nan, "label": names}
    )  # fmt: skip


def test_forty_arms_with_long_odd_names_make_a_report(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"{n} <i>arm</i> & “{'very ' * 12}long” name_{n} 猫 %$#\\{{}}" for n in range(40)]
    left = rng.integers(0, 40, 1500)
    right = (left + rng.integers(1, 40, 1500)) % 40
    answers = rng.choice(["left", "right", "tie"], 1500)
    rows = [(names[i], names[j], a) for i, j, a in zip(left, right, answers, strict=True)]
    votes = votes_of(rows, prompt_id=rng.choice(["p1", "p2/..", "<p3>"], 1500))
    votes["rater"] = rng.choice([f"r{i}" for i in range(20)], 1500)
    page = write_report(ReportInputs("Forty", arms_named(names), votes=votes), tmp_path / "out")
    text = page.read_text("utf-8")
    assert "<i>arm</i>" not in re.sub(r"&lt;.*?&gt;", "", text)
    assert "40</b> arms" in text
    assert page.stat().st_size < 15e6
    tex = (page.parent / "tables" / "elo-photorealism.tex").read_text("utf-8")
    assert r"\textbackslash{}\{\}" in tex


def test_arms_with_one_label_are_told_apart_by_name(tmp_path):
    arms = arms_named(["a", "b", "c"]).assign(label=["Same", "Same", "Other\nline"])
    votes = votes_of([("a", "b", "left"), ("b", "a", "left"), ("a", "c", "left"),
                      ("c", "a", "left")] * 3)  # fmt: skip
    contents = build([ReportInputs("Labels", arms, votes=votes)]).parts[0]
    assert contents.inputs.labels == {"a": "Same [a]", "b": "Same [b]", "c": "Other line"}


@pytest.mark.parametrize("votes", [None, votes_of([])])
def test_one_arm_without_votes_or_metrics_still_makes_a_page(tmp_path, votes):
    text = page_of(ReportInputs("One", arms_named(["only"]), votes=votes))
    assert "No votes yet" in text
    assert "1</b> arm" in text
    assert "We compared 1 arm" in text


def test_only_ties_make_a_report_that_claims_nothing(tmp_path):
    votes = votes_of([("a", "b", "tie")] * 6, prompt_id="p1")
    text = page_of(ReportInputs("Ties", arms_named(["a", "b"]), votes=votes))
    assert "100% ties" in text
    assert "clear at 95%" not in text


def test_questions_with_odd_names_keep_their_figures_apart(tmp_path):
    asked = [draw_votes("person", q, 150, n) for n, q in enumerate(["a/b", "a?b", "../../up"])]
    inputs = dataclasses.replace(fake_inputs(tmp_path / "run", pd.concat(asked)), metrics=None)
    page = write_report(inputs, tmp_path / "out")
    wins = list((tmp_path / "out" / "tables").glob("win-probability-*.csv"))
    assert len(wins) == 3
    outside = {p.name for p in tmp_path.iterdir()} - {"run", "out"}
    assert not outside
    assert all(target in render_markdown(build([inputs])) for target in ("A/b", "A?b"))
    assert page.is_file()


def test_rank_sets_stand_in_every_table_of_elo(simulated_report):
    folder = simulated_report.parent / "tables"
    table = pd.read_csv(folder / "elo-photorealism-simulated.csv").set_index("arm")
    assert (table["rank_best"] <= table["rank_worst"]).all()
    assert table.loc["cfg-3", "rank_best"] == 1
    assert "Rank set" in (folder / "elo-photorealism-simulated.tex").read_text("utf-8")
