"""The questions that studies ask unless their owner writes others: what raters read, in one place.

A rater's page shows the text as it stands here, a report's methods paragraph quotes it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What raters are asked about a pair.

    Attributes:
        key: as in votes.csv: letters, digits and `_`.
        text: what raters read.
        shows_caption: whether the caption stands above the images. GLIDE's raters saw it for
            caption similarity only (Nichol et al. 2021, appendix A.1): a caption shown invites
            raters to judge the match.
        graded: whether it is answered in five grades (`Answer.grade`), from "left by far" to
            "right by far".
    """

    key: str
    text: str
    shows_caption: bool = True
    graded: bool = False


QUESTIONS: dict[str, Question] = {
    question.key: question
    for question in (
        Question("photorealism", "Which image looks more photorealistic?", shows_caption=False),
        Question("caption_similarity", "Which image matches the caption better?"),
    )
}
"""The questions of Nichol et al. (2021) by key, in the order in which raters meet them."""
