"""Studies as their files say: gold, practice and repeated pairs, overlap, several runs, quotas."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glide_eval.files import RunFolder
from study_app.errors import EntryRefused, StudyUsageError
from study_app.making import create_from_design, fork_study, read_scores, require_unedited, simulate
from study_app.making.images import degraded
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rating.adaptive import Adviser, advise, settled_questions
from study_app.rules import (
    GoldTable,
    PracticeTable,
    QuestionTable,
    RatersTable,
    Rules,
    RunTable,
    StopTable,
    StudyDesign,
    VotesTable,
    changed_keys,
    load_study_file,
    slots,
)
from study_app.rules.design import EntryTable, RepeatsTable
from study_app.rules.study_file import parse_study
from study_app.serving.web import headers
from study_app.store import database_url
from tests.fakes import make_fake_run
from tests.study_app.conftest import ROOT

EXAMPLE = ROOT / "examples" / "study.toml"


@pytest.fixture
def make(run, sqlite_url):
    """Makes a study of a design and opens it; closed at the end."""
    opened = []

    def make(**tables) -> Study:
        create_from_design(StudyDesign(**tables), sqlite_url, run=run, password="x")
        opened.append(Study.open(sqlite_url))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


def answer_all(study: Study, token: str) -> int:
    votes = 0
    while (turn := study.turn(token)).current is not None:
        assert study.vote(token, turn.current.assignment, "left", 1.0) == "accepted"
        votes += 1
    return votes


def pixels(study: Study, name: str) -> np.ndarray:
    with Image.open(study.image_path(name)) as image:
        return np.asarray(image, np.float64)


# ---------------------------------------------------------------------- gold, repeats, practice


def test_a_raters_slots_hold_so_many_gold_and_repeated_pairs_and_start_plain():
    rules = Rules(pairs_per_rater=12, gold_per_rater=4, repeats_per_rater=3)
    orders = [slots(5, rater, rules) for rater in range(40)]
    assert all(Counter(order) == {"plain": 12, "gold": 4, "repeat": 3} for order in orders)
    assert all(order[:2] == ("plain", "plain") for order in orders)
    assert all("repeat" not in order[:9] for order in orders)
    assert len(set(orders)) > 30, "each rater's own"
    assert orders == [slots(5, rater, rules) for rater in range(40)]


def test_gold_pairs_know_their_right_side_and_repeats_swap_theirs(
    make,
):
    study = make(
        raters=RatersTable(pairs=6), gold=GoldTable(per_rater=2), repeats=RepeatsTable(per_rater=1)
    )
    for _ in range(6):
        token = study.join()
        assert study.turn(token).total == 9
        assert answer_all(study, token) == 9
    votes = votes_frame(study)
    assert votes.groupby("rater")["gold"].apply(lambda gold: (gold != "").sum()).eq(2).all()
    gold = votes[votes["gold"] != ""]
    assert (gold["arm_left"] == gold["arm_right"]).all(), "an arm is never judged by gold"
    assert set(gold["gold"]) == {"left", "right"}
    again = votes[votes["repeat_of"] != ""].set_index("repeat_of")
    first = votes.set_index("assignment").loc[again.index]
    assert len(again) == 6
    assert (again["arm_left"] == first["arm_right"]).all()
    assert (again["rater"] == first["rater"]).all()


def test_gold_and_repeats_use_up_none_of_the_votes_wanted(make):
    study = make(
        votes=VotesTable(per_pair=2),
        raters=RatersTable(pairs=10),
        gold=GoldTable(per_rater=1),
        repeats=RepeatsTable(per_rater=1),
    )
    while answer_all(study, study.join()):
        pass
    votes = votes_frame(study)
    plain = votes[(votes["gold"] == "") & (votes["repeat_of"] == "")]
    assert plain["question"].value_counts().to_dict() == study.progress().wanted


def test_the_degraded_twin_is_the_same_picture_worse_and_of_equal_size(make):
    study = make(
        questions=[QuestionTable(key="photorealism")],
        raters=RatersTable(pairs=3),
        gold=GoldTable(per_rater=3, count=3, twins=["blur 20"]),
    )
    token = study.join()
    roughness: dict[str, float] = {}
    shown = {}
    while (turn := study.turn(token)).current is not None:
        pair = turn.current
        for name in (pair.left, pair.right):
            image = pixels(study, name)
            assert image.shape == (32, 32, 3)
            roughness[name] = np.abs(np.diff(image, axis=1)).mean()
        shown[pair.assignment] = pair
        study.vote(token, pair.assignment, "left", 1.0)
    gold = votes_frame(study).query("gold != ''")
    assert len(gold) == 3
    for row in gold.to_dict("records"):
        pair = shown[row["assignment"]]
        right, wrong = (pair.left, pair.right) if row["gold"] == "left" else (pair.right, pair.left)
        assert roughness[right] > 1.3 * roughness[wrong]


@pytest.mark.parametrize("twin", ["blur 4", "jpeg 3", "downsample 4"])
def test_each_way_to_degrade_changes_the_picture_and_keeps_its_size(twin):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8))
    worse = degraded(image, twin)
    assert (worse.size, worse.mode) == (image.size, "RGB")
    assert np.abs(np.asarray(worse, float) - np.asarray(image, float)).mean() > 5
    assert np.array_equal(degraded(image, ""), image)


def test_questions_with_captions_get_wrong_captions_as_gold(make):
    study = make(
        questions=[QuestionTable(key="caption_similarity")],
        raters=RatersTable(pairs=2),
        gold=GoldTable(per_rater=2, count=4),
    )
    token = study.join()
    captions = {}
    while (turn := study.turn(token)).current is not None:
        captions[turn.current.assignment] = turn.current.caption
        study.vote(token, turn.current.assignment, "left", 1.0)
    gold = votes_frame(study).query("gold != ''")
    assert len(gold) == 2
    for row in gold.to_dict("records"):
        number = int(row["prompt_id"][1:])
        assert captions[row["assignment"]].endswith(f"({number})"), "the right image's caption"


def test_practice_gives_feedback_stays_until_right_and_is_never_a_vote(make):
    study = make(
        practice=[
            PracticeTable(question="photorealism", prompt="p0000", explanation="One is blurred."),
            PracticeTable(question="photorealism", prompt="p0001", tie_is_right=True),
        ]
    )
    token = study.join()
    turn = study.turn(token)
    assert (turn.stage, turn.current.practice, turn.upcoming.practice) == ("practice", True, True)
    (expected,) = study.info.practice[0].expected
    wrong = "left" if expected == "right" else "right"
    told = study.practise(token, turn.current.assignment, wrong)
    assert (told.right, told.expected, told.explanation) == (False, (expected,), "One is blurred.")
    assert study.turn(token) == turn
    assert study.practise(token, turn.current.assignment, expected).right
    study.practise(token, turn.current.assignment, expected)  # a second click
    second = study.turn(token).current
    assert second == turn.upcoming
    assert study.practise(token, second.assignment, "tie").right
    assert study.turn(token).stage == "pairs"
    assert votes_frame(study).empty


# ---------------------------------------------------------------------- quotas


def test_the_overlap_gets_more_votes_and_is_balanced_over_arm_pairs(make):
    study = make(
        questions=[QuestionTable(key="photorealism")],
        votes=VotesTable(per_pair=1, overlap={"share": 0.5, "votes": 3}),
    )
    while answer_all(study, study.join()):
        pass
    votes = votes_frame(study)
    arms = [tuple(sorted(two)) for two in zip(votes["arm_left"], votes["arm_right"], strict=True)]
    each = Counter(zip(votes["prompt_id"], arms, strict=True))
    assert Counter(each.values()) == {1: 30, 3: 30}
    per_arm_pair = Counter(arms)
    assert set(per_arm_pair.values()) == {12}, "three single and three triple pairs each"


def test_each_question_has_its_own_number_of_pairs(make):
    study = make(
        questions=[
            QuestionTable(key="photorealism", pairs=20),
            QuestionTable(key="beauty", text="Which is prettier?", pairs=10),
        ]
    )
    assert study.progress().wanted == {"photorealism": 40, "beauty": 20}


def test_a_study_admits_no_more_people_than_its_owner_wants(make):
    study = make(entry=EntryTable(by="prolific"), raters=RatersTable(pairs=2, max=2))
    people = [f"{number:024x}" for number in range(3)]
    first = study.admit({"PROLIFIC_PID": people[0]})
    study.admit({"PROLIFIC_PID": people[1]})
    with pytest.raises(EntryRefused) as refused:
        study.admit({"PROLIFIC_PID": people[2]})
    assert refused.value.reason == "full"
    assert study.admit({"PROLIFIC_PID": people[0]}) == first, "who is in stays in"


def test_a_study_with_no_pairs_left_admits_nobody(make):
    study = make(questions=[QuestionTable(key="photorealism", pairs=2)])
    while answer_all(study, study.admit({})):
        with_pairs_left = study.progress().raters["person"]
        if with_pairs_left == 2:
            break
    with pytest.raises(EntryRefused) as refused:
        study.admit({})
    assert refused.value.reason == "full"


def test_an_invite_is_one_persons_on_every_device(make):
    study = make(entry=EntryTable(by="invite"))
    one, other = study.invite(2)
    token = study.admit({"invite": one})
    assert study.admit({"invite": one}) == token
    assert study.admit({"invite": other}) != token
    assert study.progress().raters == {"person": 2}


def test_no_invitation_is_made_that_would_open_nothing(make):
    study = make(entry=EntryTable(by="prolific"))
    with pytest.raises(StudyUsageError, match="by prolific alone"):
        study.invite(1)


def test_sites_that_may_frame_a_study_are_mechanical_turks_and_those_named(make):
    with pytest.raises(ValueError, match="framed_by"):
        EntryTable(framed_by=["http://panel.example.org"])
    with pytest.raises(ValueError, match="framed_by"):
        EntryTable(framed_by=["https://panel.example.org; script-src *"])
    study = make(entry=EntryTable(by="mturk", framed_by=["https://panel.example.org"]))
    said = headers(study.info)
    assert said["Content-Security-Policy"].endswith(
        "form-action 'self' https://www.mturk.com https://workersandbox.mturk.com; "
        "frame-ancestors 'self' https://worker.mturk.com https://workersandbox.mturk.com "
        "https://panel.example.org"
    )
    assert "X-Frame-Options" not in said


def test_a_rater_who_is_done_gets_their_code_and_where_to_take_it(make):
    study = make(
        raters=RatersTable(pairs=1),
        completion={"redirect": "https://example.org/done?code={code}"},
    )
    codes = set()
    assert study.completion_codes() == {}
    for _ in range(2):
        token = study.join()
        assert study.turn(token).completion is None
        answer_all(study, token)
        completion = study.turn(token).completion
        assert completion.redirect.endswith(completion.code)
        codes.add(completion.code)
    assert len(codes) == 2, "each rater's own"
    assert set(study.completion_codes().values()) == codes


# ---------------------------------------------------------------------- several runs


def test_arms_of_two_runs_are_compared_prompt_by_prompt(finished_run, tmp_path):
    other = RunFolder(Path(shutil.copytree(finished_run.root, tmp_path / "other")))
    url = database_url(str(tmp_path / "both.db"))
    design = StudyDesign(
        runs=[
            RunTable(path=str(finished_run.root), arms=["cfg-3"]),
            RunTable(path=str(other.root), arms=["cfg-3", "clip-1"], prefix="new-"),
        ]
    )
    create_from_design(design, url, password="x")
    study = Study.open(url)
    try:
        assert list(study.info.arms) == ["cfg-3", "new-cfg-3", "new-clip-1"]
        labels = list(study.info.arms.values())
        assert labels[0].endswith("[cfg-3]"), "two arms of one label are told apart"
        assert labels[1].endswith("[new-cfg-3]")
        assert "[" not in labels[2]
        assert study.progress().wanted == {"photorealism": 36, "caption_similarity": 36}
        assert study.image_path(study.turn(study.join()).current.left).is_file()
    finally:
        study.close()


def test_images_on_a_list_or_with_a_score_are_shown_to_nobody(run, tmp_path):
    base = run.root.parent
    samples = {(s.arm, s.prompt_id): run.root / s.path for s in run.samples()}
    arms = sorted({arm for arm, _ in samples})
    (base / "bad.csv").write_text("arm,prompt_id,replica\ncfg-3,p0001,0\nother,p0001,0\n")
    lines = [f"{arm},{prompt},0,nsfw,{int(prompt == 'p0002')}" for arm, prompt in samples]
    (base / "nsfw.csv").write_text("arm,prompt_id,replica,metric,value\n" + "\n".join(lines))
    rules = {"list": "bad.csv", "scores": "nsfw.csv", "above": {"nsfw": 0.5}}
    design = StudyDesign.model_validate({"runs": [{"path": "tiny", "leave_out": rules}]})
    made = create_from_design(design, database_url(str(tmp_path / "s.db")), base=base)
    assert made.left_out == len(arms) + 1, "all of p0002, and one of p0001"
    study = Study.open(database_url(str(tmp_path / "s.db")))
    try:
        while answer_all(study, study.join()):
            pass
        votes = votes_frame(study)
        assert set(votes["prompt_id"]) == {"p0000", "p0001", "p0003", "p0004", "p0005"}
        of_one = votes[votes["prompt_id"] == "p0001"]
        assert set(of_one["arm_left"]) | set(of_one["arm_right"]) == {*arms} - {"cfg-3"}
        assert study.info.design.runs[0].leave_out.list == str(base / "bad.csv"), "from anywhere"
    finally:
        study.close()


UNSCORED = {"path": "tiny", "leave_out": {"above": {"nsfw": 0.5}}}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"runs": [UNSCORED]}, "no nsfw for 30 of the images, such as cfg-1.5, prompt p0000"),
        ({"runs": [{"path": "tiny", "leave_out": {"list": "no.csv"}}]}, "no such file"),
        ({"runs": [{"path": "tiny"}, {"path": "tiny"}]}, "`prefix`"),
        ({"runs": [{"path": "tiny", "arms": ["cfg-9"]}]}, "no arm 'cfg-9'"),
        ({"runs": [{"path": "tiny"}], "prompts": {"ids": ["p9999"]}}, "p9999"),
        ({"runs": [{"path": "tiny"}], "prompts": {"count": 99}}, "share only 6"),
        ({"runs": []}, "No run is named"),
        ({"runs": [{"path": "tiny"}], "gold": {"per_rater": 1, "arms": ["x"]}}, "gold.arms"),
        ({"runs": [{"path": "tiny"}], "gold": {"per_rater": 50, "count": 2}}, "gold.count"),
    ],
)
def test_a_design_that_does_not_fit_its_runs_is_refused_and_makes_nothing(
    run, tmp_path, tables, message
):
    place = tmp_path / "new.db"
    with pytest.raises(StudyUsageError, match=message):
        create_from_design(
            StudyDesign.model_validate(tables), database_url(str(place)), base=run.root.parent
        )
    assert not place.exists()


def test_runs_whose_prompts_differ_are_not_compared(finished_run, tmp_path):
    other = make_fake_run(tmp_path / "other", prompts=2, size=32)
    samples = [dataclasses.replace(sample, caption="another caption") for sample in other.samples()]
    other.manifest_path.write_text("".join(s.to_json() + "\n" for s in samples))
    design = StudyDesign(
        runs=[
            RunTable(path=str(finished_run.root)), RunTable(path=str(other.root), prefix="b-")
        ]
    )  # fmt: skip
    with pytest.raises(StudyUsageError, match="two captions"):
        create_from_design(design, database_url(str(tmp_path / "new.db")))


# ---------------------------------------------------------------------- study files


def test_the_example_study_runs_from_the_first_link_to_the_completion_code(run, tmp_path):
    text = EXAMPLE.read_text().replace("../runs/guidance", str(run.root))
    text = text.replace("count = 20 ", "count = 6 ").replace("pairs = 100", "pairs = 40")
    path = tmp_path / "study.toml"
    path.write_text(text)
    url = database_url(str(tmp_path / "study.db"))
    create_from_design(load_study_file(path).design, url, source=path, password="x")
    study = Study.open(url)
    try:
        token = study.admit({"PROLIFIC_PID": "5f0c7d2a9b3e4f1a2b3c4d5e"})
        study.agree(token)
        study.instructed(token)
        for item in study.info.practice:
            study.practise(token, item.shown.assignment, item.expected[0])
        for _ in range(40):
            if study.turn(token).stage == "break":
                study.rested(token)
            answer_all(study, token)
        turn = study.turn(token)
        assert (turn.stage, turn.done) == ("done", 35)
        assert turn.completion.redirect.endswith("cc=C0MPLETE")
        require_unedited(study)
    finally:
        study.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("votes = 3", "`votes` is 3"),
        ("[votes]\nper_pairs = 3", "did you mean `per_pair`"),
        ('[votes]\nscheduling = "clever"', "votes.scheduling"),
        ("[votes.stop]\nprecision = 20", "adaptive"),
        ("[votes]\nper_pair = 3\noverlap = {share = 0.5, votes = 2}", "more than `per_pair`"),
        ('[[questions]]\nkey = "beauty"', "needs a `text`"),
        ('[gold]\ntwins = ["smudge 3"]', "gold.twins"),
        ('[[practice]]\nquestion = "beauty"\nprompt = "p0"', "not asked"),
        ("name = ", "mistake"),
    ],
)
def test_a_study_file_with_a_mistake_says_where_and_what_was_expected(text, message):
    with pytest.raises(StudyUsageError) as error:
        parse_study(text, "study.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_study_edited_after_it_began_is_refused_by_what_changed_and_can_be_forked(run, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(f'[[runs]]\npath = "{run.root}"\n[votes]\nper_pair = 2\n')
    url = database_url(str(tmp_path / "study.db"))
    create_from_design(load_study_file(path).design, url, source=path, password="x")
    study = Study.open(url)
    try:
        require_unedited(study)
        answer_all(study, study.join())
        path.write_text(path.read_text().replace("per_pair = 2", "per_pair = 3"))
        with pytest.raises(StudyUsageError) as error:
            require_unedited(study)
        assert "votes.per_pair: 2 → 3" in str(error.value)
        assert "glide-eval study fork" in str(error.value)
        new = database_url(str(tmp_path / "new.db"))
        _, changes = fork_study(study, new, path)
        assert changes == ["votes.per_pair: 2 → 3"]
        forked = Study.open(new)
        assert forked.info.rules.votes_per_pair == 3
        assert votes_frame(forked).empty
        assert len(votes_frame(study)) == 40
        require_unedited(forked)
        forked.close()
    finally:
        study.close()


def test_equal_designs_have_no_changed_keys():
    assert changed_keys(StudyDesign(), StudyDesign()) == []
    assert changed_keys(StudyDesign(), StudyDesign(seed=1)) == ["seed: 0 → 1"]


# ---------------------------------------------------------------------- adaptive


def test_adaptive_pairs_go_where_the_votes_are_fewest_or_closest(make, run):
    """Two arms far apart after many votes teach little; those never compared teach most."""
    study = make(
        questions=[QuestionTable(key="photorealism")],
        votes=VotesTable(per_pair=3, scheduling="adaptive"),
    )
    arms = list(study.info.arms)
    token = study.join()
    for _ in range(12):
        turn = study.turn(token)
        study.vote(token, turn.current.assignment, "left", 1.0)
    with study.database.reading() as session:
        (advice,) = advise(session, "person", arms).values()
    assert len(advice.arm_pairs) == 10
    assert advice.probability.sum() == pytest.approx(1)
    assert (np.diff(advice.probability) <= 1e-12).all(), "best first"
    assert sorted(advice.order(0, 1, 1)) == list(range(1, 11)), "every arm pair has its chance"


def test_an_adaptive_study_still_gives_each_pair_no_more_than_its_votes(make, run):
    study = make(
        questions=[QuestionTable(key="photorealism")],
        votes=VotesTable(per_pair=2, scheduling="adaptive"),
    )
    added = simulate(study, read_scores(run.scores_path), raters=6, votes=100, seed=0)
    votes = votes_frame(study)
    assert added == len(votes) == 100
    arms = [tuple(sorted(p)) for p in zip(votes["arm_left"], votes["arm_right"], strict=True)]
    assert max(Counter(zip(votes["prompt_id"], arms, strict=True)).values()) <= 2


def test_a_settled_question_is_asked_no_more(make):
    study = make(
        votes=VotesTable(per_pair=3, scheduling="adaptive", stop=StopTable(min_raters=2)),
    )
    study.settle({"photorealism": "All 10 differences are settled."})
    token = study.join()
    answer_all(study, token)
    assert set(votes_frame(study)["question"]) == {"caption_similarity"}


def test_the_stopping_rule_waits_for_votes_that_settle_it(make):
    study = make(votes=VotesTable(scheduling="adaptive", stop=StopTable(min_raters=2)))
    assert settled_questions(votes_frame(study), StopTable()) == {}
    answer_all(study, study.join())
    assert settled_questions(votes_frame(study), StopTable()) == {}
    settled: dict[str, str] = {}

    def read(work):
        with study.database.reading() as session:
            return work(session)

    rule = StopTable(min_raters=2)
    Adviser(list(study.info.arms), read, settled.update, rule, lambda: votes_frame(study)).renew()
    assert settled == {}
