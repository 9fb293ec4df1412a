"""Lists for paying people: whom to approve, who gets a bonus, whom to look at first.

Nobody is refused here. Whoever did not finish, handed in another code, or is left out by a rule
that the owner wants to look at, is listed for review with the reason; a person decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.ballots import csv_of
from glide_eval.files import replacing
from study_app.errors import StudyUsageError
from study_app.rating import Study
from study_app.rules import PayTable, money

from .export import votes_frame
from .overview import rater_table
from .people import SiteList, people_of

_WAITING = ("", "awaiting review", "submitted")
_SETTLED = ("approved",)  # paid already, and open to a bonus still


@dataclass(frozen=True, slots=True)
class Payment:
    """What was written for paying people.

    Attributes:
        pay: what the study file says of pay.
        decisions: how many people there are of each decision.
        bonuses: how many people get one.
        owed: rewards and bonuses of those to approve, without the site's fee.
        files: that were written.
    """

    pay: PayTable
    decisions: Counter[str]
    bonuses: int
    owed: Decimal
    files: list[Path]


def write_payments(study: Study, listed: SiteList, folder: Path) -> Payment:
    """Write the lists into a folder, readable by their owner alone: they hold ids of people.

    Prolific: `approve.csv` has one participant per line, `bonus.csv` lines of `id,amount`, as the
    site's forms for bulk approval and bulk bonus payment take them. Mechanical Turk:
    `reviewed.csv` is the site's own table of results with an `X` under Approve, to be uploaded;
    `bonus.csv` has worker, assignment, amount and reason. `people.csv` says of each row what was
    decided and why.

    Raises:
        StudyUsageError: the study file has no `[pay]`.
        StorageError: the disk is full or read-only.
    """
    pay = study.info.design.pay
    if pay is None:
        raise StudyUsageError(
            "The study has no `[pay]`, so it can't say what people get. `glide-eval study codes "
            "--ids` lists how far each came."
        )
    table = payments(study, listed, pay)
    approved, bonused = table[table["decision"] == "approve"], table[table["bonus"] != ""]
    texts = {"people.csv": csv_of(table)}
    if listed.site == "mturk":
        texts["reviewed.csv"] = _reviewed(listed, table)
        texts["bonus.csv"] = csv_of(_mturk_bonuses(listed, table))
    else:
        texts["approve.csv"] = "".join(f"{one}\n" for one in approved["id"])
        texts["bonus.csv"] = "".join(
            f"{one},{amount}\n" for one, amount in zip(bonused["id"], bonused["bonus"], strict=True)
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with replacing(folder / name, private=True) as temporary:
            temporary.write_text(text, "utf-8")
    owed = len(approved) * pay.reward + len(bonused) * pay.bonus
    files = [folder / name for name in texts]
    return Payment(pay, Counter(table["decision"]), len(bonused), owed, files)


def payments(study: Study, listed: SiteList, pay: PayTable) -> pd.DataFrame:
    """Return one row per row of the list: what `people_of` says, gold, decision, why and bonus.

    `decision` is `approve`, `review`, or `none` where the site has settled it. `gold` is the share
    of gold pairs answered rightly; NaN without any. `bonus` is an amount, empty for none.
    """
    people = people_of(study, listed.people())
    table = people.set_index("id", drop=False).loc[listed.ids].reset_index(drop=True)
    votes = votes_frame(study)
    known = pd.Series(dtype=float) if votes.empty else _gold_accuracy(votes)
    table["gold"] = table["rater"].map(known)
    decided = [
        _decision(row, status, code, pay)
        for row, status, code in zip(
            table.to_dict("records"), listed.statuses(), listed.codes(), strict=True
        )
    ]
    table["decision"] = [decision for decision, _ in decided]
    table["why"] = [why for _, why in decided]
    earns = (table["decision"] == "approve") | pd.Series(listed.statuses()).isin(_SETTLED)
    earns &= (table["done"] == "yes") & ~table["id"].duplicated() & (pay.bonus > 0)
    if pay.bonus_gold_accuracy is not None:
        earns &= table["gold"] >= pay.bonus_gold_accuracy
    table["bonus"] = earns.map({True: f"{pay.bonus:.2f}", False: ""})
    return table


def _gold_accuracy(votes: pd.DataFrame) -> pd.Series[float]:
    return rater_table(votes).set_index("rater")["gold_accuracy"]


def _decision(
    row: Mapping[Hashable, Any], status: str, code: str, pay: PayTable
) -> tuple[str, str]:
    if status not in _WAITING:
        return "none", f"the site says {status}"
    if not row["rater"]:
        return "review", "never came to the study"
    if row["done"] == "no":
        return "review", f"answered {row['answered']} of {row['asked']} pairs"
    if code and code != row["code"]:
        return "review", f"handed in the code {code}, expected {row['code']}"
    if row["excluded"] and not pay.approve_excluded:
        return "review", str(row["excluded"])
    return "approve", ""


def _reviewed(listed: SiteList, table: pd.DataFrame) -> str:
    """Return the site's table of results, with what was decided under Approve."""
    width = len(listed.names)
    rows = [[*row, *[""] * (width - len(row))][:width] for row in listed.rows]
    told = pd.DataFrame(rows, columns=listed.names)
    told["Approve"] = (table["decision"] == "approve").map({True: "X", False: ""}).to_numpy()
    if "Reject" not in told:
        told["Reject"] = ""
    return told.to_csv(index=False, lineterminator="\n")


def _mturk_bonuses(listed: SiteList, table: pd.DataFrame) -> pd.DataFrame:
    bonused = (table["bonus"] != "").to_numpy()
    told = pd.DataFrame({
        "WorkerId": table["id"],
        "AssignmentId": listed.column(["assignmentid"]),
        "BonusAmount": table["bonus"],
        "Reason": "careful answers",
    })  # fmt: skip
    return told[bonused]


def payment_text(made: Payment) -> str:
    """Return what was decided, in two sentences."""
    pay = made.pay
    approve, review, none = (made.decisions[name] for name in ("approve", "review", "none"))
    settled = f", {none:,} settled by the site" if none else ""
    full = money(made.owed * (1 + pay.fee))
    return (
        f"Approve {approve:,}, review {review:,} (people.csv says why){settled}; bonuses for "
        f"{made.bonuses:,}. To pay: {money(made.owed)} {pay.currency}, with the site's fee "
        f"{full} {pay.currency}."
    )
