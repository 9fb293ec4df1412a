"""Faster forwards, chosen by name: `accelerate(unet, "auto")`.

On CUDA: a UNet step is hundreds of small kernels; launching them one by one leaves a GPU idle at
small batches. A CUDA graph records them once for each set of shapes and replays them in one launch:
the same kernels, so the same bytes. `compile` has torch.compile fuse them first (norms, activations
and layout changes into single passes) and records a graph of that: faster still, rounded
differently, and minutes of compiling at first use.

On a CPU: wide convolutions by Winograd's products (`winograd`).
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo.config as dynamo
from torch import Tensor

from .clip import Clip
from .devices import is_lost, ran_out_of_memory
from .errors import GeneratorWarning, OptionError
from .text_unet import TextCondition, TextUNet
from .winograd import use_winograd

MODES = ("auto", "none", "graphs", "compile")
_KEPT_GRAPHS = 4  # shapes: base guided and unguided, full and halved batches

_COMPILED_SHAPES = 64  # of all UNets of a process together

_STAY = ("low_res", "inpaint_image", "inpaint_mask")

Forward = Callable[..., Tensor]
Replay = Callable[[], Tensor]
Capture = Callable[[Callable[[], Tensor]], Replay]


def accelerate(unet: TextUNet, mode: str = "auto", capture: Capture | None = None) -> TextUNet:
    """Replace a UNet's forward by a faster one, in place.

    Args:
        unet: placed on its device, in its dtype and layout.
        mode: `none`; `graphs` or `compile`, which need CUDA and elsewhere do nothing; or `auto`:
            graphs on CUDA, Winograd convolutions on a CPU.
        capture: records functions wherever the UNet is, in place of CUDA graphs; for tests.

    Raises:
        OptionError: an unknown mode.
    """
    if mode not in MODES:
        raise OptionError(f"Unknown acceleration {mode!r}: use one of {', '.join(MODES)}.")
    device = next(unet.parameters()).device
    if mode == "auto" and device.type == "cpu":
        use_winograd(unet)
    if mode == "none" or (device.type != "cuda" and capture is None):
        return unet
    plain = unet.forward
    forwards: list[Forward] = [plain]
    if mode == "compile":
        forwards.insert(0, _compiled(plain))
    unet.forward = GraphedForward(forwards, capture or CudaCapture(device))
    return unet


def accelerate_gradient(clip: Clip, mode: str = "auto", capture: Capture | None = None) -> Clip:
    """Record a CLIP's guiding gradient, in place; `mode` and `capture` as `accelerate`'s."""
    device = next(clip.parameters()).device
    if mode != "none" and (device.type == "cuda" or capture is not None):
        plain = clip.similarity_gradient
        clip.similarity_gradient = GraphedGradient(plain, capture or CudaCapture(device))
    return clip


def _compiled(plain: Forward) -> Forward:
    """Return a compiled forward that raises where torch.compile would give up and run it eagerly.

    All UNets share one function, so their shapes share its list of compiled versions, which torch
    ends at eight: two models, guided and unguided, at three batch sizes are twelve.
    """
    compiled = torch.compile(plain, dynamic=False)
    patch: Callable[..., AbstractContextManager[None]] = getattr(dynamo, "patch")  # noqa: B009

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        with patch(recompile_limit=_COMPILED_SHAPES, fail_on_recompile_limit_hit=True):
            return compiled(*args, **kwargs)

    return forward


class GraphedForward:
    """A UNet's forward by way of recorded graphs, one for each set of input shapes.

    Inputs are copied into the graph's own, the caption's only when another `TextCondition` object
    comes; the output is a copy, so callers may keep it. If recording fails, the next forward in the
    list is tried, and finally none is recorded; a warning says so. Running out of memory is not
    such a failure: the graphs are dropped and the error is raised.
    """

    def __init__(self, forwards: list[Forward], capture: Capture):
        """Wrap.

        Args:
            forwards: fastest first; the last is the UNet's own.
            capture: records a function of fixed tensors (`CudaCapture`).
        """
        self._forwards = list(forwards)
        self._plain = forwards[-1]
        self._capture = capture
        self._graphs: OrderedDict[tuple[object, ...], _Graph] = OrderedDict()

    @property
    def recorded(self) -> int:
        """How many graphs are kept: 0 where nothing was or could be recorded."""
        return len(self._graphs)

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        text: TextCondition,
        low_res: Tensor | None = None,
        inpaint_image: Tensor | None = None,
        inpaint_mask: Tensor | None = None,
    ) -> Tensor:
        """As `TextUNet.forward`."""
        images = {"low_res": low_res, "inpaint_image": inpaint_image, "inpaint_mask": inpaint_mask}
        images = {name: image for name, image in images.items() if image is not None}
        if torch.is_grad_enabled():  # a graph keeps nothing that a gradient could use
            return self._plain(x, t, text, **images)
        while self._forwards:
            try:
                return self._replayed(x, t, text, images)
            except Exception as error:
                if ran_out_of_memory(error):
                    self._graphs.clear()
                    # Once recording has ended in an error of its own, that error hides the class.
                    raise torch.OutOfMemoryError(str(error)) from error
                if is_lost(error):
                    raise
                self._step_down(error)
        return self._plain(x, t, text, **images)

    def _replayed(
        self, x: Tensor, t: Tensor, text: TextCondition, images: dict[str, Tensor]
    ) -> Tensor:
        inputs = {"x": x, "t": t, **images}
        key = tuple((name, tuple(value.shape), value.dtype) for name, value in inputs.items())
        graph = self._graphs.get(key)
        if graph is None:
            graph = _Graph.record(self._forwards[0], inputs, text, self._capture)
            self._graphs[key] = graph
            # Each graph holds tensors of its own, so the least recently used one goes.
            if len(self._graphs) > _KEPT_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return graph.run(inputs, text)

    def _step_down(self, error: Exception) -> None:
        self._forwards.pop(0)
        self._graphs.clear()
        instead = "a plain CUDA graph" if self._forwards else "unaccelerated forwards"
        warnings.warn(
            f"Acceleration failed ({type(error).__name__}: {error}); going on with {instead}. "
            "Images are right, but slower; accelerate = 'none' avoids the attempt.",
            GeneratorWarning,
            stacklevel=2,
        )


@dataclass
class _Graph:
    """A recording and the tensors it reads.

    What stays the same over a picture's steps (the caption, what is enlarged, what is painted in)
    is copied when another object comes. Comparing values instead would wait for the GPU.
    """

    inputs: dict[str, Tensor]
    text: TextCondition
    loaded: TextCondition
    replay: Replay
    images: dict[str, Tensor]

    @classmethod
    def record(
        cls, forward: Forward, inputs: dict[str, Tensor], text: TextCondition, capture: Capture
    ) -> _Graph:
        own = {name: value.clone() for name, value in inputs.items()}
        own_text = TextCondition(
            text.summary.contiguous().clone(), [kv.contiguous().clone() for kv in text.text_kv]
        )
        replay = capture(lambda: forward(text=own_text, **own))
        return cls(own, own_text, text, replay, {n: v for n, v in inputs.items() if n in _STAY})

    def run(self, inputs: dict[str, Tensor], text: TextCondition) -> Tensor:
        for name, value in inputs.items():
            if self.images.get(name) is not value:
                self.inputs[name].copy_(value)
            if name in _STAY:
                self.images[name] = value
        if text is not self.loaded:
            self.text.summary.copy_(text.summary)
            for own, new in zip(self.text.text_kv, text.text_kv, strict=True):
                own.copy_(new)
            self.loaded = text
        return self.replay().clone()


class GraphedGradient:
    """`Clip.similarity_gradient` by way of recorded graphs, the backward pass included.

    Text and weight stay the same over a picture's steps. If recording fails, the function runs
    unrecorded, and a warning says so.
    """

    def __init__(self, function: Callable[..., Tensor], capture: Capture):
        """Wrap the function; `capture` records one without arguments."""
        self._function, self._capture = function, capture
        self._graphs: OrderedDict[tuple[object, ...], _GradientGraph] = OrderedDict()
        self._failed = False

    @property
    def recorded(self) -> int:
        """How many graphs are kept."""
        return len(self._graphs)

    def __call__(self, x: Tensor, t: Tensor, text: Tensor, weight: Tensor) -> Tensor:
        """As the function."""
        inputs = (x, t, text, weight)
        if self._failed:
            return self._function(*inputs)
        key = tuple((tuple(value.shape), value.dtype) for value in inputs)
        try:
            if key not in self._graphs:
                own = [value.clone() for value in inputs]
                replay = self._capture(lambda: self._function(*own))
                self._graphs[key] = _GradientGraph(own, list(inputs), replay)
                if len(self._graphs) > _KEPT_GRAPHS:
                    self._graphs.popitem(last=False)
            self._graphs.move_to_end(key)
            return self._graphs[key].run(inputs)
        except Exception as error:
            self._graphs.clear()
            if ran_out_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from error
            if is_lost(error):
                raise
            self._failed = True
            warnings.warn(
                f"Recording guidance's gradient failed ({type(error).__name__}: {error}); going on "
                "without. Images are right, but slower; accelerate = 'none' avoids the attempt.",
                GeneratorWarning,
                stacklevel=2,
            )
            return self._function(*inputs)


@dataclass
class _GradientGraph:
    """A recording, the tensors it reads, and those last copied into them."""

    own: list[Tensor]
    loaded: list[Tensor]
    replay: Replay

    def run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for number, value in enumerate(inputs):
            if number < 2 or value is not self.loaded[number]:
                self.own[number].copy_(value)
                self.loaded[number] = value
        return self.replay().clone()


class CudaCapture:
    """Records functions as CUDA graphs that share one memory pool (they run one at a time)."""

    def __init__(self, device: torch.device):
        self._device = device
        self._pool: object = None

    def __call__(self, function: Callable[[], Tensor]) -> Replay:
        """Run twice on a side stream, since libraries choose kernels at first use; then record."""
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(2):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            with torch.cuda.graph(graph, pool=self._pool):  # pyright: ignore[reportArgumentType]
                output = function()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay
