# SPDX-License-Identifier: MIT
"""Running out of memory: whether an error means that, what was asked for, what is free, and giving back what can be.

Python, numpy, torch and CUDA say it in different ways. Nothing here imports torch: who has no tensors has none to free.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import traceback
from dataclasses import dataclass

_UNITS = {"": 1, "b": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50}
_ASKED = re.compile(r"(?:tried to allocate|unable to allocate)\s+([\d.]+)\s*([a-z]*)", re.IGNORECASE)
_CARD = re.compile(r"\bGPU (\d+)")
# torch on the processor raises a RuntimeError, CUDA's driver an error of its own; only the text tells.
_TEXTS = (
    "CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorMemoryAllocation",
    "CUDA out of memory",
    "DefaultCPUAllocator: can't",
)


@dataclass(frozen=True)
class Shortage:
    """What was wanted and what there is. None: not known."""

    device: str  # "the graphics card" or "the computer"
    asked_bytes: int | None
    free_bytes: int | None
    total_bytes: int | None

    def sentence(self) -> str:
        """Return it for people."""
        asked = "" if self.asked_bytes is None else f"{_size(self.asked_bytes)} asked for, "
        if self.free_bytes is None or self.total_bytes is None:
            free = "how much is free is not known"
        else:
            free = f"{_size(self.free_bytes)} of {_size(self.total_bytes)} free on {self.device}"
        return f"There is not enough memory for this ({asked}{free})."


def ran_out(error: BaseException | None) -> BaseException | None:
    """Return the error, or the one it was raised from, that says that there is no memory left; else None."""
    for _ in range(8):
        if error is None:
            return None
        named = type(error).__name__ == "OutOfMemoryError" and type(error).__module__.startswith("torch")
        if isinstance(error, MemoryError) or named or any(text in str(error) for text in _TEXTS):
            return error
        error = error.__cause__ or error.__context__
    return None


def shortage(error: BaseException) -> Shortage:
    """Return what an error that `ran_out` found says, and what is free now."""
    text = str(error)
    found = _ASKED.search(text)
    unit = found[2].lower() if found else ""
    asked = round(float(found[1].rstrip(".")) * _UNITS[unit]) if found and unit in _UNITS else None
    if "cuda" not in text.lower():
        return Shortage("the computer", asked, *_host_memory())
    card = _CARD.search(text)
    return Shortage("the graphics card", asked, *_card_memory(int(card[1]) if card else 0))


def let_go(error: BaseException | None) -> None:
    """Empty the frames that an error has passed: their variables are what could be given back."""
    for _ in range(8):
        if error is None:
            return
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def free_caches() -> None:
    """Give back what nobody uses: objects in cycles, pages that the allocator keeps, torch's store of the card's memory."""
    gc.collect()
    give_back_pages()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def host_free_bytes() -> int:
    """Return what memory of the computer is free."""
    return _host_memory()[0]


def spare_bytes() -> int:
    """Return how much a file may unpack to, or a piece of work may take: what is free, less the copies that converting takes."""
    return host_free_bytes() // 2


def give_back_pages() -> None:
    """Let glibc return free pages between its blocks to the system; other allocators do so by themselves or cannot be asked."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass  # another C library


def _host_memory() -> tuple[int, int]:
    import psutil

    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _card_memory(index: int) -> tuple[int | None, int | None]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None, None
    try:
        return torch.cuda.mem_get_info(index)
    except RuntimeError:  # the card answers no more; then this is not the news
        return None, None


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
