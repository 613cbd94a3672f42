# SPDX-License-Identifier: MIT
"""What every message is, and the states of the worker."""

from __future__ import annotations

from enum import Enum


class TrainState(Enum):
    """What the worker is doing. One state, no overlapping flags."""

    EMPTY = "no scene"
    LOADING = "loading"
    PAUSED = "paused"
    TRAINING = "training"
    FINISHED = "finished"
    FAILED = "failed"


class Command:
    """Base of everything sent to the worker. `changes` says that it alters the open model or what the disk holds of it."""

    supersedes: str | None = None
    changes = False


class Event:
    """Base of everything the worker reports, in order."""
