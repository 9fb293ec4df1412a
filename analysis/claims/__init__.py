"""What may be said of the votes, as numbers and verdicts, without sentences."""

from __future__ import annotations

from .answers import answer_rates
from .controlled import Controlled, controlled, property_names
from .highlights import best_and_worst, disputed_pairs, prompt_scores, prompt_shares
from .of_ballot import Claims, claims_of
from .of_metrics import MetricClaims, metric_claims_of
from .robustness import REPORTED, Robustness
from .sensitivity import Sensitivity, sensitivity

__all__ = [
    "REPORTED",
    "Claims",
    "Controlled",
    "MetricClaims",
    "Robustness",
    "Sensitivity",
    "answer_rates",
    "best_and_worst",
    "claims_of",
    "controlled",
    "disputed_pairs",
    "metric_claims_of",
    "prompt_scores",
    "prompt_shares",
    "property_names",
    "sensitivity",
]
