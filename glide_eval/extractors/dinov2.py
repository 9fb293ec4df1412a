"""DINOv2 (Oquab et al. 2023), the network of FD-DINOv2 (Stein et al. 2023), through timm.

Features are the normalised class token that torch hub's `dinov2_vitl14` returns, of images prepared
as dgm-eval does: Pillow's bicubic to 224 × 224 whatever the aspect ratio, ImageNet's normalisation.

timm resamples position embeddings in another way than Meta's code, which moves every feature, so
they are resampled here as Meta does before timm sees them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from glide_eval.errors import UsageError

from .catalogue import EXTRACTORS
from .network import choose_device, inference, stacks
from .protocol import Extractor, Features
from .published import file_digest, foreign

SIZE = 224  # pixels a side
OFFSET = 0.1  # patches that Meta's code adds to the size it resamples position embeddings to
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class DinoV2(Extractor):
    """A DINOv2 of any size.

    Args:
        name: of the extractor.
        network: float (n, 3, 224, 224), normalised -> (n, d).
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA, else an Apple GPU, else the CPU.
    """

    provides = frozenset({"pool", "fd_dinov2"})

    def __init__(
        self,
        name: str,
        network: nn.Module,
        weights_sha256: str,
        device: torch.device | str | None = None,
    ) -> None:
        self.name = name
        self._device = choose_device(device)
        self._network = network.eval().to(self._device)
        self._mean = torch.tensor(_MEAN, device=self._device).view(3, 1, 1)
        self._std = torch.tensor(_STD, device=self._device).view(3, 1, 1)
        self.facts = {
            "extractor": name,
            "version": "1",
            "weights": weights_sha256,
            "resize": f"Pillow bicubic to {SIZE} × {SIZE}",
            "crop": "none",
            "quantisation": "uint8",
            "normalisation": "ImageNet",
            "dtype": "float32",
        }

    @classmethod
    def load(
        cls, name: str, path: Path | None = None, device: torch.device | str | None = None
    ) -> Self:
        """Load one of the four published networks, from Meta's file at `path` or wherever it lies.

        Args:
            name: `dinov2-vit-s-14`, `-b-14`, `-l-14` (that of FD-DINOv2) or `-g-14`.
            path: the file; None looks for it (`PublishedFile.find`).
            device: see the class.

        Raises:
            WeightsError: it is missing, or not the published file.
        """
        record = EXTRACTORS[name]
        path = path or record.published.find()
        digest = record.published.digest(path)
        return cls(name, _network(record.architecture, path), digest, device)

    @classmethod
    def from_file(
        cls, architecture: str, path: Path, device: torch.device | str | None = None
    ) -> Self:
        """Load any DINOv2 that timm knows, with any weights; its name has both.

        Args:
            architecture: timm's name, such as `vit_small_patch14_reg4_dinov2`.
            path: a state dict in Meta's or timm's layout, as safetensors or saved by torch.
            device: see the class.

        Raises:
            UsageError: timm has no such network.
            WeightsError: the file is missing or holds another network.
        """
        digest = file_digest(path, f"weights of timm's {architecture}")
        short = architecture.split(".", maxsplit=1)[0].replace("_", "-").removesuffix("-dinov2")
        return cls(f"dinov2-{short}-{digest[:6]}", _network(architecture, path), digest, device)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: uint8 (3, 224, 224)."""
        resized = Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float32, d = 384, 768, 1024 or 1536. Captions are not used."""
        with inference():
            pools = [
                self._network((batch.float() / 255 - self._mean) / self._std)
                for batch in stacks(prepared, self._device)
            ]
            return Features(torch.cat(pools).float().cpu().numpy())


def _network(architecture: str, path: Path) -> nn.Module:
    import timm
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    if "dinov2" not in architecture or not timm.is_model(architecture):
        known = ", ".join(timm.list_models("*dinov2*"))
        raise UsageError(f"timm has no DINOv2 named {architecture!r}; it has {known}.")
    with torch.device("meta"):  # no memory, no random numbers: the file brings every tensor
        network = timm.create_model(architecture, pretrained=False, num_classes=0, img_size=SIZE)
    assert isinstance(network, VisionTransformer)
    try:
        state = dict(_read(path))
        grid = network.patch_embed.grid_size[0]
        registers = any("reg" in key and "token" in key for key in state)
        state["pos_embed"] = _resampled(state["pos_embed"], grid, like_registers=registers)
        network.load_state_dict(checkpoint_filter_fn(state, network), assign=True)
    except Exception as error:  # readers of pickles and safetensors raise nearly anything
        raise foreign(path, f"DINOv2 weights of {architecture}", error) from error
    return network.float()


def _read(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict in a file, without running any code from it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _resampled(positions: Tensor, grid: int, *, like_registers: bool) -> Tensor:
    """Return position embeddings (1, [1 +] m², d) at grid × grid, resampled as Meta does.

    Networks without registers scale by (grid + 0.1) / m and do not antialias. Those with registers
    scale exactly and antialias.
    """
    side = math.isqrt(positions.shape[1])
    if side == grid:
        return positions
    own, patches = positions[:, : positions.shape[1] - side**2], positions[:, -(side**2) :]
    image = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    if like_registers:
        image = nn.functional.interpolate(image, size=(grid, grid), mode="bicubic", antialias=True)
    else:
        scale = (grid + OFFSET) / side
        image = nn.functional.interpolate(image, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([own, image.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
