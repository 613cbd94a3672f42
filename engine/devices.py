# SPDX-License-Identifier: MIT
"""Where models are trained and drawn: on the processor, or on an NVIDIA card where there is one that can be used.

The wish is the environment variable `NERFVIEWER_DEVICE` (what `--device` sets, so that child processes have it too): "auto",
"cpu", "cuda", or "cuda:1" for the second card. Of several processes on one computer each takes the card of its `LOCAL_RANK`.
"""

from __future__ import annotations

import os
import re

from engine.errors import UserError

VARIABLE = "NERFVIEWER_DEVICE"
_WISH = re.compile(r"auto|cpu|cuda(:\d+)?")


def checked(wish: str) -> str:
    """Return a wish as it was given, or say what may be wished for."""
    if not _WISH.fullmatch(wish):
        raise UserError(f"The device must be auto, cpu, cuda or cuda:N with a card's number, got {wish!r}.")
    return wish


def chosen() -> str:
    """Return "cpu" or "cuda:N". Raises UserError where a card was asked for and none can be used.

    Without an NVIDIA driver "auto" is decided by one failed look for a library; torch is imported only with one.
    """
    wish = checked(os.environ.get(VARIABLE) or "auto")
    if wish == "cpu":
        return "cpu"
    from engine.cuda import support

    found = support.find()
    if not found.usable:
        if wish == "auto":
            return "cpu"
        remedy = f" {found.remedy}" if found.remedy else " Leave --device out."
        raise UserError(f"--device {wish} cannot be had: {found.detail}.{remedy}")
    index = int(wish.partition(":")[2] or os.environ.get("LOCAL_RANK") or 0)
    import torch

    if index >= torch.cuda.device_count():
        raise UserError(
            f"There is no card {index}; this computer has {torch.cuda.device_count()}, from 0 on."
        )
    return f"cuda:{index}"


def card_name(device: str) -> str:
    """Return what a card is called, "" for the processor."""
    if device == "cpu":
        return ""
    import torch

    return torch.cuda.get_device_name(device)
