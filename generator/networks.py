"""The networks of a model: loaded at first use, released when memory is short."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from .config import ClipConfig, UNetConfig

M = TypeVar("M", bound=nn.Module)

# Which networks work at the same time: a UNet alone, or a small one and what guides it.
_BESIDE: dict[str, tuple[str, ...]] = {
    "base": ("clip", "classifier", "base_weak"),
    "base_weak": ("base",),
    "base_inpaint": ("clip", "classifier"),
    "clip": ("base", "base_inpaint"),
    "classifier": ("base", "base_inpaint"),
    "upsampler": (),
    "upsample_inpaint": (),
}
NETWORKS = tuple(_BESIDE)


class LazyModel(Generic[M]):
    """A network that is loaded when it is first used.

    Args:
        read_config: its hyper-parameters, read without its weights.
        load: the network, on its device.
    """

    def __init__(self, read_config: Callable[[], Any], load: Callable[[], M]):
        self._read_config = read_config
        self.load = load

    @cached_property
    def config(self) -> Any:
        """Hyper-parameters: a `UNetConfig` or `ClipConfig`; None for a network without."""
        return self._read_config()


class Networks:
    """Networks by what they do: `base`, `upsampler`, `clip`, … (`NETWORKS`).

    Args:
        models: networks, or lazy ones; any may be absent.
        low_memory: before loading a network, release those that never work at the same time.
            Networks that were passed in already loaded stay.
    """

    def __init__(
        self, models: Mapping[str, nn.Module | LazyModel[nn.Module]], low_memory: bool = False
    ):
        self._models = dict(models)
        self._loaded: dict[str, nn.Module] = {}
        self.low_memory = low_memory

    def __contains__(self, name: str) -> bool:
        return name in self._models

    @property
    def loaded(self) -> list[str]:
        """Networks in memory now."""
        ready = [name for name, model in self._models.items() if isinstance(model, nn.Module)]
        return [*ready, *self._loaded]

    def config(self, name: str) -> UNetConfig | ClipConfig:
        """Return a network's hyper-parameters; loads no weights."""
        model = self._models[name]
        return model.config  # pyright: ignore[reportReturnType]

    def get(self, name: str) -> nn.Module:
        """Return a network, loaded if it isn't.

        Raises:
            CheckpointError: its weights are missing, corrupt or of another model.
        """
        model = self._models[name]
        if isinstance(model, nn.Module):
            return model
        if name not in self._loaded:
            if self.low_memory:
                self.release(keep=_BESIDE[name])
            self._loaded[name] = model.load()
        return self._loaded[name]

    def release(self, keep: tuple[str, ...] = ()) -> None:
        """Release loaded networks except `keep`; they are loaded again when used."""
        gone = [name for name in self._loaded if name not in keep]
        for name in gone:
            del self._loaded[name]
        if gone:
            gc.collect()  # what still points at them, such as a compiled step, often forms a cycle
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
