"""What raters read, in every language."""

from __future__ import annotations

import shutil
import string
from pathlib import Path

import pytest
from click.testing import CliRunner

from study_app.commands.study import command
from study_app.errors import StudyUsageError
from study_app.making import create_from_design
from study_app.rating import Study
from study_app.rules import StudyDesign, load_study_file
from study_app.views import rate, stages
from study_app.words import direction, languages, words

DATA = Path(__file__).parent / "data"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_english_is_there_and_one_more():
    assert "en" in languages()
    assert len(languages()) >= 2


@pytest.mark.parametrize("language", languages())
def test_every_language_says_everything_with_the_same_blanks(language):
    english, other = words("en"), words(language)
    assert {section: set(texts) for section, texts in other.items()} == {
        section: set(texts) for section, texts in english.items()
    }
    for section, texts in english.items():
        for key, text in texts.items():
            assert other[section][key], f"[{section}] {key} is empty"
            assert fields(other[section][key]) == fields(text), f"[{section}] {key}"


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_a_translation_is_one(language):
    same = [
        (section, key)
        for section, texts in words("en").items()
        for key, text in texts.items()
        if words(language)[section][key] == text
    ]
    assert not same


def test_languages_written_from_right_to_left_are_known():
    assert [direction(one) for one in ("en", "ar", "he", "fa-IR", "de")] == [
        "ltr", "rtl", "rtl", "rtl", "ltr",
    ]  # fmt: skip


def study_file(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(f'[pages]\nlanguage = "ar"\n{text}', "utf-8")
    return path


def test_a_third_language_is_a_file_beside_the_study_file(tmp_path):
    shutil.copy(DATA / "words-ar.toml", tmp_path)
    design = load_study_file(study_file(tmp_path, "")).design
    told = words(design.pages.language, design.pages.words)
    assert told["pair"]["left"] == "اليسرى"
    assert told == {name: dict(texts) for name, texts in told.items()}
    assert not {text for texts in told.values() for text in texts.values()} & {
        text for texts in words().values() for text in texts.values()
    }


def test_words_of_the_study_file_come_before_the_language_s(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('[pages.words.pair]\ntie = "Can\'t <tell>"\n')
    pages = load_study_file(path).design.pages
    told = words(pages.language, pages.words)
    assert told["pair"]["tie"] == "Can't <tell>"
    assert told["pair"]["left"] == words()["pair"]["left"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the app has words in de, en. For another language, save those of `glide-eval study"),
        ("[pages.words.pair]\nleft = 'يسار'", "`break.button` is missing"),
        ("[pages.words.pair]\nlegt = 'يسار'", "`pair.legt` is no text that raters read"),
        ("[pages.words.pair]\nprogress = '{done} {of'", "`pair.progress` has other blanks"),
        ("[pages.words.pair]\nprogress = '{done} {total.real}'", "which has {done}, {total}"),
        ("[pages.words.pair]\nleft = ''", "pages.words.pair.left"),
        ("[pages.words.pair]\nleft = 3", "pages.words.pair.left"),
        ("words = 3", "`pages.words` is 3"),
    ],
)
def test_words_that_raters_could_not_be_shown_are_refused_before_a_study_is_made(
    tmp_path, text, message
):
    with pytest.raises(StudyUsageError) as error:
        load_study_file(study_file(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[pair]\nleft = 3", "expected a string"),
        (b"left = 'a'", "words-ar.toml"),
        (b"[pair\n", "expected TOML"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_damaged_file_of_words_is_named(tmp_path, content, message):
    (tmp_path / "words-ar.toml").write_bytes(content)
    with pytest.raises(StudyUsageError) as error:
        load_study_file(study_file(tmp_path, ""))
    assert str(error.value).startswith(str(tmp_path / "words-ar.toml"))
    assert message in str(error.value)


def test_the_words_to_translate_are_printed(tmp_path):
    printed = CliRunner().invoke(command, ["words", "en"])
    assert printed.exit_code == 0
    (tmp_path / "words-ar.toml").write_text(printed.output, "utf-8")
    load_study_file(study_file(tmp_path, ""))


def test_an_owner_s_words_are_text_on_every_page(run, url):
    def marked(text: str) -> str:
        return "<i>&amp;" + "".join(f"{{{name}}}" for name in fields(text))

    own = {name: {k: marked(t) for k, t in texts.items()} for name, texts in words().items()}
    pages = {"words": own, "consent": "Yes?"}
    design = StudyDesign.model_validate(
        {"pages": pages, "practice": [{"question": "photorealism"}]}
    )
    create_from_design(design, url, run=run, password="x")
    study = Study.open(url)
    token = study.join()
    pages = [rate.shell(study, {}).partition("<script type")[0]]
    for event in ("agree", "begin"):
        asked = {"query": {"rater": token}, "event": {"kind": event}}
        pages.append(rate.respond(study, asked, "test").get("html", ""))
    pages += [stages.done(study.turn(token), own), stages.trouble(own), stages.refused(own, "many")]
    study.close()
    for page in pages:
        assert "<i>" not in page
    assert "&lt;i&gt;&amp;amp;" in "".join(pages)
