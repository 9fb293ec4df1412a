"""The statements behind a rater's turn, built once since they run at each vote."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.orm import aliased

from .orm import AssignmentRow, PairRow, QuestionRow, QuotaRow, RaterRow, StudyRow, VoteRow
from .prepared import Prepared

_earlier = aliased(AssignmentRow)

RATER = Prepared(
    select(
        RaterRow.id,
        RaterRow.public_id,
        RaterRow.token_hash,
        RaterRow.kind,
        RaterRow.share,
        RaterRow.given,
        RaterRow.done,
        RaterRow.rested,
        RaterRow.practised,
        RaterRow.consented_at,
        RaterRow.instructed_at,
        RaterRow.undoable_id,
        RaterRow.since,
        select(StudyRow.state).scalar_subquery().label("state"),
    ).where(RaterRow.token_hash == bindparam("token_hash"))
)
_rater_id = (
    select(RaterRow.id).where(RaterRow.token_hash == bindparam("token_hash")).scalar_subquery()
)
OPEN = Prepared(
    select(
        AssignmentRow.id,
        AssignmentRow.uid,
        AssignmentRow.pair_id,
        AssignmentRow.left_image_id,
        AssignmentRow.right_image_id,
        AssignmentRow.state,
        AssignmentRow.revision,
    )
    .where(
        AssignmentRow.rater_id == _rater_id,
        or_(AssignmentRow.state == "open", AssignmentRow.state == "lapsed"),
    )
    .order_by(AssignmentRow.id)
    .limit(3)  # current, upcoming, and one taken back before them
)
_next_pair = (
    select(
        QuotaRow.pair_id,
        QuotaRow.draws,
        QuotaRow.question_id,
        PairRow.a_first,
        PairRow.image_a_id,
        PairRow.image_b_id,
    )
    .join(PairRow, PairRow.id == QuotaRow.pair_id)
    .where(
        QuotaRow.rater_kind == bindparam("kind"),
        QuotaRow.question_id == bindparam("question"),
        ~select(AssignmentRow.id)
        .where(
            AssignmentRow.rater_id == bindparam("rater"),
            AssignmentRow.pair_id == QuotaRow.pair_id,
        )
        .exists(),
        ~QuotaRow.withdrawn,
    )
    .limit(1)
)
_next_plain = _next_pair.where(QuotaRow.taken < QuotaRow.wanted).order_by(
    QuotaRow.taken, QuotaRow.pair_id
)
NEXT_PLAIN = Prepared(_next_plain)
NEXT_OF_ARMS = Prepared(_next_plain.where(QuotaRow.arm_pair == bindparam("arm_pair")))
NEXT_GOLD = Prepared(_next_pair.where(PairRow.gold).order_by(QuotaRow.draws, QuotaRow.pair_id))
LAST_PLAIN = Prepared(
    select(
        PairRow.image_a_id,
        PairRow.image_b_id,
        AssignmentRow.left_image_id,
        AssignmentRow.right_image_id,
    )
    .join(PairRow, PairRow.id == AssignmentRow.pair_id)
    .where(
        AssignmentRow.rater_id == bindparam("rater"),
        or_(AssignmentRow.state == "open", AssignmentRow.state == "answered"),
        ~AssignmentRow.repeated,
        ~PairRow.gold,
    )
    .order_by(AssignmentRow.id.desc())
    .limit(1)
)
NEXT_OF_IMAGES = Prepared(
    _next_plain.where(
        PairRow.image_a_id == bindparam("image_a"), PairRow.image_b_id == bindparam("image_b")
    )
)
NEXT_REPEAT = Prepared(
    select(
        AssignmentRow.id,
        AssignmentRow.pair_id,
        AssignmentRow.left_image_id,
        AssignmentRow.right_image_id,
        PairRow.question_id,
    )
    .join(PairRow, PairRow.id == AssignmentRow.pair_id)
    .where(
        AssignmentRow.rater_id == bindparam("rater"),
        AssignmentRow.state == "answered",
        ~AssignmentRow.repeated,
        ~PairRow.gold,
        ~select(_earlier.id).where(_earlier.repeat_of_id == AssignmentRow.id).exists(),
    )
    .order_by(AssignmentRow.id)
    .limit(1)
)
ASSIGNMENT = Prepared(
    select(
        AssignmentRow.id,
        AssignmentRow.pair_id,
        AssignmentRow.left_image_id,
        AssignmentRow.right_image_id,
        AssignmentRow.state,
        AssignmentRow.revision,
        AssignmentRow.expires_at,
    ).where(AssignmentRow.uid == bindparam("uid"), AssignmentRow.rater_id == _rater_id)
)
_quota_of = (QuotaRow.pair_id == bindparam("pair"), QuotaRow.rater_kind == bindparam("kind"))
DRAW = Prepared(
    update(QuotaRow)
    .where(*_quota_of)
    .values(taken=QuotaRow.taken + bindparam("takes"), draws=QuotaRow.draws + 1)
)
RETAKE = Prepared(
    update(QuotaRow)
    .where(*_quota_of, QuotaRow.taken < QuotaRow.wanted)
    .values(taken=QuotaRow.taken + 1)
    .returning(QuotaRow.pair_id)
)
GIVE_BACK = Prepared(update(QuotaRow).where(*_quota_of).values(taken=QuotaRow.taken - 1))
COUNT_GIVEN = Prepared(
    update(RaterRow)
    .where(RaterRow.id == bindparam("rater"))
    .values(given=RaterRow.given + bindparam("more"))
)
COUNT_ANSWER = Prepared(
    update(RaterRow)
    .where(RaterRow.id == bindparam("rater"))
    .values(
        done=RaterRow.done + bindparam("more"),
        undoable_id=bindparam("undoable"),
        since=bindparam("since"),
        implausible=RaterRow.implausible + bindparam("implausible"),
    )
)
BEGIN = Prepared(
    update(RaterRow).where(RaterRow.id == bindparam("rater")).values(since=bindparam("since"))
)
LOCK = Prepared(select(StudyRow.id).with_for_update())
ADD_ASSIGNMENT = Prepared(
    insert(AssignmentRow).values(
        uid=bindparam("uid"),
        rater_id=bindparam("rater"),
        pair_id=bindparam("pair"),
        left_image_id=bindparam("left"),
        right_image_id=bindparam("right"),
        assigned_at=bindparam("now"),
        expires_at=bindparam("expires"),
        state="open",
        revision=0,
        repeated=bindparam("again"),
        repeat_of_id=bindparam("repeat_of"),
    )
)
ADD_VOTE = Prepared(
    insert(VoteRow).values(
        assignment_id=bindparam("assignment"),
        revision=bindparam("revision"),
        answer=bindparam("answer"),
        seconds=bindparam("seconds"),
        created_at=bindparam("now"),
        comment=bindparam("comment"),
    )
)
SET_STATE = Prepared(
    update(AssignmentRow)
    .where(AssignmentRow.id == bindparam("assignment"))
    .values(state=bindparam("new_state"))
)
RENEW = Prepared(
    update(AssignmentRow)
    .where(AssignmentRow.id == bindparam("assignment"))
    .values(state="open", expires_at=bindparam("expires"))
)
EXPIRED = Prepared(
    select(AssignmentRow.id, AssignmentRow.pair_id, RaterRow.kind)
    .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
    .where(AssignmentRow.state == "open", AssignmentRow.expires_at < bindparam("now"))
)
UNSETTLED = Prepared(
    select(QuestionRow.id).where(QuestionRow.settled.is_(None)).order_by(QuestionRow.id)
)
