"""Who is let into a study, and as which rater."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from study_app.errors import EntryRefused
from study_app.rules import Claim, forged
from study_app.store import Repository, StudyInfo, hash_token, keyed_hash, new_token


class Admission:
    """Lets people in, in whatever session it is given.

    Args:
        info: of the study.
        clock: stamps joins.
        key: of the study's secret; asked for when somebody is known elsewhere.
    """

    def __init__(
        self, info: StudyInfo, clock: Callable[[], datetime], key: Callable[[], bytes]
    ) -> None:
        self._info = info
        self._clock = clock
        self._key = key
        self._lease = timedelta(minutes=info.design.raters.lease_minutes)

    def admit(self, repository: Repository, claim: Claim) -> str:
        """Return the token of the person who makes this claim (see `Study.admit`)."""
        repository.lock()
        who = claim.outside_id if claim.invite is None else f"invite:{claim.invite}"
        outside = None if who is None else self.outside_hash(who)
        known = None if outside is None else repository.rater_outside(outside)
        if known is not None and outside is not None:
            return self._token_of(outside)
        if claim.invite is not None:
            invite = repository.invite(hash_token(claim.invite))
            if invite is None:
                raise forged("This invitation is not one of this study's.")
            if invite.used:
                raise EntryRefused(
                    "used",
                    "This invitation was used before, and its answers were deleted on request. "
                    "Please ask for a new one if you want to take part again.",
                )
            invite.used = True
        self._require_room(repository)
        return self.join(repository, outside)

    def outside_hash(self, who: str) -> str:
        """Return the keyed hash that stands for an id from elsewhere (`prolific:5f…`)."""
        return keyed_hash(self._key(), who)

    def _token_of(self, outside_hash: str) -> str:
        """Return the token of a rater known elsewhere, made with the study's secret."""
        return keyed_hash(self._key(), f"token:{outside_hash}")[:32]

    def join(self, repository: Repository, outside_hash: str | None = None) -> str:
        """Add a person, and return their token."""
        token = new_token() if outside_hash is None else self._token_of(outside_hash)
        repository.add_rater(
            public_id=f"r{new_token()[:12]}",
            token_hash=hash_token(token),
            kind="person",
            share=self._info.rules.share,
            now=self._clock(),
            outside_hash=outside_hash,
        )
        return token

    def _require_room(self, repository: Repository) -> None:
        if repository.state() == "closed":
            raise EntryRefused(
                "closed",
                "This study has ended. Thank you for your interest; nothing is left to do.",
            )
        now, most = self._clock(), self._info.design.raters.max
        full = most is not None and repository.active_people(now, now - self._lease) >= most
        if full or not repository.pairs_left(now):
            raise EntryRefused(
                "full",
                "This study has all the people it needs just now. Thank you for your interest; "
                "places of those who leave early become free again, so you may try later.",
            )
