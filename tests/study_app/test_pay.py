"""What people cost is told before they come; lists for paying them are as the sites take them."""

from __future__ import annotations

import csv
import stat
from decimal import Decimal

import pandas as pd
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from study_app.commands.study import command
from study_app.errors import StudyUsageError
from study_app.making import create_from_design
from study_app.rating import Study
from study_app.rules import StudyDesign, estimate_text, estimated
from study_app.rules.study_file import parse_study

PAY = {"reward": 1.5, "currency": "GBP", "fee": 0.3333, "bonus": 0.25, "bonus_gold_accuracy": 0.9}
DESIGN = {
    "raters": {"pairs": 3},
    "gold": {"per_rater": 1, "count": 4},
    "votes": {"min_seconds": 0.3},
    "completion": {"code": "ONE4ALL"},
    "exclude": {"median_seconds_below": 1.5, "min_answers": 3},
    "pay": PAY,
}

GOLD = text(
    "select a.uid, case when p.image_a_id = a.left_image_id then 'left' else 'right' end "
    "from assignment a join pair p on p.id = a.pair_id where p.gold"
)


def person(number: int) -> str:
    return f"5f0c7d2a9b3e4f1a2b3c4d{number:02d}"


def answer(study: Study, token: str, pairs: int, seconds: float, gold_right: bool) -> None:
    """Answer so many pairs; gold ones rightly or not."""
    for _ in range(pairs):
        pair = study.turn(token).current.assignment
        with study.database.reading() as session:
            good = dict(session.execute(GOLD).all()).get(pair, "left")
        given = good if gold_right else {"left": "right", "right": "left"}[good]
        study.vote(token, pair, given, seconds)


@pytest.fixture
def make(run, sqlite_url):
    studies = []

    def made(**changes) -> Study:
        design = StudyDesign.model_validate(DESIGN | changes)
        create_from_design(design, sqlite_url, run=run, password="x")
        studies.append(Study.open(sqlite_url, writable=True))
        return studies[-1]

    yield made
    for study in studies:
        study.close()


def pay(study: Study, ids, out) -> str:
    done = CliRunner().invoke(
        command,
        ["pay", "--db", study.database.url.database, "--ids", str(ids), "--out", str(out)],
    )
    assert done.exit_code == 0, done.output
    return done.output


def rows(path) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in csv.DictReader(path.read_text().splitlines())}


def test_prolific_s_people_are_approved_listed_for_review_and_given_a_bonus(make, tmp_path):
    study = make(entry={"by": "prolific"})
    good, careless, fast, gone, other, paid = map(person, range(6))
    for who, pairs, seconds, right in (
        (good, 4, 3.0, True),
        (careless, 4, 3.0, False),
        (fast, 4, 1.0, True),
        (gone, 2, 3.0, True),
        (other, 4, 3.0, True),
        (paid, 4, 3.0, True),
    ):
        answer(study, study.admit({"PROLIFIC_PID": who}), pairs, seconds, right)
    export = tmp_path / "export.csv"
    stranger = person(99)
    export.write_text(
        "Submission id,Participant id,Status,Completion code\n"
        f"1,{good},AWAITING REVIEW,ONE4ALL\n2,{careless},AWAITING REVIEW,ONE4ALL\n"
        f"3,{fast},AWAITING REVIEW,\n4,{gone},AWAITING REVIEW,NOCODE\n"
        f"5,{other},AWAITING REVIEW,GUESSED\n6,{paid},APPROVED,ONE4ALL\n"
        f"7,{stranger},AWAITING REVIEW,\n8,{person(50)},RETURNED,\n"
    )
    told = pay(study, export, tmp_path / "pay")
    assert (tmp_path / "pay" / "approve.csv").read_text().split() == [good, careless, fast]
    assert (tmp_path / "pay" / "bonus.csv").read_text().splitlines() == [
        f"{good},0.25",
        f"{fast},0.25",
        f"{paid},0.25",
    ]
    people = rows(tmp_path / "pay" / "people.csv")
    why = {who: (row["decision"], row["why"]) for who, row in people.items()}
    assert why[gone] == ("review", "answered 2 of 4 pairs")
    assert why[other] == ("review", "handed in the code GUESSED, expected ONE4ALL")
    assert why[stranger] == ("review", "never came to the study")
    assert why[person(50)] == ("none", "the site says returned")
    owed = 3 * Decimal("1.5") + 3 * Decimal("0.25")
    assert f"To pay: {owed:.2f} GBP, with the site's fee {owed * Decimal('1.3333'):.2f} GBP" in told
    assert "Approve 3, review 3" in told
    for file in (tmp_path / "pay").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, "the files hold ids of people"


def test_an_owner_may_look_first_at_those_whom_a_rule_leaves_out(make, tmp_path):
    study = make(entry={"by": "prolific"}, pay=PAY | {"approve_excluded": False})
    answer(study, study.admit({"PROLIFIC_PID": person(1)}), 4, 1.0, True)
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{person(1)}\n")
    pay(study, ids, tmp_path / "pay")
    row = rows(tmp_path / "pay" / "people.csv")[person(1)]
    assert (row["decision"], row["bonus"]) == ("review", "")
    assert row["why"].startswith("median time 1.00 s < 1.5 s")


def test_mechanical_turk_takes_its_own_table_back_with_what_was_decided(make, tmp_path):
    study = make(entry={"by": "mturk"}, completion={})
    links = {"workerId": "AWORKER1", "assignmentId": "3ASSIGN", "hitId": "3HIT"}
    token = study.admit(links)
    answer(study, token, 4, 3.0, True)
    code = study.turn(token).completion.code
    results = tmp_path / "Batch_1_results.csv"
    results.write_text(
        '"HITId","AssignmentId","WorkerId","AssignmentStatus","Input.text","Answer.code","Approve","Reject"\n'
        f'"3HIT","3ASSIGN","AWORKER1","Submitted","a, ""b""","{code}","",""\n'
        '"3HIT","3OTHER","AWORKER2","Submitted","c","XYZ","",""\n'
    )
    pay(study, results, tmp_path / "pay")
    back = pd.read_csv(tmp_path / "pay" / "reviewed.csv", keep_default_na=False)
    assert back.columns.tolist() == list(pd.read_csv(results).columns)
    assert back["Approve"].tolist() == ["X", ""]
    assert back["Reject"].tolist() == ["", ""], "nobody is refused by a program"
    assert back["Input.text"].tolist() == ['a, "b"', "c"]
    bonus = pd.read_csv(tmp_path / "pay" / "bonus.csv")
    assert bonus[["WorkerId", "AssignmentId", "BonusAmount"]].values.tolist() == [
        ["AWORKER1", "3ASSIGN", 0.25]
    ]


def test_a_study_without_pay_says_so(make, tmp_path):
    study = make(pay=None, entry={"by": "prolific"})
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{person(1)}\n")
    done = CliRunner().invoke(
        command, ["pay", "--db", study.database.url.database, "--ids", str(ids)]
    )
    assert isinstance(done.exception, StudyUsageError)
    assert "has no `[pay]`" in str(done.exception)


def test_create_says_beforehand_how_many_people_hours_and_how_much_money():
    design = StudyDesign.model_validate(
        {"raters": {"pairs": 30}, "gold": {"per_rater": 3}, "repeats": {"per_rater": 2}, "pay": PAY}
    )
    told = estimate_text(estimated(design, 4800, 2400))
    # 4,800 / 30 people; 35 pairs of 5 s and a minute; 160 x 1.50 and 160 x 0.25 at most, x 1.3333
    assert told == (
        "About 160 people, 35 pairs and 3.9 minutes each: 10.4 hours of work. Pay: 240.00 GBP and "
        "at most 40.00 of bonuses; with the site's fee of 33%, 373.32 GBP. That is 22.98 GBP per "
        "hour."
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('currency = "GBP"', "`pay.reward`"),
        ('reward = -1\ncurrency = "GBP"', "pay.reward"),
        ('reward = 1.005\ncurrency = "GBP"', "pay.reward"),
        ('reward = nan\ncurrency = "GBP"', "pay.reward"),
        ('reward = 1\ncurrency = "pounds"', "pay.currency"),
        ('reward = 1\ncurrency = "GBP"\nfee = 33', "pay.fee"),
        ('reward = 1\ncurrency = "GBP"\nbonus_gold_accuracy = 0.9', "needs gold pairs"),
    ],
)
def test_pay_that_makes_no_sense_is_refused(table, message):
    with pytest.raises(StudyUsageError) as error:
        parse_study(f"[pay]\n{table}", "study.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
