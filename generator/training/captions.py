"""Training of the text transformer on captions alone, before the UNet learns to draw.

    python -m generator.training.tabletop text --data DIR --work DIR

The loss of ε hardly rewards reading. A model that knows which colours and shapes a caption names,
but not which colour goes with which shape, has nearly the loss of one that does, and a short
training ends there (docs/explanation/miniature.md has figures). Other systems use pretrained text
models for that reason (Saharia et al. 2022, Imagen, §2.1). The tabletop's attributes are drawn
independently, so that guessing masked words would teach nothing; the transformer learns to parse
instead. Linear heads, thrown away afterwards, tell

- at each word of an object: its shape, colour, size, material, place in a relation and number;
- from the summary, of each of the 18 colour-shape pairs: whether the caption names it, once or
  twice, and with which size, material and place. The summary scales the UNet's channels one by
  one, so what it says of a pair outright, it can say to the channels that see that colour.

Captions name all pairs, those held out from pictures too: the transformer shall read them, and the
UNet draw them without having seen one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.tabletop.captions import RELATIONS, Claim, Mention, describe, parse
from generator.tabletop.dataset import scene
from generator.tabletop.scenes import COLORS, MATERIALS, SHAPES, SIZES
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import padded

SCENES_SEED = 991_001  # no picture is rendered from this stream
SCENES = 20_000
_NOTHING = -100  # cross_entropy's mark of what is not to be told

# What each word tells of its object, and the number of answers: one more where a caption may leave
# it open.
ASKED = {
    "shape": len(SHAPES),
    "color": len(COLORS),
    "size": len(SIZES) + 1,
    "material": len(MATERIALS) + 1,
    "role": 2 * len(RELATIONS) + 1,
    "number": 2,
}
PAIRS = tuple((color, shape) for color in COLORS for shape in SHAPES)
# What the summary tells of each pair, yes or no.
FACTS = (
    "named", "two", *SIZES, *MATERIALS,
    *(f"{relation} the second" for relation in RELATIONS),
    *(f"the first is {relation} it" for relation in RELATIONS),
)  # fmt: skip


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
        self.of_word = nn.Linear(unet.config.xf_width, sum(ASKED.values()))
        self.of_summary = nn.Linear(unet.transformer_proj.out_features, len(PAIRS) * len(FACTS))

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the logits of every answer.

        Returns:
            Of the words, a (batch, text_ctx, answers) for each entry of `ASKED`; of the pairs
            (batch, pairs, facts).
        """
        summary, sequence = self._read(tokens, mask)
        of_words = self.of_word(sequence).split(list(ASKED.values()), -1)
        return list(of_words), self.of_summary(summary).unflatten(1, (len(PAIRS), len(FACTS)))


def parsing_loss(parser: Parser, captions: Sequence[str], context: int) -> Tensor:
    """Return the cross-entropy of the words' answers plus that of the summary's, in nats.

    Args:
        parser: what reads.
        captions: of the tabletop's grammar.
        context: length in tokens.
    """
    device = parser.of_word.weight.device
    tokens, mask = padded(WordTokenizer(), captions, context)
    words, pairs = parser(tokens.to(device), mask.to(device))
    of_words, of_pairs = (torch.from_numpy(a).to(device) for a in answers(captions, context))
    losses = [
        F.cross_entropy(logits.flatten(0, 1), right.flatten(), ignore_index=_NOTHING)
        for logits, right in zip(words, of_words.unbind(-1), strict=True)
    ]
    told = F.binary_cross_entropy_with_logits(pairs, of_pairs, reduction="sum")
    return torch.stack(losses).sum() + told / len(captions)


def answers(captions: Sequence[str], context: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the right answers for a batch of captions.

    Args:
        captions: of the tabletop's grammar.
        context: length in tokens.

    Returns:
        Of words, class numbers int64 (batch, context, kinds) in the order of `ASKED`, -100 at words
        of no object; of pairs, float32 (batch, pairs, facts) of 0 and 1.

    Raises:
        ValueError: a caption is not of the grammar.
    """
    of_words = np.full((len(captions), context, len(ASKED)), _NOTHING)
    of_pairs = np.zeros((len(captions), len(PAIRS), len(FACTS)), np.float32)
    encode = WordTokenizer().encode
    for row, caption in enumerate(captions):
        claim = parse(caption)
        if claim is None:
            raise ValueError(f"caption {caption!r} is not of the tabletop's grammar")
        start = 0
        for number, mention in enumerate(claim.mentions):
            start = caption.index(str(mention), start)
            first, length = len(encode(caption[:start])), len(encode(str(mention)))
            of_words[row, first : first + length] = _classes(claim, mention, number)
            pair = PAIRS.index((mention.color, mention.shape))
            of_pairs[row, pair, _facts(claim, mention, number)] = 1
            start += len(str(mention))
    return of_words, of_pairs


def _classes(claim: Claim, mention: Mention, number: int) -> list[int]:
    """Return the answers to `ASKED`."""
    place = _place(claim, number)
    return [
        SHAPES.index(mention.shape),
        COLORS.index(mention.color),
        SIZES.index(mention.size) if mention.size else len(SIZES),
        MATERIALS.index(mention.material) if mention.material else len(MATERIALS),
        2 * len(RELATIONS) if place is None else place,
        mention.count - 1,
    ]


def _facts(claim: Claim, mention: Mention, number: int) -> list[int]:
    """Return which of `FACTS` hold."""
    words = ("named", "two" if mention.count == 2 else None, mention.size, mention.material)
    said = [FACTS.index(word) for word in words if word]
    place = _place(claim, number)
    return said if place is None else [*said, len(FACTS) - 2 * len(RELATIONS) + place]


def _place(claim: Claim, number: int) -> int | None:
    """Return the object's relation and whether it comes first or second; None without one."""
    if not claim.relation or number > 1:
        return None
    return RELATIONS.index(claim.relation) + number * len(RELATIONS)


class Captions:
    """Captions of scenes that are never rendered, drawn anew for each batch."""

    def __init__(self, count: int = SCENES) -> None:
        self._scenes = [scene(SCENES_SEED, i, twins=True) for i in range(count)]

    def batch(self, rng: np.random.Generator, size: int) -> list[str]:
        """Draw `size` captions."""
        chosen = rng.integers(len(self._scenes), size=size)
        return [describe(self._scenes[i], rng) for i in chosen]
