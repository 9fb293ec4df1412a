"""The design of a study: what an owner decides before it begins, as written in TOML.

It is stored with the study as JSON and never changed afterwards. `docs/reference/study-files.md`
lists every key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from analysis.ballots import ANSWERS, QUESTIONS, AnswerName, Question
from glide_eval.files import some

from .domain import Entry, Rules
from .limits import LONGEST_TEXT, MOST_MIN_SECONDS, PAIR_SECONDS
from .owner_questions import KEY, completed

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Key = Annotated[str, Field(pattern=KEY)]
TWIN = r"^(blur|jpeg|downsample) \d+(\.\d+)?$"
PRACTICE_TWIN = r"^((blur|jpeg|downsample) \d+(\.\d+)?|wrong caption)$"
Twin = Annotated[str, Field(pattern=TWIN)]
Origin = Annotated[str, Field(pattern=r"^https://[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?$")]
Amount = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=2)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a study file; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LeaveOutTable(Table):
    """`[runs.leave_out]`: images that no rater shall see, and so no pair has.

    Attributes:
        list: a CSV with a row for each: arm, prompt_id, replica.
        scores: a CSV of arm, prompt_id, replica, metric, value, such as a classifier of unsafe
            images writes; the run's scores.csv when None.
        above: by metric, the value above which an image is left out.
        below: likewise, below which.
    """

    list: Text | None = None
    scores: Text | None = None
    above: dict[Text, FiniteFloat] = Field(default_factory=dict[str, float])
    below: dict[Text, FiniteFloat] = Field(default_factory=dict[str, float])


class RunTable(Table):
    """`[[runs]]`: a run whose arms take part.

    Attributes:
        path: the run folder, relative to the study file.
        arms: names of arms that take part; all when None.
        prefix: put before the arms' names, for runs that share names.
        leave_out: which images take no part.
    """

    path: Text
    arms: Annotated[list[Text], Field(min_length=1)] | None = None
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,40}$")] = ""
    leave_out: LeaveOutTable = LeaveOutTable()


class PromptsTable(Table):
    """`[prompts]`: which prompts take part.

    Attributes:
        ids: these; all that two arms share when None.
        count: so many of them, drawn by the study's seed; all when None.
    """

    ids: Annotated[list[Text], Field(min_length=1)] | None = None
    count: Annotated[int, Field(ge=1)] | None = None


class QuestionTable(Table):
    """`[[questions]]`: what raters are asked.

    Attributes:
        key: what votes.csv says.
        text: what raters read; may be left out for the paper's two questions.
        shows_caption: the caption stands above the images.
        pairs: how many pairs; all there are when None.
        graded: raters say by how much one image is better, in five grades.
    """

    key: Key
    text: str = ""
    shows_caption: bool | None = None
    graded: bool = False
    pairs: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_words(self) -> QuestionTable:
        if not self.text.strip() and self.key not in QUESTIONS:
            raise ValueError(f"`{self.key}` is a question of your own and needs a `text`")
        return self

    def question(self) -> Question:
        """Return the question, completed by the usual one of its key."""
        return completed(self.key, self.text, self.shows_caption, graded=self.graded)


class OverlapTable(Table):
    """`overlap`: a share of the pairs that gets more votes, to measure agreement.

    Attributes:
        share: of the pairs of each question, 0 to 1.
        votes: wanted on each of them.
    """

    share: Share
    votes: Annotated[int, Field(ge=2)]


class StopTable(Table):
    """`[votes.stop]`: when an adaptive question is settled (see `analysis.planning.adaptive.stop`).

    Every two arms are told apart, or known to lie within `precision` of each other.

    Attributes:
        precision: Elo points.
        level: of all intervals at all looks together.
        typical: Elo points; the size of differences the intervals are made tightest for.
        min_raters: no decision before so many people.
    """

    precision: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    typical: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    min_raters: Annotated[int, Field(ge=2)] = 10


class VotesTable(Table):
    """`[votes]`: how many, of which kind, and how pairs are chosen.

    Attributes:
        per_pair: wanted on each pair.
        overlap: pairs that get more than that.
        extra_answers: offered beside the usual ones, such as `both_bad`. `both_bad = true` says the
            same in study files and studies made before there were others.
        min_seconds: sooner clicks were meant for the pair before.
        comments: raters may write something about a pair beside their answer.
        scheduling: `balanced`, or `adaptive`: next pairs go where they narrow the Elo intervals
            most.
        stop: an adaptive study's rule to end.
    """

    per_pair: Annotated[int, Field(ge=1)] = 2
    overlap: OverlapTable | None = None
    extra_answers: list[AnswerName] = Field(default_factory=list[AnswerName])
    min_seconds: Annotated[float, Field(ge=0, le=MOST_MIN_SECONDS, allow_inf_nan=False)] = 0.6
    comments: bool = False
    scheduling: Literal["balanced", "adaptive"] = "balanced"
    stop: StopTable | None = None

    @model_validator(mode="before")
    @classmethod
    def _both_bad_is_an_extra_answer(cls, table: object) -> object:
        if not isinstance(table, dict):
            return table
        values = dict(cast("dict[str, object]", table))
        if "both_bad" not in values:
            return values
        offered = values.pop("both_bad")
        if not isinstance(offered, bool):
            raise ValueError(f"`both_bad` is {offered!r}, expected true or false")
        if offered and "extra_answers" in values:
            raise ValueError("`both_bad` stands beside `extra_answers`; name it there alone")
        return values | {"extra_answers": ["both_bad"]} if offered else values

    @model_validator(mode="after")
    def _extras_are_no_grades(self) -> VotesTable:
        grades = [f"'{name}'" for name in self.extra_answers if ANSWERS[name].grade]
        if grades:
            raise ValueError(
                f"`extra_answers` has {some(grades)}, expected answers beside the usual ones, such "
                "as 'both_bad'. For answers in five grades, write `graded = true` under a question"
            )
        return self

    @model_validator(mode="after")
    def _rules_fit(self) -> VotesTable:
        if self.overlap is not None and self.overlap.votes <= self.per_pair:
            raise ValueError(
                f"`overlap.votes` is {self.overlap.votes}, expected more than `per_pair`, "
                f"{self.per_pair}"
            )
        if self.stop is not None and self.scheduling != "adaptive":
            raise ValueError('`stop` needs `scheduling = "adaptive"`')
        return self


class RatersTable(Table):
    """`[raters]`: what is asked of one person, and of how many.

    Attributes:
        pairs: asked of each, gold and repeated ones not counted. Where several questions are asked
            about one pair, each of them counts.
        max: people admitted; those who left within the lease without finishing make room.
        break_every: a break after so many answers; 0 for none.
        lease_minutes: an unanswered pair goes back to the others after this.
        questions: `blocks`: one question for many pairs, then the next; `together`: every question
            about the same two images, then the next images.
    """

    pairs: Annotated[int, Field(ge=1)] = 40
    max: Annotated[int, Field(ge=1)] | None = None
    break_every: Annotated[int, Field(ge=0)] = 0
    lease_minutes: Annotated[float, Field(ge=1, le=7 * 24 * 60)] = 60.0
    questions: Literal["blocks", "together"] = "blocks"


class GoldTable(Table):
    """`[gold]`: pairs with a known answer, to tell who looks.

    Attributes:
        per_rater: shown to each.
        count: made for each question.
        twins: what makes the worse twin: `blur S` (pixels at 256), `jpeg Q` (quality), or
            `downsample F`.
        wrong_caption: questions that show captions pair a sample with another prompt's instead.
        arms: whose samples are good enough to be the right answer; all when None.
    """

    per_rater: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=1)] = 10
    twins: Annotated[list[Twin], Field(min_length=1)] = Field(
        default_factory=lambda: ["blur 6", "jpeg 3"]
    )
    wrong_caption: bool = True
    arms: Annotated[list[Text], Field(min_length=1)] | None = None


class RepeatsTable(Table):
    """`[repeats]`: pairs asked of the same rater again, sides swapped.

    Attributes:
        per_rater: for each.
    """

    per_rater: Annotated[int, Field(ge=0)] = 0


class PracticeTable(Table):
    """`[[practice]]`: a pair with feedback, before the first that counts.

    Attributes:
        question: its key.
        prompt: the prompt's id; one of the study's, drawn by its seed, when None.
        arm: whose sample is the right answer; the first that has the prompt when None.
        twin: how the other image is made worse (see `gold.twins`), or `wrong caption`.
        tie_is_right: "no difference" is right as well.
        explanation: told after the answer.
    """

    question: Key
    prompt: Text | None = None
    arm: Text | None = None
    twin: Annotated[str, Field(pattern=PRACTICE_TWIN)] = "blur 6"
    tie_is_right: bool = False
    explanation: str = ""


class EntryTable(Table):
    """`[entry]`: who may take part.

    Attributes:
        by: `open` to anybody with the address; by personal `invite`; from `prolific` or `mturk`.
        study_id: Prolific's id of this study; another one in the link is refused.
        framed_by: origins of sites, such as `https://panel.example.org`, that may show the study
            inside their own page. Mechanical Turk's always may where `by` is `mturk`.
    """

    by: Entry = "open"
    study_id: Text | None = None
    framed_by: list[Origin] = Field(default_factory=list[Origin])


class PagesTable(Table):
    """`[pages]`: what raters read beside the pairs.

    Attributes:
        language: of the app's own words.
        words: the owner's own instead of the app's, by section and key; all of them for a language
            that the app has no words in. Those of a file `words-LANGUAGE.toml` beside the study
            file are among them.
        consent: asked for before anything else; empty for none.
        instructions: shown next; empty for none.
        content_warning: what images may show that somebody would rather not see; comes first.
        contact: who runs the study and answers questions, with an address.
        retention: how long what is stored is kept.
        legal_basis: why storing it is lawful, such as consent (GDPR, article 6(1)(a)).
        rights: what raters may ask for, and of whom.
        min_age: years; who is younger may not take part.
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en"
    words: dict[str, dict[str, Text]] | None = None
    consent: str = ""
    instructions: str = ""
    content_warning: str = ""
    contact: str = ""
    retention: str = ""
    legal_basis: str = ""
    rights: str = ""
    min_age: Annotated[int, Field(ge=1, le=99)] | None = None

    def missing_for_strangers(self) -> list[str]:
        """Return the keys without which paid strangers can't agree to know what they agree to."""
        told = ("consent", "contact", "retention", "legal_basis", "rights")
        missing = [key for key in told if not str(getattr(self, key)).strip()]
        return missing if self.min_age is not None else [*missing, "min_age"]


class CompletionTable(Table):
    """`[completion]`: what a rater takes home.

    Attributes:
        code: one for all; each rater's own when None.
        redirect: where they are sent; `{code}` in it becomes the code.
    """

    code: Text | None = None
    redirect: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None


class PayTable(Table):
    """`[pay]`: what people are paid, for `study create`'s estimate and the lists of `study pay`.

    Attributes:
        reward: for whoever finishes, in `currency`.
        currency: ISO 4217 code, told beside amounts.
        fee: the site's share on top, 0 to 1.
        seconds_per_pair: what an answer takes, for the estimate.
        bonus: on top of the reward, for those whom `bonus_gold_accuracy` admits.
        bonus_gold_accuracy: least share of gold pairs answered rightly for the bonus; None: all
            who finish get it.
        approve_excluded: whoever an exclusion rule leaves out is paid without a further look.
    """

    reward: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    fee: Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)] = Decimal(0)
    seconds_per_pair: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = PAIR_SECONDS
    bonus: Amount = Decimal(0)
    bonus_gold_accuracy: Share | None = None
    approve_excluded: bool = True


class ExcludeTable(Table):
    """`[exclude]`: rules, set before the first vote, by which raters are left out.

    They look at conduct alone, never at which arm won. Votes of excluded raters stay, flagged.

    Attributes:
        gold_accuracy_below: share of gold pairs answered rightly.
        median_seconds_below: the median time an answer took.
        one_side_above: share of the side chosen more often, ties aside; of ten answers or more.
        repeat_agreement_below: share of repeated pairs answered alike.
        min_answers: of the kind a rule looks at; with fewer it does not apply.
    """

    gold_accuracy_below: Share | None = None
    median_seconds_below: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    one_side_above: Share | None = None
    repeat_agreement_below: Share | None = None
    min_answers: Annotated[int, Field(ge=1)] = 3


class StudyDesign(Table):
    """A whole study file.

    Attributes:
        name: what votes.csv calls the study; the study file's or run folder's name when None.
        seed: of the pairs' choice, order and sides.
    """

    name: Text | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    runs: list[RunTable] = Field(default_factory=list[RunTable])
    prompts: PromptsTable = PromptsTable()
    questions: Annotated[list[QuestionTable], Field(min_length=1)] = Field(
        default_factory=lambda: [QuestionTable(key=key) for key in QUESTIONS]
    )
    votes: VotesTable = VotesTable()
    raters: RatersTable = RatersTable()
    gold: GoldTable = GoldTable()
    repeats: RepeatsTable = RepeatsTable()
    practice: list[PracticeTable] = Field(default_factory=list[PracticeTable])
    entry: EntryTable = EntryTable()
    pages: PagesTable = PagesTable()
    completion: CompletionTable | None = None
    pay: PayTable | None = None
    exclude: ExcludeTable = ExcludeTable()

    @model_validator(mode="after")
    def _fits_together(self) -> StudyDesign:
        keys = [question.key for question in self.questions]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise ValueError(f"found two questions `{repeated}`; keep one")
        for item in self.practice:
            if item.question not in keys:
                raise ValueError(f"`practice.question` is `{item.question}`, which is not asked")
        if self.pay and self.pay.bonus_gold_accuracy is not None and not self.gold.per_rater:
            raise ValueError("`pay.bonus_gold_accuracy` needs gold pairs: set `gold.per_rater`")
        return self

    def rules(self) -> Rules:
        """How votes are collected."""
        return Rules(
            votes_per_pair=self.votes.per_pair,
            pairs_per_rater=self.raters.pairs,
            min_seconds=self.votes.min_seconds,
            break_every=self.raters.break_every,
            gold_per_rater=self.gold.per_rater,
            repeats_per_rater=self.repeats.per_rater,
            extra_answers=tuple(self.votes.extra_answers),
            together=len(self.questions) if self.raters.questions == "together" else 1,
        )
