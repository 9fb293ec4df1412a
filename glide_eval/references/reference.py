"""The real images' features that distribution metrics compare with, and the file they lie in.

A reference records its extractor with the extractor's facts, and its images in words and by digest.
Parts made on several machines merge to what one machine would have made (`Reference.merge`). A
value is only computed against a reference of the very same extractor (`refuse_other_extractor`).
`build` makes references.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from glide_eval.errors import FeatureError, UsageError
from glide_eval.extractors import Extractor, difference_in_words
from glide_eval.files import count, parse_json, read_npz, replacing
from glide_eval.metrics import (
    Manifold,
    Moments,
    Texture,
    as_matrix,
    cmmd_reference_term,
    kid_reference_term,
)

ID_BYTES = 16  # of an image's SHA-256 that tell it from others


@dataclass(frozen=True, slots=True)
class Part:
    """One share of a build that several machines divide.

    Attributes:
        plan: digest of the whole listing, the same on every machine.
        index: 1 … of.
        of: how many parts there are.
    """

    plan: str
    index: int
    of: int


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption of one of the real images.

    Attributes:
        id: of the caption, in its data set.
        caption: the text.
        file: the image's name there.
    """

    id: str
    caption: str
    file: str


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of the real images by one extractor.

    Attributes:
        pool: float32 (m, d); None if only moments were kept or published.
        extractor: the extractor's name.
        fingerprint: the extractor's, at the time.
        source: what the images are, in words a table can print.
        texture: float32 (m, q) low-level statistics, where the extractor gives them.
        known_moments: mean and covariance; None to take them from `pool`.
        facts: what the fingerprint hashes, spelt out; empty in files of old versions.
        crop: what was done to each image before the extractor saw it; empty if nothing.
        images: uint8 (m, 16), the beginning of each image's SHA-256; None if not known.
        parts: which shares of which builds it holds; empty if whole.
        captions: captions chosen with the images, for prompts.
        left_out: names of images that could not be read.
        counted: False for published statistics that don't say of how many images they are.
    """

    pool: np.ndarray | None
    extractor: str
    fingerprint: str
    source: str
    texture: np.ndarray | None = None
    known_moments: Moments | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    crop: str = ""
    images: np.ndarray | None = None
    parts: tuple[Part, ...] = ()
    captions: tuple[Caption, ...] = ()
    left_out: tuple[str, ...] = ()
    counted: bool = True

    @cached_property
    def moments(self) -> Moments:
        """The mean and covariance of the features, for FID."""
        if self.known_moments is not None:
            return self.known_moments
        return Moments.of(self.pool_for("FID"), "features of the reference")

    @cached_property
    def manifold(self) -> Manifold:
        """The balls around the features, for precision, density, coverage and image quality."""
        return Manifold.of(self.pool_for("precision"), what="features of the reference")

    @cached_property
    def kid_term(self) -> float:
        """The real images' own term of KID."""
        return kid_reference_term(self.pool_for("KID"))

    @cached_property
    def cmmd_term(self) -> float:
        """The real images' own term of CMMD, if the pool holds CLIP's embeddings."""
        return cmmd_reference_term(self.pool_for("CMMD"))

    @cached_property
    def texture_scale(self) -> Texture:
        """The scale of low-level statistics, for image quality."""
        if self.texture is None:
            raise FeatureError(
                f"The reference {self.source!r} has no texture statistics: build it again with "
                f"the {self.extractor} extractor to measure image quality."
            )
        return Texture.of(self.texture)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that tell one reference from another.

        It is that of the images where they are known, so that parts merged in any order, and files
        with or without features, agree.
        """
        if self.images is not None:
            content = self.crop.encode() + b"".join(sorted(row.tobytes() for row in self.images))
        elif self.pool is not None:
            content = np.ascontiguousarray(self.pool).tobytes()
        else:
            content = self.moments.mean.tobytes() + self.moments.root.tobytes()
        return hashlib.sha256(self.fingerprint.encode() + content).hexdigest()[:12]

    @property
    def label(self) -> str:
        """What tables say a value was compared with: source, what it lacks, digest."""
        unread = f"{len(self.left_out)} left out as unreadable" if self.left_out else ""
        words = filter(None, [self.source, unread, self.missing_parts])
        return f"{', '.join(words)} ({self.digest})"

    def refuse_other_extractor(self, extractor: Extractor, name: Path | str) -> None:
        """Refuse an extractor that did not make this reference.

        Raises:
            FeatureError: it is not; says what differs. `name` is what the message calls this.
        """
        if self.fingerprint == extractor.fingerprint:
            return
        why = difference_in_words((self.extractor, self.facts), (extractor.name, extractor.facts))
        raise FeatureError(
            f"{name} holds features of {self.extractor} {self.fingerprint}, the images are "
            f"measured by {extractor.name} {extractor.fingerprint}: values would not be comparable "
            f"({why}). Build the reference again with this extractor, or measure with the one that "
            "made it."
        )

    def save(self, path: Path) -> None:
        """Write the reference as npz, atomically.

        Raises:
            StorageError: the disk is full, read-only or gone.
        """
        arrays = {"mean": self.moments.mean, "root": self.moments.root}
        for name in ("pool", "texture", "images"):
            if (array := getattr(self, name)) is not None:
                arrays[name] = array
        about = {
            "extractor": self.extractor,
            "fingerprint": self.fingerprint,
            "facts": dict(self.facts),
            "source": self.source,
            "crop": self.crop,
            "n": self.moments.n,
            "counted": self.counted,
            "parts": [dataclasses.astuple(part) for part in self.parts],
            "captions": [dataclasses.astuple(caption) for caption in self.captions],
            "left_out": self.left_out,
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a reference that `save` wrote, by any extractor.

        Raises:
            UsageError: there is no such file.
            FeatureError: it is not such a file, or its features are not finite.
        """
        try:
            found = cls._of_arrays(read_npz(path))
        except FileNotFoundError as error:
            raise UsageError(
                f"{path}: no such file. Name a reference that `glide-eval reference build` wrote."
            ) from error
        except Exception as error:  # a file of unknown origin may break anything
            raise FeatureError(
                f"{path} is not a reference ({error}): expected a file that `glide-eval reference "
                "build` wrote. Published statistics become one with `glide-eval reference build "
                "STATISTICS.npz --out FILE`; a damaged file is built again."
            ) from error
        as_matrix(found.pool if found.pool is not None else found.moments.root, f"{path}: features")
        return found

    @classmethod
    def load(cls, path: Path, extractor: Extractor) -> Self:
        """Read a reference that `save` wrote, for this extractor.

        Raises:
            FeatureError: it is not such a file, or another extractor's.
        """
        found = cls.read(path)
        found.refuse_other_extractor(extractor, path)
        return found

    @classmethod
    def merge(cls, shares: Sequence[Self]) -> Self:
        """Return all images of several references as one; shares of a build keep the whole's order.

        Raises:
            FeatureError: they are of different extractors or crops, an image would be counted
                twice, or a number of images is not known.
        """
        if not shares:
            raise FeatureError("No reference to merge: expected at least one.")
        shares = sorted(shares, key=lambda share: [(p.plan, p.index) for p in share.parts[:1]])
        for number, share in enumerate(shares):
            for other in shares[:number]:
                _refuse_merging(other, share)
        moments = shares[0].moments
        for share in shares[1:]:
            moments = moments.merge(share.moments)
        parts = tuple(part for share in shares for part in share.parts)
        same_build = all(s.parts for s in shares) and len({(p.plan, p.of) for p in parts}) == 1
        whole = same_build and len(parts) == parts[0].of
        sources = list(dict.fromkeys(share.source for share in shares))
        return dataclasses.replace(
            shares[0],
            pool=_stacked([share.pool for share in shares]),
            texture=_stacked([share.texture for share in shares]),
            images=_stacked([share.images for share in shares]),
            known_moments=moments,
            source=sources[0] if same_build else " and ".join(sources),
            parts=() if whole else parts,
            captions=tuple(dict.fromkeys(c for share in shares for c in share.captions)),
            left_out=tuple(name for share in shares for name in share.left_out),
        )

    @property
    def missing_parts(self) -> str:
        """Return in words which shares of its build are missing; empty if none."""
        plans: dict[tuple[str, int], list[int]] = {}
        for part in self.parts:
            plans.setdefault((part.plan, part.of), []).append(part.index)
        lacking = [
            (of, [i for i in range(1, of + 1) if i not in held])
            for (_, of), held in plans.items()
            if len(held) < of
        ]
        return ", ".join(
            f"{count(len(indices), 'part')} of {of} missing ({', '.join(map(str, indices))})"
            for of, indices in lacking
        )

    @classmethod
    def _of_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        if "about" not in arrays:  # files before moments were kept
            return cls(
                arrays["pool"],
                extractor=str(arrays["extractor"]),
                fingerprint=str(arrays["fingerprint"]),
                source=str(arrays["source"]),
                texture=arrays.get("texture"),
            )
        about: dict[str, Any] = parse_json(str(arrays["about"]))
        return cls(
            arrays.get("pool"),
            extractor=about["extractor"],
            fingerprint=about["fingerprint"],
            source=about["source"],
            texture=arrays.get("texture"),
            known_moments=Moments(about["n"], arrays["mean"], arrays["root"]),
            facts=about["facts"],
            crop=about["crop"],
            images=arrays.get("images"),
            parts=tuple(Part(*values) for values in about["parts"]),
            captions=tuple(Caption(*values) for values in about["captions"]),
            left_out=tuple(about["left_out"]),
            counted=about["counted"],
        )

    def pool_for(self, metric: str) -> np.ndarray:
        """Return each image's features, float32 (m, d).

        Raises:
            FeatureError: only moments are known; `metric` is named as what needs more.
        """
        if self.pool is None:
            raise FeatureError(
                f"The reference {self.source!r} holds mean and covariance only: {metric} needs "
                "each image's features. Build it from the images, without --moments-only."
            )
        return self.pool


def image_id(sha256: str) -> np.ndarray:
    """Return uint8 (16,), the beginning of a hex SHA-256."""
    return np.frombuffer(bytes.fromhex(sha256), np.uint8)[:ID_BYTES]


def _refuse_merging(first: Reference, second: Reference) -> None:
    if first.fingerprint != second.fingerprint:
        why = difference_in_words((first.extractor, first.facts), (second.extractor, second.facts))
        raise FeatureError(
            f"{first.source!r} and {second.source!r} can't be merged: their extractors differ "
            f"({why}). Build both with the same extractor and weights."
        )
    if first.crop != second.crop:
        crops = " and ".join(repr(share.crop or "none") for share in (first, second))
        raise FeatureError(
            f"{first.source!r} and {second.source!r} can't be merged: their images were cropped "
            f"differently ({crops}). Build both alike."
        )
    if not (first.counted and second.counted):
        raise FeatureError(
            f"{first.source!r} and {second.source!r} can't be merged: it is not known of how many "
            "images one of them is. Build it again with --count N."
        )
    plans = {(part.plan, part.of) for share in (first, second) for part in share.parts}
    if first.parts and second.parts and len(plans) == 1:
        ours, theirs = ({part.index for part in share.parts} for share in (first, second))
        if common := sorted(ours & theirs):
            raise FeatureError(
                f"Part {common[0]} of {first.parts[0].of} of {first.source!r} is there twice: its "
                "images would be counted twice. Give each part once."
            )
        return  # a data set may itself hold an image twice
    if first.images is None or second.images is None:
        raise FeatureError(
            f"{first.source!r} and {second.source!r} can't be merged: one of them does not say "
            "which images it holds, so some might be counted twice. Build it again from its images."
        )
    common = {row.tobytes() for row in first.images} & {row.tobytes() for row in second.images}
    if common:
        raise FeatureError(
            f"{first.source!r} and {second.source!r} can't be merged: {count(len(common), 'image')}"
            " would be counted twice, because the same bytes are in both. Merge references of "
            "different images, or build one from all of them."
        )


def _stacked(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None
