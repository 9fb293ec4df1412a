"""Data sets and numbers that others published: the vignette of R's BradleyTerry2 (Turner & Firth
2012, doi:10.18637/jss.v048.i09), and evalica's reference scores (Ustalov 2025,
https://aclanthology.org/2025.coling-demos.6; data and scores in its repository, Apache-2.0).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import ballots, fit_elo, fit_outcomes, read_votes, win_matrix
from analysis.ballots import Ballot
from analysis.scores import ELO_PER_NAT
from analysis.scores.intervals import inverse_information

JOURNALS = ("Biometrika", "Comm Statist", "JASA", "JRSS-B")
CITATIONS = np.array([  # row cited by column (Stigler 1994), without citations of itself
    [0, 730, 498, 221], [33, 0, 68, 17], [320, 813, 0, 142], [284, 276, 325, 0],
])  # fmt: skip
TEAMS = ("Baltimore", "Boston", "Cleveland", "Detroit", "Milwaukee", "New York", "Toronto")
GAMES = {  # home team → (its wins, its guest's) against each other team (Agresti 2002, table 10.10)
    "Milwaukee": {"Detroit": (4, 3), "Toronto": (4, 2), "New York": (4, 3), "Boston": (6, 1),
                  "Cleveland": (4, 2), "Baltimore": (6, 0)},
    "Detroit": {"Milwaukee": (3, 3), "Toronto": (4, 2), "New York": (4, 3), "Boston": (6, 0),
                "Cleveland": (6, 1), "Baltimore": (4, 3)},
    "Toronto": {"Milwaukee": (2, 5), "Detroit": (4, 3), "New York": (2, 4), "Boston": (4, 3),
                "Cleveland": (4, 2), "Baltimore": (6, 0)},
    "New York": {"Milwaukee": (3, 3), "Detroit": (5, 1), "Toronto": (2, 5), "Boston": (4, 3),
                 "Cleveland": (4, 2), "Baltimore": (6, 1)},
    "Boston": {"Milwaukee": (5, 1), "Detroit": (2, 5), "Toronto": (3, 3), "New York": (4, 2),
               "Cleveland": (5, 2), "Baltimore": (6, 0)},
    "Cleveland": {"Milwaukee": (2, 5), "Detroit": (3, 3), "Toronto": (3, 4), "New York": (4, 3),
                  "Boston": (4, 2), "Baltimore": (2, 4)},
    "Baltimore": {"Milwaukee": (2, 5), "Detroit": (1, 5), "Toronto": (1, 6), "New York": (2, 4),
                  "Boston": (1, 6), "Cleveland": (3, 4)},
}  # fmt: skip
FOOD = {  # left, right → votes for the left, for the right, ties: evalica's food.csv
    ("Burger", "Pasta"): (0, 2, 0),
    ("Burger", "Pizza"): (1, 0, 0),
    ("Burger", "Sushi"): (0, 3, 0),
    ("Burger", "Tacos"): (1, 0, 0),
    ("Pasta", "Pizza"): (0, 1, 0),
    ("Pasta", "Sushi"): (0, 1, 0),
    ("Pasta", "Tacos"): (1, 2, 0),
    ("Pizza", "Burger"): (0, 2, 0),
    ("Pizza", "Pasta"): (0, 0, 1),
    ("Pizza", "Sushi"): (2, 0, 0),
    ("Pizza", "Tacos"): (0, 1, 0),
    ("Sushi", "Burger"): (1, 2, 0),
    ("Sushi", "Pasta"): (0, 0, 1),
    ("Sushi", "Tacos"): (1, 1, 0),
    ("Tacos", "Burger"): (1, 0, 0),
    ("Tacos", "Pasta"): (2, 0, 0),
    ("Tacos", "Pizza"): (3, 0, 0),
}
FOOD_SCORES = {  # its food-golden.csv, algorithm bradley_terry
    "Tacos": 0.43428982771223773, "Sushi": 0.19060028489839073, "Burger": 0.14797665121689418,
    "Pasta": 0.1281534106031957, "Pizza": 0.09897982556928168,
}  # fmt: skip


def test_citations_of_journals():
    fit = fit_elo(CITATIONS, JOURNALS)
    found = (fit.scores - fit.scores[0]) / ELO_PER_NAT
    np.testing.assert_allclose(found[1:], [-2.94907, -0.47957, 0.26895], atol=5.1e-6)
    covariance = inverse_information(fit)
    errors = [np.sqrt(covariance[0, 0] + covariance[i, i] - 2 * covariance[0, i])
              for i in (1, 2, 3)]  # fmt: skip
    np.testing.assert_allclose(errors, [0.10255, 0.06059, 0.07083], atol=5.1e-6)


def baseball():
    """Each game as a vote: the home team stands on the left."""
    rows = [
        (TEAMS.index(home), TEAMS.index(guest), won)
        for home, games in GAMES.items()
        for guest, (wins, losses) in games.items()
        for won in [1.0] * wins + [0.0] * losses
    ]
    left, right, won = (np.array(column) for column in zip(*rows, strict=True))
    return Ballot("baseball", "person", TEAMS, left, right, won, np.arange(len(won)) % 9)


@pytest.mark.parametrize(
    ("side", "published", "at_home"),
    [
        (False, [1.1077, 0.6839, 1.4364, 1.5814, 1.2476, 1.2945], np.nan),
        (True, [1.1438, 0.7047, 1.4754, 1.6196, 1.2813, 1.3271], 0.3023),
    ],
)
def test_baseball_with_and_without_the_advantage_of_being_at_home(side, published, at_home):
    found = fit_outcomes(baseball(), ties="half", side=side)
    scores = (found.scores - found.scores[0]) / ELO_PER_NAT
    np.testing.assert_allclose(scores[1:], published, atol=5.1e-5)
    np.testing.assert_allclose(found.side / ELO_PER_NAT, at_home, atol=5.1e-5)


def test_evalicas_reference_scores_of_food():
    table = pd.DataFrame(
        [(left, right, winner) for (left, right), counts in FOOD.items()
         for winner, count in zip(("left", "right", "tie"), counts, strict=True)
         for _ in range(count)],
        columns=["left", "right", "winner"],
    )  # fmt: skip
    (ballot,) = ballots(read_votes(table))  # evalica's own columns
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    worth = np.exp(fit.scores / ELO_PER_NAT)
    published = [FOOD_SCORES[arm] for arm in ballot.arms]
    np.testing.assert_allclose(worth / worth.sum(), published, rtol=1e-12)
