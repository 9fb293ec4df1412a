"""A GPU made of shapes: what the GPU path launches, copies and waits for, seen without a GPU.

Tensors are fake (`FakeTensorMode`) and say that they are on `cuda`; a dispatch mode sees every
operation. It cannot see numbers or times, and no backward pass: autograd asks for a real device.
"""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from generator import finite, seeds
from generator.checkpoints import low_precision_entries
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.pipeline import Pipeline
from generator.tabletop.classifier import SceneClassifier
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet

ATEN = torch.ops.aten
_COPIES = (ATEN._to_copy.default, ATEN.copy_.default, ATEN.copy.default)
_WAITS = (
    ATEN._local_scalar_dense.default, ATEN.item.default, ATEN.is_nonzero.default,
    ATEN.nonzero.default, ATEN.masked_select.default, ATEN.equal.default, ATEN._unique2.default,
)  # fmt: skip
# Operations that take a scalar on the CPU as a number, beside tensors on the device.
_TAKE_SCALARS = ("add", "sub", "mul", "div", "rsub", "add_", "sub_", "mul_", "div_", "lerp_")
# Results that share their argument's memory, or only name a place for one: no kernel runs.
_NO_KERNEL = ("empty", "empty_like", "empty_strided", "new_empty", "detach", "lift_fresh", "alias",
              "_unsafe_view", "_reshape_alias")  # fmt: skip


@dataclass
class Traffic:
    """What happened between two marks.

    Attributes:
        kernels: operations that compute on the device.
        blocking: copies from the CPU for which the CPU waits, or that it hides in an operation.
        pinned: copies from the CPU for which it does not wait.
        waits: of the CPU for the device's numbers.
        double: float64 results on the device, which Apple's GPUs do not have.
        names: of the blocking copies, waits and doubles, for messages.
    """

    kernels: int = 0
    blocking: int = 0
    pinned: int = 0
    waits: int = 0
    double: int = 0
    names: list[str] = field(default_factory=list)


class Watching(TorchDispatchMode):
    """Counts in `now`; `mark()` moves the counts to `steps` and begins anew."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.steps = Traffic(), list[Traffic]()
        self.host: dict[int, Tensor] = {}  # pinned tensors by address
        self.counting = True

    def mark(self, *_: object) -> None:
        self.steps.append(self.now)
        self.now = Traffic()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.counting:
            self._count(func, torch.utils._pytree.tree_leaves((args, kwargs)), out)
        return out

    def _count(self, func: Any, given: list[Any], out: Any) -> None:
        tensors = [value for value in given if isinstance(value, Tensor)]
        results = [
            value for value in torch.utils._pytree.tree_leaves(out) if isinstance(value, Tensor)
        ]
        name = func.__name__
        from_device = any(value.is_cuda for value in tensors)
        on_device = any(value.is_cuda for value in results)
        if name.startswith("_foreach"):  # on lists in place: returns nothing
            on_device = from_device
        name = func.__name__
        if (func in _WAITS and from_device) or (from_device and results and not on_device):
            self.now.waits += 1
            self.now.names.append(f"wait: {name}")
        if any(value.is_cuda and value.dtype == torch.float64 for value in results):
            self.now.double += 1
            self.now.names.append(f"float64: {name}")
        from_host = [value for value in tensors if not value.is_cuda]
        if on_device and from_host:
            self._copied(func, from_host, given)
        view = func.is_view or name.split(".")[0] in _NO_KERNEL
        if (on_device and not view and func not in _COPIES[:1]) or (
            func in _COPIES[:1] and from_device
        ):
            self.now.kernels += 1

    def _copied(self, func: Any, from_host: list[Tensor], given: list[Any]) -> None:
        name = func.__name__.split(".")[0]
        if func in _COPIES:
            if not isinstance(from_host[0], fake_tensor.FakeTensor) and (
                from_host[0].data_ptr() in self.host
            ):
                self.now.pinned += 1
                return
        elif all(value.dim() == 0 for value in from_host) and name in _TAKE_SCALARS:
            return
        self.now.blocking += 1
        self.now.names.append(f"copy: {func.__name__}")


def fake_mode() -> FakeTensorMode:
    """Tensors are fake within; tensors of one mode don't mix with another's."""
    return FakeTensorMode(allow_non_fake_inputs=True)


@contextlib.contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch, mode: FakeTensorMode) -> Iterator[Watching]:
    """Within, tensors are fake and nothing needs numbers; yields what watches them."""
    watching, draw = Watching(), seeds.SampleNoise._drawn

    def host_tensor(shape: tuple[int, ...], device: torch.device) -> Tensor:
        made = torch.empty(shape)
        if device.type == "cuda":
            watching.host[made.data_ptr()] = made
        return made

    def drawn(self: seeds.SampleNoise, number: int, shape: tuple[int, ...]) -> Tensor:
        with unset_fake_temporarily():
            return draw(self, number, shape)

    monkeypatch.setattr(seeds, "host_tensor", host_tensor)
    monkeypatch.setattr(seeds.SampleNoise, "_drawn", drawn)
    # Its one look at the end would read numbers, and there are none.
    monkeypatch.setattr(finite.Watch, "require_finite", lambda self, x, captions, seeds: x)
    monkeypatch.setattr(fake_tensor, "CONSTANT_NUMEL_LIMIT", 64)  # steps t of a batch are known
    monkeypatch.setattr(torch.autograd, "grad", lambda outputs, inputs: (torch.empty_like(inputs),))
    with mode, torch.no_grad(), watching:
        yield watching


def fake_unet(config: UNetConfig, dtype: torch.dtype, device: str = "cuda") -> TextUNet:
    """A UNet on the device as `loading` places it."""
    with torch.device("meta"):
        made = TextUNet(config).eval()
    low = low_precision_entries(made)
    state = {
        name: torch.empty(
            value.shape, dtype=dtype if name in low else torch.float32, device=device,
            memory_format=torch.channels_last if value.dim() == 4 else torch.contiguous_format,
        )
        for name, value in made.state_dict().items()
    }  # fmt: skip
    made.load_state_dict(state, assign=True)
    return made.requires_grad_(False)


def fake_pipeline(
    base: UNetConfig, upsampler: UNetConfig, clip: ClipConfig, dtype: torch.dtype = torch.float32,
    device: str = "cuda", **options: Any,
) -> Pipeline:  # fmt: skip
    """All networks of a model, without numbers, on the device."""

    def unet(config: UNetConfig) -> TextUNet:
        return fake_unet(config, dtype, device)

    with torch.device(device):
        guides = Clip(clip), SceneClassifier()
    for network in guides:
        network.eval().requires_grad_(False)
    return Pipeline(
        unet(base), unet(upsampler), guides[0], WordTokenizer(), {}, torch.device(device), dtype,
        base_inpaint=unet(dataclasses.replace(base, inpaint=True)),
        upsample_inpaint=unet(dataclasses.replace(upsampler, inpaint=True)),
        classifier=guides[1], base_weak=unet(base), **options,
    )  # fmt: skip


class DeviceBytes(TorchDispatchMode):
    """Counts the bytes of living tensors on the fake device, and their highest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in torch.utils._pytree.tree_leaves(out):
            if isinstance(value, Tensor) and value.is_cuda:
                self._count(value.untyped_storage())
        return out

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size
