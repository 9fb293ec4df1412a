"""The rater's pages that are text: what is between a link and a pair, and after the last one.

Each function gives the HTML of a `main` element; whatever an owner or an address supplied is
escaped. A button with `data-event` sends that event.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from urllib.parse import urlsplit

from analysis.ballots import ANSWERS, QUESTIONS, Answer, AnswerName, Question
from study_app.rating import Study
from study_app.rules import Completion, Feedback, MTurkTask, Turn
from study_app.words import Words


def offered(answers: Iterable[AnswerName], text: Words) -> list[dict[str, str]]:
    """Return each answer's `name`, the `key` that gives it and its `sign`, left to right.

    Left to right as the images stand: answers for the left image, those that name no winner,
    answers for the right image. The five grades have the keys 1 to 5. A key that types a space has
    a word for its sign.
    """
    records = sorted((ANSWERS[name] for name in answers), key=lambda answer: -answer.left_wins)
    grades = [one.name for one in records if one.grade is not None]
    digits = {name: str(n) for n, name in enumerate(grades, 1)} if len(grades) > 1 else {}
    return [
        {
            "name": one.name,
            "key": digits.get(one.name, one.key),
            "sign": digits.get(one.name) or _sign(one, text),
        }
        for one in records
    ]


def _sign(answer: Answer, text: Words) -> str:
    return text["pair"]["space"] if answer.key == " " else answer.sign


def asked(question: Question, text: Words) -> str:
    """Return what raters read: the owner's words, or the usual ones in the study's language."""
    usual = QUESTIONS.get(question.key)
    if usual is not None and question.text == usual.text:
        return text["questions"].get(question.key, question.text)
    return question.text


def first(study: Study, text: Words) -> str:
    """What someone who just came reads."""
    return consent(study, text) if study.info.consent else instructions(study, text)


def of(turn: Turn, study: Study, text: Words, task: MTurkTask | None = None) -> str:
    """The page of a rater's stage; `task` is handed in at the end."""
    if turn.stage == "consent":
        return consent(study, text)
    if turn.stage == "instructions":
        return instructions(study, text)
    if turn.stage == "break":
        body = text["break"]["text"].format(done=turn.done, total=turn.total)
        return _page(
            "break", text["break"]["title"], _paragraphs(body), _button(text, "break", "rest")
        )
    if turn.stage == "paused":
        words = text["paused"]
        return _page(
            "paused", words["title"], _paragraphs(words["text"]), _button(text, "paused", "retry")
        )
    if turn.stage == "closed":
        words = text["closed"]
        ending = _ending(turn, text, task)
        return _page("closed", words["title"], _paragraphs(words["text"]), ending)
    return done(turn, text, task)


def consent(study: Study, text: Words) -> str:
    """The owner's text and what is stored; agreeing goes on."""
    words, pages = text["consent"], study.info.design.pages
    age = words["min_age"].format(years=pages.min_age) if pages.min_age else ""
    parts = (
        (words["content_warning"], pages.content_warning),
        ("", study.info.consent or words["about"]),
        ("", age),
        (words["privacy_title"], words["privacy"]),
        (words["retention"], pages.retention),
        (words["legal_basis"], pages.legal_basis),
        (words["rights"], pages.rights),
        (words["contact"], pages.contact),
    )
    body = "".join(_heading(title) + _paragraphs(told) for title, told in parts if told)
    return _page("consent", words["title"], body, _button(text, "consent", "agree"))


def instructions(study: Study, text: Words) -> str:
    """What is asked and how to answer, with the keys."""
    words, info = text["instructions"], study.info
    questions = "".join(f"<li>{_text(asked(q, text))}</li>" for q in info.questions.values())
    ways: dict[tuple[AnswerName, ...], list[Question]] = {}
    for question in info.questions.values():
        ways.setdefault(info.rules.answers_to(question), []).append(question)
    body = (
        _paragraphs(info.instructions or words["about"])
        + _heading(words["asked"])
        + f"<ul>{questions}</ul>"
        + _heading(words["how"])
        + _paragraphs(words["pace"].format(total=info.rules.looks))
        + "".join(
            "".join(f"<p>{_text(asked(q, text))}</p>" for q in of_way if len(ways) > 1)
            + _keys(answers, text)
            for answers, of_way in ways.items()
        )
        + _paragraphs(words["tools"])
        + (_paragraphs(words["practice"].format(count=len(info.practice))) if info.practice else "")
        + f"<p class='small'>{_text(words['keep'])}</p>"
    )
    if not info.consent:
        body += f"<details><summary>{_text(text['consent']['privacy_title'])}</summary>"
        body += f"{_paragraphs(text['consent']['privacy'])}</details>"
    return _page("instructions", words["title"], body, _button(text, "instructions", "begin"))


def _keys(answers: Iterable[AnswerName], text: Words) -> str:
    """The keys that give these answers."""
    words = text["instructions"]
    rows = "".join(
        f"<div><dt><kbd>{_text(one['sign'])}</kbd></dt>"
        f"<dd>{_text(words['how_' + one['name']])}</dd></div>"
        for one in offered(answers, text)
    )
    return f"<dl class='keys'>{rows}</dl>"


def done(turn: Turn, text: Words, task: MTurkTask | None = None) -> str:
    """Thanks, with the completion code and the way back."""
    words = text["done"]
    body = words["text"].format(done=turn.done) if turn.done else words["nothing"]
    thanks = "<div class='tick' aria-hidden='true'>✓</div>"
    return _page("done", words["title"], _paragraphs(body), _ending(turn, text, task), thanks)


def refused(text: Words, reason: str) -> str:
    """Why somebody can't come in, and what to do."""
    words = text["refused"]
    again = _button(text, "refused", "retry") if reason == "many" else ""
    return _page("refused", text["refused_title"][reason], _paragraphs(words[reason]), again)


def trouble(text: Words) -> str:
    """The database is out of reach."""
    words = text["trouble"]
    return _page(
        "trouble", words["title"], _paragraphs(words["storage"]), _button(text, "trouble", "retry")
    )


def feedback(given: Feedback, text: Words) -> str:
    """What a rater reads after a practice answer; plain text."""
    words = text["pair"]
    expected = f" {words['or']} ".join(f"“{words[answer]}”" for answer in given.expected)
    verdict = (
        words["practice_right"]
        if given.right
        else words["practice_wrong"].format(expected=expected)
    )
    return f"{verdict} {given.explanation}".strip()


def _ending(turn: Turn, text: Words, task: MTurkTask | None) -> str:
    """The completion code, and where a rater goes from here."""
    code = "" if turn.completion is None else _code(turn.completion, text)
    way_back = _hand_in(turn, text, task) or _redirect(turn.completion, text)
    return code + (way_back or _paragraphs(text["done"]["leave"]))


def _code(completion: Completion, text: Words) -> str:
    label, shown = _text(text["done"]["code"]), _text(completion.code)
    return f"<p class='code'>{label}: <strong>{shown}</strong></p>"


def _redirect(completion: Completion | None, text: Words) -> str:
    if completion is None or not completion.redirect:
        return ""
    if urlsplit(completion.redirect).scheme not in ("http", "https"):
        return ""
    words, target = text["done"], html.escape(completion.redirect, quote=True)
    return (
        f"<p>{_text(words['redirect'])}</p>"
        f"<p><a class='button' data-redirect href='{target}'>{_text(words['redirect_now'])}</a>"
        f"<button type='button' data-stay>{_text(words['redirect_not'])}</button></p>"
    )


def _hand_in(turn: Turn, text: Words, task: MTurkTask | None) -> str:
    """The button by which a worker's task, shown inside Mechanical Turk's page, is handed in."""
    if task is None:
        return ""
    told = {"assignmentId": task.assignment, "answers": str(turn.done)}
    if turn.completion is not None:
        told["code"] = turn.completion.code
    fields = "".join(
        f"<input type='hidden' name='{name}' value='{html.escape(value, quote=True)}'>"
        for name, value in told.items()
    )
    words = text["done"]
    return (
        f"<form method='post' action='{task.submit_to}'>{fields}{_paragraphs(words['hand_in'])}"
        f"<button class='primary'>{_text(words['hand_in_now'])}</button></form>"
    )


def _page(kind: str, title: str, body: str, action: str, above: str = "") -> str:
    return (
        f"<main class='text {kind}'>{above}<h1 tabindex='-1'>{_text(title)}</h1>{body}{action}"
        "<p role='status' class='hint'></p></main>"
    )


def _paragraphs(text: str) -> str:
    """Blank lines part paragraphs; everything else is taken literally."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return "".join(f"<p>{_text(part)}</p>" for part in parts if part)


def _heading(title: str) -> str:
    return f"<h2>{_text(title)}</h2>" if title else ""


def _text(words: str) -> str:
    return html.escape(words, quote=False)


def _button(text: Words, section: str, event: str) -> str:
    label = _text(text[section]["button"])
    return f"<button type='button' class='primary' data-event='{event}'>{label}</button>"
