"""The networks that metrics are published with: their files, addresses and digests.

OpenAI's digests stand in its addresses; the others are those that several independent projects pin.
Imports no torch, so that listing models is quick. Nothing here downloads: `glide-eval models fetch`
does, a metric only looks on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import WeightsError
from glide_eval.files import find_weights

_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_META = "https://dl.fbaipublicfiles.com/dinov2"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One weights file as its authors publish it.

    Attributes:
        model: the entry of `glide-eval models` it belongs to.
        name: short, for `models fetch --only`.
        file: its name, as published and on disk.
        url: where.
        sha256: hex digest.
        what: it is, in a few words.
        aliases: other names it, or a conversion of it, may have on disk.
        size: bytes; None if not known for certain.
        parameters: of the network in it; 0 if not counted.
    """

    model: str
    name: str
    file: str
    url: str
    sha256: str
    what: str
    aliases: tuple[str, ...] = ()
    size: int | None = None
    parameters: int = 0

    def find(self) -> Path:
        """Where it lies on this machine, the caches of torch and CLIP included.

        Raises:
            WeightsError: nowhere, with where it was looked for and the command that fetches it.
        """
        return find_weights(
            self.file,
            f"{self.what} ({self.url})",
            also=list(_library_caches()),
            aliases=self.aliases,
            fetch=f"{self.model} --only {self.name}",
        )

    def digest(self, path: Path, *, published: bool = True) -> str:
        """Hex sha256 of the file at `path`.

        Args:
            path: of what should be this file.
            published: refuse any other bytes.

        Raises:
            WeightsError: it is missing, or not the published one.
        """
        digest = file_digest(path, self.what)
        if published and digest != self.sha256:
            expected = f"in {self.size:,} bytes" if self.size else "as published"
            raise WeightsError(
                f"{path} is corrupt or of another model: expected {self.what}, whose sha256 begins "
                f"{self.sha256[:8]} {expected}, found {digest[:8]} in {path.stat().st_size:,} "
                f"bytes. Delete the file and fetch it again: glide-eval models fetch {self.model}."
            )
        return digest


INCEPTION_TORCHSCRIPT = PublishedFile(
    "inception",
    "torchscript",
    "inception-2015-12-05.pt",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
    "inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    "NVIDIA's TorchScript Inception-v3, which clean-fid runs",
)
INCEPTION_STATE_DICT = PublishedFile(
    "inception",
    "state-dict",
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "the Inception-v3 state dict of torch-fidelity, torchmetrics and pytorch-fid",
    aliases=("pt_inception-2015-12-05-6726825d.pth",),  # pytorch-fid's name of the same bytes
    size=95_628_359,
)
INCEPTION = (INCEPTION_TORCHSCRIPT, INCEPTION_STATE_DICT)


def _openai_clip(
    model: str, file: str, sha256: str, parameters: int, *aliases: str
) -> PublishedFile:
    return PublishedFile(
        model, "weights", file, f"{_OPENAI}/{sha256}/{file}", sha256,
        f"OpenAI's CLIP {file.removesuffix('.pt')}", aliases, parameters=parameters,
    )  # fmt: skip


CLIP_WEIGHTS = {
    clip.model: clip
    for clip in (
        _openai_clip(
            "clip-vit-b-16",
            "ViT-B-16.pt",
            "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
            149_620_737,
            "open_clip-ViT-B-16-openai.safetensors",
        ),
        _openai_clip(
            "clip-vit-l-14-336",
            "ViT-L-14-336px.pt",
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
            427_944_193,
        ),
    )
}


def _dinov2(size: str, sha256: str, parameters: int, length: int | None = None) -> PublishedFile:
    name = f"dinov2_vit{size}14"
    return PublishedFile(
        f"dinov2-vit-{size}-14", "weights", f"{name}_pretrain.pth",
        f"{_META}/{name}/{name}_pretrain.pth", sha256,
        f"Meta's DINOv2 ViT-{size.upper() if size != 'g' else size}/14", size=length,
        parameters=parameters,
    )  # fmt: skip


DINOV2 = {
    network.model: network
    for network in (
        _dinov2(
            "s",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            22_056_576,
            88_283_115,
        ),
        _dinov2(
            "b",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            86_580_480,
            346_378_731,
        ),
        _dinov2(
            "l",
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            304_368_640,
            1_217_586_395,
        ),
        _dinov2(
            "g",
            "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
            1_136_480_768,
            4_546_108_579,
        ),
    )
}


def file_digest(path: Path, what: str) -> str:
    """Hex sha256 of a weights file.

    Raises:
        WeightsError: it is missing or can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing: expected {what} there.") from error
    except OSError as error:
        raise WeightsError(f"{path} can't be read ({error.strerror}): expected {what}.") from error


def foreign(path: Path, expected: str, error: Exception) -> WeightsError:
    """What to raise of a file whose reader raised `error`."""
    lines = str(error).strip().splitlines()
    found = " ".join(line.strip() for line in lines[:2])[:200] if lines else repr(error)
    return WeightsError(
        f"{path} is corrupt or of another model: expected {expected}, found {found!r}. "
        "Delete the file and put the right one there."
    )


def _library_caches() -> Iterator[Path]:
    """Where torch.hub and CLIP's own packages keep the same files."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield Path(os.environ.get("TORCH_HOME") or home / "torch").expanduser() / "hub" / "checkpoints"
    yield Path.home() / ".cache" / "clip"
