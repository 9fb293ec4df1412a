"""The C library's allocator, told to keep what sampling frees. Needs no torch."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Have glibc reuse large freed blocks instead of handing them back to the kernel.

    A UNet on a CPU allocates and frees the same activations, megabytes each, at every step. By
    default each comes fresh from the kernel, which zeroes it page by page: a sixth to a fifth of
    sampling's CPU time (docs/explanation/performance.md). The process then keeps its highest memory
    use until it ends, so programs that sample call this, and the library never does by itself.

    Returns:
        Whether it took effect: False where the C library is not glibc, such as macOS and Alpine.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # One gibibyte stays below mallopt's int and above any activation at full size; -1 never trims.
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30) and mallopt(_M_TRIM_THRESHOLD, -1))
