"""Inception-v3 as FID is published with, through the libraries that define its values.

| name | network | resizing to 299 |
| --- | --- | --- |
| inception-clean | NVIDIA's TorchScript | clean-fid `clean`: Pillow bicubic in float |
| inception-legacy-tensorflow | NVIDIA's TorchScript | its own: bilinear, no antialiasing, as TTUR |
| inception-legacy-pytorch | pytorch-fid's | clean-fid `legacy_pytorch`: bilinear, no antialiasing |
| inception-torchmetrics | torch-fidelity's | torchmetrics: bilinear, antialiased |
| inception-torch-fidelity | torch-fidelity's | its own: TensorFlow 1's bilinear, no antialiasing |

All five hold the network of 2015; they differ in resizing, which moves FID by whole points (Parmar
et al. 2022), so their values never share a column. The libraries' own code runs the networks on
weights from disk. This module loads weights, prepares batches and adapts networks to `Extractor`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from glide_eval.errors import WeightsError

from .catalogue import INCEPTION_STATE_DICT, INCEPTION_TORCHSCRIPT
from .network import choose_device, inference, stacks
from .protocol import Extractor, Features
from .published import foreign

_CLEAN_FID = {
    "clean": "Pillow bicubic in float, clipped to 0..255",
    "legacy_tensorflow": "inside the network, bilinear without antialiasing",
    "legacy_pytorch": "torch bilinear without antialiasing, in float",
}


class CleanFidInception(Extractor):
    """One of clean-fid's three modes.

    Args:
        network: clean-fid's model of that mode, or its like: float (n, 3, 299, 299) in 0..255, in
            `legacy_tensorflow` of any size -> (n, d).
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA, else an Apple GPU, else the CPU.
        mode: `clean`, `legacy_tensorflow` or `legacy_pytorch`.
        head: float (k, d): gives the logits of the Inception Score, without bias as in the
            original. None gives none.
    """

    def __init__(
        self,
        network: nn.Module,
        weights_sha256: str,
        device: torch.device | str | None = None,
        *,
        mode: str = "clean",
        head: Tensor | None = None,
    ) -> None:
        self.name = "inception-" + mode.replace("_", "-")
        self._device = choose_device(device)
        self._network = network.eval().to(self._device)
        self._resize = _resizer(mode)
        self._head = head
        self.provides = _provides(head)
        self.facts = {
            "extractor": self.name,
            "version": "1",
            "weights": weights_sha256,
            "resize": f"clean-fid {mode}: {_CLEAN_FID[mode]}, to 299 × 299",
            "crop": "none",
            "quantisation": "none",
            "dtype": "float32",
        }

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        device: torch.device | str | None = None,
        *,
        mode: str = "clean",
        published: bool = True,
    ) -> Self:
        """Load from the weights at `path`, or wherever they lie on disk.

        `legacy_pytorch` reads the state dict of pytorch-fid, the other modes NVIDIA's TorchScript.
        That is code, so by default only the published file, told by its sha256, is run. clean-fid
        itself keeps it in the machine's temporary folder; that is not searched.

        Args:
            path: the file; None looks for it (`PublishedFile.find`).
            device: see the class.
            mode: see the class.
            published: refuse any other file. False runs whatever is there.

        Raises:
            WeightsError: it is missing, or not that network.
        """
        if mode == "legacy_pytorch":
            path = path or INCEPTION_STATE_DICT.find()
            digest = INCEPTION_STATE_DICT.digest(path, published=published)
            network, head = _pytorch_fid(path)
        else:
            path = path or INCEPTION_TORCHSCRIPT.find()
            digest = INCEPTION_TORCHSCRIPT.digest(path, published=published)
            network = _torchscript(path, resize_inside=mode == "legacy_tensorflow")
            head = _output_weight(network.base)
        return cls(network, digest, device, mode=mode, head=head)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: float32 (3, 299, 299) in 0..255; `legacy_tensorflow` keeps the size."""
        resized = self._resize(image.copy())  # torch warns of arrays it can't write to
        return np.ascontiguousarray(resized.transpose(2, 0, 1))

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float32, d = 2048. Captions are not used."""
        with inference():
            pools = [self._network(batch) for batch in stacks(prepared, self._device)]
            return _features(torch.cat(pools), self._head)


class TorchmetricsInception(Extractor):
    """The network behind `torchmetrics.image.FrechetInceptionDistance`.

    It resizes by itself, so `prepare` has nothing to do.

    Args:
        network: whatever that metric takes as `feature`: uint8 (n, 3, h, w) -> float (n, d),
            resizing by itself. If it has an `fc` with a weight (k, d), that gives the logits of
            the Inception Score, without bias (`logits_unbiased`).
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA, else an Apple GPU, else the CPU.
    """

    name = "inception-torchmetrics"
    _resize = "torchmetrics: bilinear, antialiased, in float, to 299 × 299"

    def __init__(
        self, network: nn.Module, weights_sha256: str, device: torch.device | str | None = None
    ) -> None:
        self._device = choose_device(device)
        self._network = network.eval().to(self._device)
        head = getattr(getattr(network, "fc", None), "weight", None)
        self._head = head.detach() if head is not None else None
        self.provides = _provides(self._head)
        self.facts = {
            "extractor": self.name,
            "version": "1",
            "weights": weights_sha256,
            "resize": self._resize,
            "crop": "none",
            "quantisation": "none",
            "dtype": "float32",
        }

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        device: torch.device | str | None = None,
        *,
        published: bool = True,
    ) -> Self:
        """Load from torch-fidelity's weights at `path`, or wherever they lie on disk.

        Args:
            path: the file; None looks for it (`PublishedFile.find`).
            device: see the class.
            published: refuse any other weights, told by sha256.

        Raises:
            WeightsError: they are missing, not of that network, or torch-fidelity is not installed.
        """
        path = path or INCEPTION_STATE_DICT.find()
        digest = INCEPTION_STATE_DICT.digest(path, published=published)
        try:
            # torch-fidelity loads with pickle; what loads here first holds tensors and no code.
            torch.load(path, map_location="cpu", weights_only=True)
            network = cls._build(path)
        except ModuleNotFoundError as error:
            raise WeightsError(
                f"{cls.name} needs torch-fidelity, which its network comes from, and it is not "
                "installed. Install it with `pip install torch-fidelity`."
            ) from error
        except Exception as error:  # pickle and zip readers raise nearly anything
            raise foreign(path, "torch-fidelity's Inception-v3 state dict", error) from error
        return cls(network, digest, device)

    @staticmethod
    def _build(path: Path) -> nn.Module:
        from torchmetrics.image.fid import NoTrainInceptionV3

        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: uint8 (3, h, w) as it is."""
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float32, d = 2048. Captions are not used."""
        with inference():
            pools = [self._pool(batch) for batch in stacks(prepared, self._device)]
            return _features(torch.cat(pools), self._head)

    def _pool(self, batch: Tensor) -> Tensor:
        return self._network(batch)


class TorchFidelityInception(TorchmetricsInception):
    """The network as `fidelity` runs it: TensorFlow 1's bilinear resizing, not antialiased.

    Args:
        network: as torch-fidelity's feature extractors: uint8 (n, 3, h, w) -> a tuple whose first
            entry is float (n, d).
        weights_sha256: see `TorchmetricsInception`.
        device: see `TorchmetricsInception`.
    """

    name = "inception-torch-fidelity"
    _resize = "torch-fidelity: TensorFlow 1's bilinear without antialiasing, in float, to 299 × 299"

    @staticmethod
    def _build(path: Path) -> nn.Module:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        return FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))

    def _pool(self, batch: Tensor) -> Tensor:
        return self._network(batch)[0]


class _PytorchFid(nn.Module):
    """clean-fid's model function of `legacy_pytorch`, from 0..255 to pooled features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images / 255)[0].flatten(1)


class _ResizingInside(nn.Module):
    """clean-fid's `legacy_tensorflow`, whose data loader divides by 255 and multiplies again."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.base = network, network.base

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.float() / 255 * 255)


def _resizer(mode: str) -> Callable[[np.ndarray], np.ndarray]:
    from cleanfid.resize import build_resizer

    with warnings.catch_warnings():  # it silences every warning of the process
        return build_resizer(mode)


def _torchscript(path: Path, *, resize_inside: bool) -> Any:
    from cleanfid.inception_torchscript import InceptionV3W

    if path.name != INCEPTION_TORCHSCRIPT.file:
        raise WeightsError(
            f"{path}: clean-fid reads a file named {INCEPTION_TORCHSCRIPT.file}; rename it."
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
            loaded = InceptionV3W(str(path.parent), download=False, resize_inside=resize_inside)
        network = _ResizingInside(loaded) if resize_inside else loaded
        with inference():
            network.eval()(torch.zeros(1, 3, 299, 299))
    except (RuntimeError, AttributeError, ValueError) as error:
        raise foreign(path, "a TorchScript Inception-v3 with `layers`", error) from error
    return network


def _pytorch_fid(path: Path) -> tuple[nn.Module, Tensor]:
    """Return clean-fid's InceptionV3 with the weights at `path`, and its last layer's weight."""
    from cleanfid.inception_pytorch import InceptionV3

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        with _weights_from(state), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision deprecates what clean-fid calls
            network = InceptionV3(output_blocks=[3], resize_input=False)
        return _PytorchFid(network), state["fc.weight"]
    except Exception as error:  # pickle and zip readers raise nearly anything
        raise foreign(path, "pytorch-fid's Inception-v3 state dict", error) from error


@contextlib.contextmanager
def _weights_from(state: dict[str, Tensor]) -> Iterator[None]:
    """Give clean-fid's constructor these weights in place of a download."""
    from cleanfid import inception_pytorch

    download = inception_pytorch.load_state_dict_from_url
    inception_pytorch.load_state_dict_from_url = lambda *_, **__: state
    try:
        yield
    finally:
        inception_pytorch.load_state_dict_from_url = download


def _provides(head: Tensor | None) -> frozenset[str]:
    return frozenset({"pool", "fid"} | ({"logits"} if head is not None else set()))


def _features(pool: Tensor, head: Tensor | None) -> Features:
    pool = pool.flatten(1).float()
    logits = None if head is None else (pool @ head.to(pool).T).cpu().numpy()
    return Features(pool.cpu().numpy(), logits)


def _output_weight(base: Any) -> Tensor | None:
    weight = getattr(getattr(base, "output", None), "weight", None)
    return weight.detach() if isinstance(weight, Tensor) and weight.ndim == 2 else None
