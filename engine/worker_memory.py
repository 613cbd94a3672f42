# SPDX-License-Identifier: MIT
"""What the worker says when memory has run out: what was asked for, what is free, and what a person may do about it."""

from __future__ import annotations

import traceback

from engine import memory
from engine.errors import cause_chain
from engine.messages import Offer, OutOfMemory, SetOptions, Train
from engine.options import describe
from engine.training import Training

ADVICE = "Lower the voxel budget or the resolution (--downscale), close other programs, then go on."
LOWER_SCALE = 0.5  # of still pictures: a quarter of the pixels


def event(what: str, error: BaseException, cause: BaseException, training: Training | None) -> OutOfMemory:
    """Return the event for an error that came of `cause`, a lack of memory; what the error holds on to is let go."""
    lack = memory.shortage(cause)
    chain = (f"{lack.sentence()} {ADVICE}", *cause_chain(error))
    trace = "".join(traceback.format_exception(error))
    memory.let_go(error)
    known = {"asked_bytes": lack.asked_bytes, "free_bytes": lack.free_bytes}
    return OutOfMemory(what, chain, user=True, trace=trace, offers=offers(training), **known)


def offers(training: Training | None) -> tuple[Offer, ...]:
    """Return the ways to go on: a smaller view, no more voxels than now, or just once more."""
    view = Offer("Lower the view's resolution", max_scale=LOWER_SCALE)
    if training is None:
        return (view,)
    resume = Offer("Resume training", (Train(),))
    cap = rounded_down(training.method.structure().voxels)
    options = describe(type(training.method.config))
    capped = [
        info for info in options if info.live and info.name.endswith("max_voxels") and cap >= info.minimum
    ]
    if not capped:
        return view, resume
    label = f"Keep to {cap:,} voxels and resume"
    return view, Offer(label, (SetOptions({info.name: cap for info in capped}), Train())), resume


def rounded_down(count: int) -> int:
    """Return a number of two digits and zeros that is not larger."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return count // step * step
