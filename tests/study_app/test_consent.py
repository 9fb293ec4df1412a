"""What raters are told before they agree, and what is kept of their agreement."""

from __future__ import annotations

import tomllib

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from study_app.commands.study import command
from study_app.making import create_from_design
from study_app.rating import Study
from study_app.rules import StudyDesign
from study_app.store import RaterRow
from study_app.views import stages
from study_app.words import words
from tests.study_app.conftest import ROOT

TOLD = {
    "consent": "I take part.",
    "content_warning": "Some images show spiders.",
    "contact": "Ada, <study@example.org>",
    "retention": "Ten years.",
    "legal_basis": "Your consent.",
    "rights": "You may have it deleted.",
    "min_age": 18,
}


def design(**pages: object) -> StudyDesign:
    return StudyDesign.model_validate({"pages": pages, "raters": {"pairs": 3}})


@pytest.fixture
def study(run, url):
    create_from_design(design(**TOLD), url, run=run, password="x")
    study = Study.open(url)
    yield study
    study.close()


def test_the_consent_page_tells_all_of_it_the_warning_first(study):
    page = stages.consent(study, words())
    places = [page.index(text) for text in ("spiders", "I take part", "18 years", "Ten years")]
    assert places == sorted(places)
    assert "&lt;study@example.org&gt;" in page, "the owner's text is text"
    for text in ("Your consent.", "You may have it deleted."):
        assert text in page


def test_time_and_version_of_the_text_are_stored_when_a_rater_agrees(study):
    token = study.join()
    study.turn(token)
    study.agree(token)
    with study.database.reading() as session:
        (row,) = session.execute(select(RaterRow.consented_at, RaterRow.consented_to)).all()
    assert row.consented_at is not None
    assert row.consented_to == study.info.consent_version


def test_another_text_is_another_version(run, sqlite_url, study):
    other = design(**TOLD | {"retention": "Eleven years."})
    url = sqlite_url.set(database=f"{sqlite_url.database}-2")
    create_from_design(other, url, run=run, password="x")
    second = Study.open(url)
    assert second.info.consent_version != study.info.consent_version
    second.close()


@pytest.mark.parametrize("entry", ["prolific", "mturk"])
@pytest.mark.parametrize("missing", sorted(TOLD.keys() - {"content_warning"}))
def test_a_study_of_paid_strangers_that_does_not_tell_them_is_refused(tmp_path, entry, missing):
    lines = [f"{key} = {value!r}" for key, value in TOLD.items() if key != missing]
    file = tmp_path / "study.toml"
    file.write_text("\n".join([f"[entry]\nby = '{entry}'\n[pages]", *lines]))
    found = CliRunner().invoke(command, ["create", "--study", str(file)])
    assert found.exit_code != 0
    assert f"lack {missing}. Whoever takes part" in str(found.exception)


def test_the_german_text_to_start_from_is_complete():
    guide = (ROOT / "docs/how-to/run-a-paid-study.md").read_text("utf-8")
    text = guide.split("```toml")[1].split("```")[0]
    pages = StudyDesign.model_validate(tomllib.loads(text)).pages
    assert pages.language == "de"
    assert pages.missing_for_strangers() == []
