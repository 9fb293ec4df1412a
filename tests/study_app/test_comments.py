"""What raters write about a pair: stored with the vote, for the owner, gone with the rater."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from click.testing import CliRunner
from selenium.webdriver.common.keys import Keys

from study_app.commands.data import export
from study_app.making import create_from_design
from study_app.owner import delete_rater, look_at, votes_frame
from study_app.rating import Study
from study_app.rules import Ballot, StudyDesign
from study_app.views import rate
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD

WRITTEN = "=the left one\nmelts"


def created(run, url, comments: bool = True) -> Study:
    votes = {"per_pair": 2, "min_seconds": 0, "comments": comments}
    design = StudyDesign.model_validate({"votes": votes, "raters": {"pairs": 6}})
    create_from_design(design, url, run=run, password=PASSWORD)
    return Study.open(url)


def send(study: Study, token: str, comment: object) -> None:
    """Answer as the page does, with a comment."""
    pair = study.turn(token).current
    event = {"kind": "answer", "assignment": pair.assignment, "answer": "left", "comment": comment}
    rate.respond(study, {"query": {"rater": token}, "event": event}, "127.0.0.1")


@pytest.fixture
def commented(run, url):
    study = created(run, url)
    token = study.join()
    for comment in (WRITTEN, "  ", None, 7, "a\0b" + "x" * 2000):
        send(study, token, comment)
    yield study
    study.close()


def test_comments_are_stored_shown_and_exported_beside_the_votes(commented, tmp_path):
    shown = look_at(commented).comments
    assert [row["comment"] for row in shown] == ["ab" + "x" * 998, WRITTEN]
    assert "comment" not in votes_frame(commented)
    assert len(votes_frame(commented)) == 5
    url = commented.database.url.render_as_string(hide_password=False)
    out, written = tmp_path / "votes.csv", tmp_path / "comments.csv"
    arguments = ["--db", url, "--out", out, "--comments", written]
    told = CliRunner().invoke(export, list(map(str, arguments)))
    assert told.exit_code == 0, told.output
    assert "Wrote 2 comments to" in told.output
    assert written.stat().st_mode & 0o777 == 0o600
    table = pd.read_csv(written)
    assert table["comment"].tolist() == ["ab" + "x" * 998, f"'{WRITTEN}"], "no formula runs"
    assert set(table["answer"]) == {"left"}
    assert table["rater"].isin(votes_frame(commented)["rater"]).all()


@pytest.mark.parametrize("keep_votes", [False, True])
def test_what_a_rater_wrote_goes_with_their_data(commented, keep_votes):
    who = votes_frame(commented)["rater"].iloc[0]
    delete_rater(commented, who, keep_votes=keep_votes)
    assert look_at(commented).comments == []
    assert len(votes_frame(commented)) == (5 if keep_votes else 0)


def test_a_study_that_asks_for_none_stores_none(run, sqlite_url):
    study = created(run, sqlite_url, comments=False)
    try:
        token = study.join()
        send(study, token, WRITTEN)
        pair = study.turn(token).current
        study.cast(token, Ballot(pair.assignment, "left", 5.0, comment=WRITTEN))
        assert len(votes_frame(study)) >= 1
        with study.database.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT count(comment) FROM vote").scalar()
        assert found == 0
        page = rate.respond(study, {"query": {"rater": token}}, "127.0.0.1")
        assert page["comments"] is False
    finally:
        study.close()


@pytest.mark.browser
def test_a_rater_writes_without_answering_and_the_answer_takes_the_comment_along(
    run, sqlite_url, serving, tmp_path
):
    created(run, sqlite_url).close()
    browser = chromium(tmp_path / "profile")
    window = RaterWindow(browser, serving(sqlite_url).address)
    try:
        seen = window.start()
        time.sleep(0.4)
        field = browser.find_element("css selector", "label.comment textarea")
        field.click()
        field.send_keys("left", Keys.ARROW_LEFT, " hand", Keys.BACKSPACE)
        assert window.seen() == seen, "keys in the field are no answers"
        for size in ((1280, 800), (812, 375), (375, 720)):
            look_as(browser, *size, dark=False)
            assert not violations(browser), size
        look_as(browser, 1280, 800, dark=False)
        window.click("right")
        after = window.next_after(seen)
        assert field.get_attribute("value") == ""
        time.sleep(0.4)
        window.click("tie")
        window.next_after(after)
        study = Study.open(sqlite_url)
        (row,) = look_at(study).comments
        assert (row["answer"], row["comment"]) == (
            "right",
            "lef hant"[:3] + " hant"[:0] + row["comment"][3:],
        )
        assert row["comment"] == "lef hant"
        study.close()
    finally:
        browser.quit()
