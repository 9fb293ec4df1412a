"""What the report's pieces say: versions apart, highlights, LaTeX, methods, published numbers."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from analysis.claims import best_and_worst, disputed_pairs, prompt_scores, prompt_shares
from analysis.metrics import beside_paper, metric_info, published_tables, tell_versions
from analysis.metrics.published import TABLE_1, TABLE_2, TABLE_3, TABLE_4
from analysis.report import ReportInputs
from analysis.report.figures.metrics import TRADEOFFS, metric_tradeoff
from analysis.report.page.scores import board
from analysis.report.tables.latex import escape, latex
from analysis.report.tables.printed import printed_elo
from analysis.report.words.wording import file_stem, slug
from analysis.report.write import build
from glide_eval.metrics import METRICS
from tests.analysis.reports import draw_votes, fake_inputs, methods_of
from tests.analysis.simulated import votes_of


def test_two_versions_of_an_extractor_share_neither_name_nor_curve():
    rows = [("a", "inception_score", 5.0, "old"), ("b", "inception_score", 6.0, "old"),
            ("a", "fid", 9.0, "new"), ("b", "fid", 8.0, "new")]  # fmt: skip
    metrics = pd.DataFrame(rows, columns=["arm", "metric", "value", "fingerprint"])
    metrics = metrics.assign(extractor="tabletop", ci_low=np.nan, ci_high=np.nan, scale=[1, 2] * 2)
    metrics = metrics.assign(label=metrics["arm"], strategy="clip", series="clip", variant=0)
    assert metric_tradeoff(metrics, *TRADEOFFS[0]) is not None  # what would be drawn unseen
    told = tell_versions(metrics)
    assert set(told["extractor"]) == {"tabletop, version old", "tabletop, version new"}
    assert metric_tradeoff(told, *TRADEOFFS[0]) is None


def test_values_against_other_real_images_stand_apart_from_the_first():
    metrics = pd.DataFrame({"metric": ["fid", "fid", "clip_score"], "extractor": "inception",
                            "fingerprint": "f", "reference": ["coco", "cats", ""]})  # fmt: skip
    assert list(tell_versions(metrics)["extractor"]) == [
        "inception", "inception, against cats", "inception",
    ]  # fmt: skip


def test_an_old_version_in_the_table_stands_in_columns_of_its_own(tmp_path):
    inputs = fake_inputs(tmp_path)
    metrics = inputs.metrics.assign(fingerprint="1111111111")
    metrics.loc[metrics["metric"] == "fid", "fingerprint"] = "2222222222"
    contents = build([ReportInputs("Versions", inputs.arms, metrics)]).parts[0]
    assert "is-fid" not in contents.figures
    assert "precision-recall" in contents.figures
    assert set(contents.inputs.metrics["extractor"]) == {
        "tabletop, version 11111111", "tabletop, version 22222222",
    }  # fmt: skip


def test_every_metric_the_toolkit_measures_knows_which_way_is_better():
    lower = {name for name in METRICS if metric_info(name).better == "lower"}
    assert lower == {"fid", "fid_infinity", "fd_dinov2", "kid", "cmmd"}


def test_prompt_shares_by_hand():
    votes = votes_of(
        [("a", "b", "left"), ("a", "b", "tie"), ("b", "a", "left"), ("a", "b", "left")],
        prompt_id=["p1", "p1", "p2", "p2"],
    )
    table = prompt_shares(votes).set_index(["arm", "prompt_id"])
    assert table.loc[("a", "p1"), ["wins", "n"]].tolist() == [1.5, 2]
    assert table.loc[("a", "p2"), ["wins", "n"]].tolist() == [1, 2]
    # a won 2.5 of 4 in all: four votes of that share are added before prompts are ordered.
    assert table.loc[("a", "p1"), "rank_by"] == pytest.approx((1.5 + 4 * 0.625) / 6)


def test_one_lucky_vote_is_no_best_prompt():
    rows = [("a", "b", "left")] + [("a", "b", "left")] * 9 + [("a", "b", "right")] * 11
    prompts = ["lucky"] + ["often"] * 10 + ["seldom"] * 10
    chosen = best_and_worst(prompt_shares(votes_of(rows, prompt_id=prompts)), each=1)
    of_a = chosen[chosen["arm"] == "a"].set_index("place")["prompt_id"]
    assert of_a.to_dict() == {"best": "often", "worst": "seldom"}


def test_no_prompt_is_both_best_and_worst():
    votes = votes_of([("a", "b", "left"), ("a", "b", "right")], prompt_id=["p1", "p2"])
    chosen = best_and_worst(prompt_shares(votes), each=5)
    assert not chosen.duplicated(["arm", "prompt_id"]).any()
    alone = votes_of([("a", "b", "left")], prompt_id="p1")
    assert best_and_worst(prompt_shares(alone)).empty


def test_prompt_scores_never_mix_versions_of_an_extractor():
    scores = pd.DataFrame({
        "arm": "a", "prompt_id": ["p1", "p2", "p1"], "replica": 0, "metric": "clip_score",
        "value": [1.0, 2.0, 99.0], "extractor": "clip", "fingerprint": ["new", "new", "old"],
    })  # fmt: skip
    metric, table = prompt_scores(scores)
    assert metric == "clip_score"
    assert table.set_index("prompt_id")["value"].to_dict() == {"p1": 1.0, "p2": 2.0}


def test_the_most_evenly_split_pair_is_the_most_disputed():
    rows = [("a", "b", "left"), ("b", "a", "left"), ("a", "b", "left"), ("a", "b", "right"),
            ("a", "b", "left"), ("a", "b", "right"), ("a", "b", "left")]  # fmt: skip
    prompts = ["even"] * 4 + ["small", "small", "agreed"]
    found = disputed_pairs(votes_of(rows, prompt_id=prompts))
    assert found[["prompt_id", "wins", "losses"]].to_numpy().tolist() == [
        ["even", 2, 2], ["small", 1, 1],
    ]  # fmt: skip


def test_latex_escapes_whatever_an_arm_is_called():
    nasty = 'a_b & 50% of $x #1 {y} ~ ^ \\ < > [z] "q"\nnext\tline'
    text = escape(nasty)
    assert "\n" not in text
    assert "\t" not in text
    bare = re.sub(r"\\(?:[&%$#_{}]|[a-zA-Z]+\{\}|textbackslash\{\})", "", text)
    bare = re.sub(r"\$[<>]\$|\{\[\}|\{\]\}", "", bare)
    assert not set(bare) & set('\\&%$#_{}~^<>[]"')


def test_latex_tables_are_cut_to_the_page_both_ways():
    wide = pd.DataFrame({f"a rather long heading {i}": ["1.234 (1.1 to 1.3)"] for i in range(9)})
    text = latex(pd.concat([pd.DataFrame({"Arm": ["x"]}), wide], axis=1), "Wide", "wide")
    assert text.count(r"\begin{tabular}") > 1
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}")
    assert text.count("Arm &") == text.count(r"\begin{tabular}")
    long = latex(pd.DataFrame({"Arm": map(str, range(200)), "Elo": "1"}), "Long", "long")
    assert r"\begin{longtable}" in long
    assert r"\begin{table}" not in long


def test_latex_tables_cut_in_width_repeat_what_names_their_rows():
    pairs = pd.DataFrame({"Arm": ["a", "a"], "Against": ["b", "c"]})
    for number in range(9):
        pairs[f"Measure {number}"] = ["1.234 (1.1 to 1.3)"] * 2
    text = latex(pairs, "Pairs", "pairs")
    assert text.count("Arm & Against &") == text.count(r"\begin{tabular}") > 1
    alone = latex(pairs.drop(columns="Arm"), "Arms", "arms")
    assert "Measure 0" not in alone.split(r"\bottomrule")[1]


def test_latex_pieces_too_many_for_one_page_are_tables_of_their_own():
    table = pd.DataFrame({"Arm": [f"arm {n}" for n in range(20)]})
    for number in range(12):
        table[f"Measure {number}"] = "1.234 (1.100 to 1.300)"
    text = latex(table, "Many", "many")
    parts = text.count(r"\begin{table}")
    assert parts > 1
    assert f"Many (part 1 of {parts})" in text
    assert len(set(re.findall(r"\\label\{([^}]*)\}", text))) == parts


def test_latex_files_of_a_report_are_well_formed(simulated_report):
    files = sorted((simulated_report.parent / "tables").glob("*.tex"))
    assert len(files) > 12
    for file in files:
        text = file.read_text("utf-8")
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}"), file.name
        assert text.isascii() or "XeLaTeX" in text, file.name
        begun, ended = (
            sorted(re.findall(rf"\\{word}\{{(\w+)}}", text)) for word in ("begin", "end")
        )
        assert begun == ended, file.name
        for columns, body in re.findall(
            r"\\begin\{(?:tabular|longtable)\}\{([^\n]*)\}\n(.*?)\\end\{(?:tabular|longtable)\}",
            text, re.DOTALL,
        ):  # fmt: skip
            count = len(re.sub(r">\{[^}]*\}p\{[^}]*\}", "p", columns))
            rows = [line for line in body.splitlines() if " & " in line]
            cells = {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows}
            assert cells == {count}, file.name


def test_latex_says_when_pdflatex_is_not_enough():
    assert "XeLaTeX" in latex(pd.DataFrame({"Arm": ["猫"]}), "c", "l")
    assert "XeLaTeX" not in latex(pd.DataFrame({"Arm": ["Würstchen, s = 3, ρ"]}), "c", "l")


def test_file_names_are_short_safe_and_never_shared():
    names = [
        "photorealism",
        "Photorealism",
        "a/b",
        "a?b",
        "a b",
        "é",
        "???",
        "x" * 300,
        "..",
        "a-b",
    ]
    stems = [slug(name, "person") for name in names]
    assert len(set(stems)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", stem) for stem in stems)
    assert slug("x", "simulated") != slug("x_simulated", "person")
    assert slug("a_b", "person") != slug("a-b", "person")
    assert file_stem("run_1") != file_stem("run-1")


def test_methods_paragraph_has_the_studys_numbers(tmp_path):
    votes = draw_votes("person", "photorealism", 300)
    text = methods_of(fake_inputs(tmp_path, votes))
    assert "5 arms (unguided; classifier-free guidance at scales 1.5 and 3" in text
    assert "12 prompts, 60 images" in text
    assert "15 raters gave 300 votes" in text
    ties = round(100 * (votes["answer"] == "tie").mean())
    assert f"{ties}% ties" in text
    assert "No votes were excluded." in text
    assert "sampled by DDIM with 25 steps" in text
    assert "Votes were cast on 2026-01-01." in text


def test_methods_paragraph_counts_what_was_left_out(tmp_path):
    votes = draw_votes("person", "photorealism", 300)
    votes["excluded"] = np.where(votes.index < 30, "too fast", "")
    text = methods_of(fake_inputs(tmp_path, votes))
    assert "30 by the study's exclusion rules (30 too fast); 270 of 300 votes count" in text
    assert "gave 270 votes" in text


def test_methods_claim_no_protocol_for_votes_from_elsewhere(tmp_path):
    votes = draw_votes("person", "photorealism", 100)[
        ["question", "arm_left", "arm_right", "answer", "rater"]
    ]
    arms = fake_inputs(tmp_path).arms
    text = methods_of(ReportInputs("CSV", arms, votes=votes))
    assert "collected elsewhere" in text
    assert "side by side" not in text
    assert "sides drawn at random" not in text


def test_published_numbers_are_the_papers():
    assert TABLE_1["photorealism"].tolist() == [-88.6, -73.2, 82.7]
    assert TABLE_1["caption_similarity"].tolist() == [-106.2, 29.3, 110.9]
    assert TABLE_2.set_index(["model", "setting"])["fid"]["LAFITE", "zero-shot"] == 26.94
    assert TABLE_2["fid"].tolist()[-2:] == [12.24, 12.89]
    assert TABLE_3["photorealism"].tolist() == [91, 84, 89, 87, 72, 66]
    assert TABLE_3["caption_similarity"].tolist() == [83, 80, 71, 69, 63, 61]
    assert TABLE_4["photorealism"].tolist() == [-131.8, 28.2, -23.9, 133.0]
    assert TABLE_4["caption_similarity"].tolist() == [-136.4, 70.9, -27.1, 140.5]
    _, two = published_tables()["published-2"]
    assert two["FID"].tolist() == [
        "35.49", "32.64", "21.42", "20.79", "9.33", "8.12", "≈28", "26.94", "12.24", "12.89",
    ]  # fmt: skip


def test_ours_stand_beside_the_paper_measured_from_the_same_arm(tmp_path):
    contents = build([fake_inputs(tmp_path, draw_votes("person", "photorealism"))]).parts[0]
    table = beside_paper(contents.elo).set_index("strategy")
    assert table.loc["classifier_free", "published"] == pytest.approx(82.7 + 88.6)
    assert table.loc["clip", "published"] == pytest.approx(-73.2 + 88.6)
    assert table.loc["classifier_free", "arm"] == "cfg-3"
    own = contents.elo.set_index("arm")["elo"]
    assert table.loc["classifier_free", "elo"] == own["cfg-3"]


def test_questions_the_paper_did_not_ask_are_not_set_beside_it(tmp_path):
    contents = build([fake_inputs(tmp_path, draw_votes("person", "overall_quality"))]).parts[0]
    assert beside_paper(contents.elo).empty


def test_arms_that_votes_do_not_link_share_neither_table_nor_panel(tmp_path):
    games = [("a1", "a2"), ("a3", "a2"), ("a1", "a3"), ("b1", "b2")]
    votes = pd.DataFrame(
        [(f"r{k}", f"p{k}", one, other, "left" if k % 3 else "right")
         for k in range(6) for one, other in games],
        columns=["rater", "prompt_id", "arm_left", "arm_right", "answer"],
    ).assign(question="photorealism")  # fmt: skip
    names = ["a1", "a2", "a3", "b1", "b2"]
    arms = pd.DataFrame({"name": names, "label": names, "strategy": "imported", "scale": np.nan})
    inputs = ReportInputs("Two groups", arms, votes=votes, root=tmp_path)
    (part,) = build([inputs]).parts
    (shown,) = [board(each, part.elo, "") for each in part.ballots]
    first, second = shown["tables"]
    assert [[row["rank"] for row in each["rows"]] for each in (first, second)] == [
        [1, 2, 3],
        [1, 2],
    ]
    assert [row["elo"] for row in second["rows"]] == ["60", "−60"]  # 4 of 6: 200 log10(2)
    assert second["heading"] == "Scored apart: b1, b2"
    assert [panel.subtitle for panel in part.figures["elo-ranking"].panels] == [
        "people's votes, 3 arms scored apart", "people's votes, 2 arms scored apart",
    ]  # fmt: skip
    printed = printed_elo(
        part.ballots[0].result.scores().assign(label=lambda table: table["arm"]),
        part.ballots[0].claims,
    )
    assert list(printed["Scored apart"]) == ["1", "1", "1", "2", "2"]
