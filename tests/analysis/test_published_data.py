"""Data sets and numbers that others published: the vignette of R's BradleyTerry2 (Turner & Firth
2012, doi:10.18637/jss.v048.i09).
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis import fit_elo, fit_outcomes
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
