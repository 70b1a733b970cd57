"""Memory for what is written and read again within one call: the same memory each time, so that it stays in the processor's cache.

A training step keeps gigabytes for its way back, so each intermediate result that is allocated anew lands on memory that nobody touched for a
while: on one core of a CPU an elementwise operation then takes two to five times as long (`docs/speed.md`). Only for results that do not
leave the function that asked for them.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

LARGEST = 1 << 22  # numbers; what is larger is allocated anew and not kept
_of_thread = threading.local()


def scratch(name: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a contiguous tensor on the CPU whose contents are whatever was there; the next call with this name returns the same memory.

    Names belong to modules: start with the module's own. Each thread has memory of its own.

    Examples
    --------
    >>> one, two = scratch("doc.a", (2, 3), torch.float32), scratch("doc.a", (4,), torch.float32)
    >>> one.data_ptr() == two.data_ptr(), scratch("doc.b", (4,), torch.float32).data_ptr() == two.data_ptr()
    (True, False)
    """
    n = math.prod(size)
    if n > LARGEST:
        return torch.empty(size, dtype=dtype)
    kept = _of_thread.__dict__
    key = f"{name}, {dtype}"
    if key not in kept or kept[key].numel() < n:
        with torch.inference_mode(False):  # such a tensor could not be written to outside of it
            kept[key] = torch.empty(max(n, 1), dtype=dtype)
    return kept[key][:n].view(size)
