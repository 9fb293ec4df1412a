"""What differs between devices: whether one is there, its half precision, TF32, errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from .errors import GeneratorError, OptionError

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_AMPERE = 8  # the first CUDA capability with bfloat16 units and TF32


def checked_device(name: str) -> torch.device:
    """Return the device of that name, if this machine has it.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, `mps`, …; `auto` is CUDA where there is one, else an Apple
            GPU, else the CPU.

    Raises:
        OptionError: the machine lacks it, or torch knows no such device.
    """
    if name == "auto":
        apple = "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device("cuda" if torch.cuda.is_available() else apple)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(
            f"Unknown device {name!r}: use cpu, mps, cuda or one card such as cuda:1."
        ) from None
    missing = _missing(device)
    if missing:
        raise OptionError(f"Device {name!r} is not there: {missing} Use device = 'cpu'.")
    return device


def _missing(device: torch.device) -> str:
    if device.type == "mps" and not torch.backends.mps.is_available():
        return "no Apple GPU found."
    if device.type != "cuda":
        return ""
    if not torch.cuda.is_available():
        return "no CUDA device found."
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        return f"found {count} CUDA device{'s' if count > 1 else ''}, numbered from 0."
    return ""


def fastest_dtype(device: torch.device) -> str:
    """Return the name of the precision that `dtype = "auto"` means on a device.

    It is float32 on a CPU; bfloat16 on CUDA from compute capability 8.0 (Ampere); and float16 on
    older cards and Apple's GPUs, which compute bfloat16 slowly or not at all.
    """
    if device.type == "cpu":
        return "float32"
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= _AMPERE:
        return "bfloat16"
    return "float16"


@contextmanager
def tf32_allowed(allowed: bool) -> Generator[None]:
    """Let CUDA round the factors of float32 products to ten bits (TF32), or forbid it, within.

    By torch's default, convolutions may and matrix products may not.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that it followed, says that a device's memory is full.

    Torch has a class for it, which not every device and library raises; and when memory runs out
    while a CUDA graph is recorded, ending the recording raises another error on top.
    """
    seen: BaseException | None = error
    while seen is not None:
        full = "out of memory" in str(seen) or "ALLOC_FAILED" in str(seen)
        if isinstance(seen, torch.OutOfMemoryError) or (isinstance(seen, RuntimeError) and full):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def is_lost(error: BaseException) -> bool:
    """Return whether an error says that a device no longer answers this process."""
    words = ("device-side assert", "unspecified launch failure", "illegal memory access",
             "device is lost", "GPU is lost", "fallen off the bus", "device unavailable",
             "busy or unavailable", "no CUDA-capable device", "uncorrectable ECC",
             "unknown error", "launch timed out", "invalid device ordinal")  # fmt: skip
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


@contextmanager
def naming_a_lost(device: torch.device) -> Generator[None]:
    """Turn the error of a device that no longer answers into one paragraph.

    Raises:
        GeneratorError: names the device and what torch said.
    """
    try:
        yield
    except RuntimeError as error:
        if device.type == "cpu" or ran_out_of_memory(error) or not is_lost(error):
            raise
        said = str(error).splitlines()[0]
        raise GeneratorError(
            f"Device {device} no longer answers this process ({said}): it was reset or removed, or "
            "a kernel on it failed. Nothing more can be computed there. Look at the driver's log "
            "(nvidia-smi, dmesg), then run the same command again; a run goes on from what it has."
        ) from error
