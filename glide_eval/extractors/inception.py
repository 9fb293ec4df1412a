"""Inception-v3 as FID is published with, through the two libraries that define its values.

`inception-clean` is clean-fid's `clean` mode (Parmar et al. 2022): Pillow bicubic in float, channel
by channel, then NVIDIA's TorchScript translation of the 2015 network. `inception-torchmetrics` is
torchmetrics' network (torch-fidelity's port of the same weights) with its antialiased bilinear
resizing of tensors. The two differ by resizing, so their values never share a column.

Weights are looked for on disk only. The libraries' own code runs the networks: what is here loads,
prepares batches and keeps the contract.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from glide_eval.errors import WeightsError
from glide_eval.user_files import find_weights

from .protocol import Features, fingerprint

CLEAN_WEIGHTS = "inception-2015-12-05.pt"
CLEAN_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
TORCHMETRICS_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
TORCHMETRICS_SHA256 = "6726825d"  # its first digits, which the file's name carries


class CleanFidInception:
    """clean-fid's `clean` mode.

    Args:
        network: clean-fid's `InceptionV3W` or its like: float (n, 3, 299, 299) in 0..255 -> (n, d).
            If it has `.base.output` with a weight (k, d), that gives the logits of the Inception
            Score, without bias as in the original.
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA if there is one, else the CPU.
    """

    name = "inception-clean"

    def __init__(
        self, network: nn.Module, weights_sha256: str, device: torch.device | str | None = None
    ) -> None:
        self._device = _device(device)
        self._network = network.eval().to(self._device)
        self._head = _output_weight(getattr(network, "base", None))
        self.provides = frozenset(
            {"pool", "fid"} | ({"logits"} if self._head is not None else set())
        )
        self.fingerprint = fingerprint(
            extractor=self.name,
            version=1,
            weights=weights_sha256,
            resize="clean-fid clean: Pillow bicubic in float to 299",
            quantisation="none",
            dtype="float32",
        )

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        device: torch.device | str | None = None,
        *,
        published: bool = True,
    ) -> Self:
        """From NVIDIA's TorchScript file at `path`, or wherever it lies on disk.

        TorchScript is code, so by default only the published file, told by its sha256, is run.
        clean-fid itself keeps it in the machine's temporary folder; that is not searched.

        Args:
            path: the file; None looks for it (`find_weights`).
            device: see the class.
            published: refuse any other file. False runs whatever is there.

        Raises:
            WeightsError: it is missing, or not that network.
        """
        from cleanfid.inception_torchscript import InceptionV3W

        path = path or find_weights(
            CLEAN_WEIGHTS, "NVIDIA's TorchScript Inception-v3 (stylegan2-ada-pytorch metrics)"
        )
        digest = _sha256(path, CLEAN_SHA256 if published else "")
        if path.name != CLEAN_WEIGHTS:
            raise WeightsError(f"{path}: clean-fid reads a file named {CLEAN_WEIGHTS}; rename it.")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
                network = InceptionV3W(str(path.parent), download=False, resize_inside=False)
            with torch.inference_mode():
                network.eval()(torch.zeros(1, 3, 299, 299))
        except (RuntimeError, AttributeError, ValueError) as error:
            raise _foreign(path, "a TorchScript Inception-v3 with `layers`", error) from error
        return cls(network, digest, device)

    def extract(
        self, images: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor.extract`; float32, d = 2048. Captions are not used."""
        from cleanfid.resize import make_resizer

        resize = make_resizer("PIL", False, "bicubic", (299, 299))  # clean-fid's `clean` mode
        batch = np.stack([resize(image) for image in images]).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            pool = self._network(torch.from_numpy(np.ascontiguousarray(batch)).to(self._device))
        return _features(pool, self._head)


class TorchmetricsInception:
    """The network behind `torchmetrics.image.FrechetInceptionDistance`.

    Args:
        network: whatever that metric takes as `feature`: uint8 (n, 3, h, w) -> float (n, d),
            resizing by itself. If it has an `fc` with a weight (k, d), that gives the logits of
            the Inception Score, without bias (`logits_unbiased`).
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA if there is one, else the CPU.
    """

    name = "inception-torchmetrics"

    def __init__(
        self, network: nn.Module, weights_sha256: str, device: torch.device | str | None = None
    ) -> None:
        self._device = _device(device)
        self._network = network.eval().to(self._device)
        head = getattr(getattr(network, "fc", None), "weight", None)
        self._head = head.detach() if head is not None else None
        self.provides = frozenset(
            {"pool", "fid"} | ({"logits"} if self._head is not None else set())
        )
        self.fingerprint = fingerprint(
            extractor=self.name,
            version=1,
            weights=weights_sha256,
            resize="torchmetrics: bilinear, antialiased, in float to 299",
            quantisation="none",
            dtype="float32",
        )

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        device: torch.device | str | None = None,
        *,
        published: bool = True,
    ) -> Self:
        """From torch-fidelity's weights at `path`, or wherever they lie on disk.

        Args:
            path: the file; None looks for it (`find_weights`, and where torch-fidelity keeps it).
            device: see the class.
            published: refuse any other weights, told by sha256.

        Raises:
            WeightsError: they are missing, not of that network, or torch-fidelity is not installed.
        """
        from torchmetrics.image.fid import NoTrainInceptionV3

        path = path or find_weights(
            TORCHMETRICS_WEIGHTS,
            "torch-fidelity's Inception-v3 (its release v0.2.0)",
            also=[Path(torch.hub.get_dir()) / "checkpoints"],
        )
        digest = _sha256(path, TORCHMETRICS_SHA256 if published else "")
        try:
            # torch-fidelity loads with pickle; what loads here first holds tensors and no code.
            torch.load(path, map_location="cpu", weights_only=True)
            network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
        except ModuleNotFoundError as error:
            raise WeightsError(
                "inception-torchmetrics needs torch-fidelity, which torchmetrics takes its network "
                "from, and it is not installed. Install it with `pip install torch-fidelity`."
            ) from error
        except Exception as error:  # pickle and zip readers raise nearly anything
            raise _foreign(path, "torch-fidelity's Inception-v3 state dict", error) from error
        return cls(network, digest, device)

    def extract(
        self, images: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor.extract`; float32, d = 2048. Captions are not used."""
        with torch.inference_mode():
            pools = [
                self._network(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()).to(self._device))
                for batch in _stacks(images)
            ]
        return _features(torch.cat(pools), self._head)


def _features(pool: Tensor, head: Tensor | None) -> Features:
    with torch.inference_mode():
        pool = pool.flatten(1).float()
        logits = None if head is None else (pool @ head.to(pool).T).cpu().numpy()
    return Features(pool.cpu().numpy(), logits)


def _stacks(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Runs of images of one size, stacked: uint8 (n, h, w, 3)."""
    start = 0
    for end in range(1, len(images) + 1):
        if end == len(images) or images[end].shape != images[start].shape:
            yield np.stack(images[start:end])
            start = end


def _output_weight(base: Any) -> Tensor | None:
    weight = getattr(getattr(base, "output", None), "weight", None)
    return weight.detach() if isinstance(weight, Tensor) and weight.ndim == 2 else None


def _device(device: torch.device | str | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _sha256(path: Path, expected: str) -> str:
    """Hex digest of the file; it must begin with `expected`."""
    if not path.is_file():
        raise WeightsError(f"{path} is missing: expected Inception-v3 weights there.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise WeightsError(
            f"{path} is corrupt or of another model: expected a sha256 that begins {expected[:8]}, "
            f"found {digest[:8]} in {path.stat().st_size:,} bytes. Delete the file and put the "
            "published one there."
        )
    return digest


def _foreign(path: Path, expected: str, error: Exception) -> WeightsError:
    found = str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)
    return WeightsError(
        f"{path} is corrupt or of another model: expected {expected}, found {found!r}. "
        "Delete the file and put the right one there."
    )
