"""Several processes that train one model: `torchrun` starts them, gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from generator.devices import checked_device

_BUCKET = 2**24  # gradient elements sent together


@dataclass(frozen=True)
class Processes:
    """This process's rank among those that train together.

    Attributes:
        rank: 0 writes files and reports.
        count: of all processes.
    """

    rank: int = 0
    count: int = 1

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place, in every process."""
        if self.count == 1:
            return
        buckets = list(_buckets(tensors))
        # Sent one behind the other while the next is put together and the last is taken apart.
        sent = [_sent(bucket) for bucket in buckets]
        for bucket, (flat, work) in zip(buckets, sent, strict=True):
            work.wait()
            flat /= self.count
            parts = flat.split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def wait(self) -> None:
        """Return once every process has called this."""
        if self.count > 1:
            distributed.barrier()


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """Connect the processes that `torchrun` started, and return them and this one's device.

    Without torchrun this process is alone on `device`. With it, `cuda` becomes the card of the
    process's local rank.

    Raises:
        OptionError: there are fewer cards than processes on this machine.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE, device
        return
    if device == "cuda":
        # Refused here if there are more processes than cards: NCCL would hang or name ranks alone.
        device = str(checked_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}"))
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(distributed.get_rank(), count), device
    finally:
        distributed.destroy_process_group()


def _sent(bucket: list[Tensor]) -> tuple[Tensor, distributed.Work]:
    """Begin to add up a bucket over the processes: where the sum will be, and what to wait for."""
    flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
    work = distributed.all_reduce(flat, async_op=True)
    assert work is not None, "only processes outside the group get none"
    return flat, work


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        bucket.append(tensor)
        if sum(t.numel() for t in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
