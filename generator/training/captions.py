"""Reading before drawing: the text transformer's first training, on captions alone.

    python -m generator.training.tabletop text --work DIR

The loss of ε hardly rewards reading. A model that knows which colours and shapes a caption names,
but not which colour goes with which shape, has nearly the loss of one that does, and a short
training ends there (docs/training.md has figures). Elsewhere, text models trained beforehand cure
that (Saharia et al. 2022, Imagen, §2.1). The tabletop's attributes are drawn independently, so that
guessing masked words would teach nothing; the transformer learns to parse instead. Linear heads,
thrown away afterwards, tell

- at each word of an object: its shape, colour, size, material and place in a relation;
- from the summary: the same of the caption's first, second and third object.

Held-out colour-shape pairs appear in no caption.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.tabletop.captions import RELATIONS, Claim, Mention, describe, parse
from generator.tabletop.dataset import scene
from generator.tabletop.scenes import COLORS, MATERIALS, MAX_OBJECTS, SHAPES, SIZES
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import padded

SCENES_SEED = 991_001  # no picture is rendered from this stream
SCENES = 20_000
_NOTHING = -100  # cross_entropy's mark of what is not to be told

# What is told of an object, and the number of answers: one more where a caption may leave it open.
ASKED = {
    "shape": len(SHAPES),
    "color": len(COLORS),
    "size": len(SIZES) + 1,
    "material": len(MATERIALS) + 1,
    "role": 2 * len(RELATIONS) + 1,
}


class Parser(nn.Module):
    """The text half of a UNet, with the heads that say what it has read."""

    def __init__(self, unet: TextUNet):
        super().__init__()
        self.transformer, self.final_ln = unet.transformer, unet.final_ln
        self.token_embedding = unet.token_embedding
        self.positional_embedding = unet.positional_embedding
        self.padding_embedding = unet.padding_embedding
        self.transformer_proj = unet.transformer_proj
        self._read = unet.read_text
        answers = sum(ASKED.values())
        self.of_word = nn.Linear(unet.config.xf_width, answers)
        # One more answer of each kind: the caption has no such object.
        slots = MAX_OBJECTS * (answers + len(ASKED))
        self.of_summary = nn.Linear(unet.transformer_proj.out_features, slots)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of each kind of answer, in the order of `ASKED`.

        Returns:
            Of the words, a (batch, text_ctx, answers) each; of the caption's objects, a (batch,
            MAX_OBJECTS, answers + 1) each.
        """
        summary, sequence = self._read(tokens, mask)
        sizes = list(ASKED.values())
        slots = self.of_summary(summary).unflatten(1, (MAX_OBJECTS, -1))
        return (
            list(self.of_word(sequence).split(sizes, -1)),
            list(slots.split([n + 1 for n in sizes], -1)),
        )


def parsing_loss(parser: Parser, captions: Sequence[str], context: int) -> Tensor:
    """Cross-entropy of all that is asked, averaged over kinds.

    Args:
        parser: what reads.
        captions: of the tabletop's grammar.
        context: length in tokens.
    """
    device = parser.of_word.weight.device
    tokens, mask = padded(WordTokenizer(), captions, context)
    words, slots = parser(tokens.to(device), mask.to(device))
    of_words, of_slots = (torch.from_numpy(a).to(device) for a in answers(captions, context))
    losses = [
        F.cross_entropy(logits.flatten(0, 1), right.flatten(), ignore_index=_NOTHING)
        for asked, told in ((words, of_words), (slots, of_slots))
        for logits, right in zip(asked, told.unbind(-1), strict=True)
    ]
    return torch.stack(losses).mean()


def answers(captions: Sequence[str], context: int) -> tuple[np.ndarray, np.ndarray]:
    """What a parser should tell of captions, as class numbers in the order of `ASKED`.

    Args:
        captions: of the tabletop's grammar.
        context: length in tokens.

    Returns:
        int64 of words (batch, context, kinds), -100 at words of no object, and of objects (batch,
        MAX_OBJECTS, kinds), the highest number where the caption has fewer.

    Raises:
        ValueError: a caption is not of the grammar.
    """
    of_words = np.full((len(captions), context, len(ASKED)), _NOTHING)
    of_slots = np.tile(list(ASKED.values()), (len(captions), MAX_OBJECTS, 1))
    encode = WordTokenizer().encode
    for row, caption in enumerate(captions):
        claim = parse(caption)
        if claim is None:
            raise ValueError(f"caption {caption!r} is not of the tabletop's grammar")
        start = 0
        for number, mention in enumerate(claim.mentions):
            facts = _facts(claim, mention, number)
            of_slots[row, number] = facts
            start = caption.index(str(mention), start)
            first, length = len(encode(caption[:start])), len(encode(str(mention)))
            of_words[row, first : first + length] = facts
            start += len(str(mention))
    return of_words, of_slots


def _facts(claim: Claim, mention: Mention, number: int) -> list[int]:
    role = 2 * len(RELATIONS)
    if claim.relation and number < 2:
        role = RELATIONS.index(claim.relation) + number * len(RELATIONS)
    return [
        SHAPES.index(mention.shape),
        COLORS.index(mention.color),
        SIZES.index(mention.size) if mention.size else len(SIZES),
        MATERIALS.index(mention.material) if mention.material else len(MATERIALS),
        role,
    ]


class Captions:
    """Captions of scenes that nobody renders, drawn anew each time."""

    def __init__(self, count: int = SCENES) -> None:
        self._scenes = [scene(SCENES_SEED, i, "train") for i in range(count)]

    def batch(self, rng: np.random.Generator, size: int) -> list[str]:
        """`size` captions."""
        chosen = rng.integers(len(self._scenes), size=size)
        return [describe(self._scenes[i], rng) for i in chosen]
