"""The extractors: one record each, from which everything that lists or loads them derives.

To add one, add its record here and, unless a class of this room runs its network already, a module
with a class that derives from `Extractor`. Imports no torch, so that listing is quick.

OpenAI's digests stand in its addresses; the others are those that several independent projects pin.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from .protocol import Extractor
from .published import PublishedFile

_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_META = "https://dl.fbaipublicfiles.com/dinov2"


@dataclass(frozen=True, slots=True)
class ExtractorRecord:
    """One extractor by name.

    Attributes:
        name: as in `metrics.csv` and on the command line.
        kind: the module of this room that runs it.
        loader: the class there, whose `load` opens it.
        file: its weights as published; None if they ship in the packages.
        judges: the metrics it defines, in words; empty if none is defined with it.
        architecture: open_clip's or timm's name of its network; empty where there is one only.
        options: arguments of `load`.
        scorer: the name under which it also chooses among candidates; empty if it does not.
    """

    name: str
    kind: str
    loader: str
    file: PublishedFile | None = None
    judges: str = ""
    architecture: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    scorer: str = ""

    def load(self, device: str = "auto") -> Extractor:
        """Open it, with its weights.

        Args:
            device: where it runs; see `load_extractor`.

        Raises:
            WeightsError: its weights are not on disk or not its own.
        """
        module = importlib.import_module(f"{__package__}.{self.kind}")
        where = {"device": device} if self.file else {}  # bundled networks stay on the CPU
        return getattr(module, self.loader).load(**self.options, **where)

    @property
    def published(self) -> PublishedFile:
        """Its weights, for an extractor whose weights do not ship."""
        assert self.file is not None
        return self.file


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


def _inception(name: str, loader: str, file: PublishedFile, **options: str) -> ExtractorRecord:
    return ExtractorRecord(
        f"inception-{name}", "inception", loader, file, "FID and the Inception Score",
        options=options,
    )  # fmt: skip


def _clip(
    name: str,
    architecture: str,
    judges: str,
    file: str,
    sha256: str,
    parameters: int,
    *,
    aliases: tuple[str, ...] = (),
    scorer: str = "",
) -> ExtractorRecord:
    weights = PublishedFile(
        name, "weights", file, f"{_OPENAI}/{sha256}/{file}", sha256,
        f"OpenAI's CLIP {file.removesuffix('.pt')}", aliases, parameters=parameters,
    )  # fmt: skip
    return ExtractorRecord(
        name, "clip", "OpenClip", weights, judges, architecture, {"name": name}, scorer
    )


def _dinov2(
    size: str, architecture: str, sha256: str, parameters: int, length: int, judges: str = ""
) -> ExtractorRecord:
    name, stem = f"dinov2-vit-{size}-14", f"dinov2_vit{size}14"
    weights = PublishedFile(
        name, "weights", f"{stem}_pretrain.pth", f"{_META}/{stem}/{stem}_pretrain.pth", sha256,
        f"Meta's DINOv2 ViT-{size.upper() if size != 'g' else size}/14", size=length,
        parameters=parameters,
    )  # fmt: skip
    return ExtractorRecord(name, "dinov2", "DinoV2", weights, judges, architecture, {"name": name})


EXTRACTORS = {
    record.name: record
    for record in (
        ExtractorRecord("tabletop", "tabletop", "TabletopExtractor", scorer="tabletop-clean"),
        _inception("clean", "CleanFidInception", INCEPTION_TORCHSCRIPT, mode="clean"),
        _inception(
            "legacy-tensorflow", "CleanFidInception", INCEPTION_TORCHSCRIPT,
            mode="legacy_tensorflow",
        ),
        _inception(
            "legacy-pytorch", "CleanFidInception", INCEPTION_STATE_DICT, mode="legacy_pytorch"
        ),
        _inception("torchmetrics", "TorchmetricsInception", INCEPTION_STATE_DICT),
        _inception("torch-fidelity", "TorchFidelityInception", INCEPTION_STATE_DICT),
        _clip(
            "clip-vit-b-16", "ViT-B-16-quickgelu", "GLIDE's CLIP score", "ViT-B-16.pt",
            "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 149_620_737,
            aliases=("open_clip-ViT-B-16-openai.safetensors",), scorer="vit-b-16",
        ),
        _clip(
            "clip-vit-l-14-336", "ViT-L-14-336-quickgelu", "CMMD", "ViT-L-14-336px.pt",
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", 427_944_193,
        ),
        _dinov2(
            "s", "vit_small_patch14_dinov2",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            22_056_576, 88_283_115,
        ),
        _dinov2(
            "b", "vit_base_patch14_dinov2",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            86_580_480, 346_378_731,
        ),
        _dinov2(
            "l", "vit_large_patch14_dinov2",
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            304_368_640, 1_217_586_395, judges="FD-DINOv2",
        ),
        _dinov2(
            "g", "vit_giant_patch14_dinov2",
            "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
            1_136_480_768, 4_546_108_579,
        ),
    )
}  # fmt: skip


def published_files() -> list[PublishedFile]:
    """Return every weights file that some extractor needs, each once."""
    return list(dict.fromkeys(record.file for record in EXTRACTORS.values() if record.file))
