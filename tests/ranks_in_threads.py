# SPDX-License-Identifier: MIT
"""Ranks that are threads of one process: for tests of what is computed together, where processes would only cost time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from engine.methods.common import StepReport
from engine.parallel import ParallelError


class Meeting:
    """Where threads put their values, and all find what becomes of them."""

    def __init__(self, size: int) -> None:
        self.values: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=60.0)

    def reduced(self, rank: int, value: Any, how: Callable[[list[Any]], Any]) -> Any:
        """Return how(values in the order of the ranks)."""
        self.values[rank] = value
        self.barrier.wait()
        result = how(list(self.values))
        self.barrier.wait()
        return result


class ThreadRank:
    """What a method sees of the others."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        self.rank, self.size, self._meeting = rank, len(meeting.values), meeting
        self.name = f"process {rank + 1} of {self.size}"

    def _replace(self, values: np.ndarray | torch.Tensor, how: Callable[..., Any]) -> None:
        array = values if isinstance(values, np.ndarray) else values.numpy()
        array[...] = self._meeting.reduced(self.rank, array.copy(), how)

    def total(self, values: np.ndarray | torch.Tensor) -> None:
        """Replace values by their sum."""
        self._replace(values, lambda all_of_them: np.sum(all_of_them, axis=0))

    def largest(self, values: np.ndarray | torch.Tensor) -> None:
        """Replace values by their maximum."""
        self._replace(values, lambda all_of_them: np.max(all_of_them, axis=0))

    def check_same(self, what: str, number: int) -> None:
        """Raise if the ranks have different numbers."""
        if len(set(self._meeting.reduced(self.rank, number, list))) > 1:
            raise ParallelError(f"The ranks do not have the same {what}.")


def all_do(ranks: Sequence[Any], what: Callable[[Any], Any]) -> list[Any]:
    """Call `what` with every rank's object, each in a thread of its own; return what they return."""
    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(what, ranks))


def step_together(models: Sequence[Any]) -> list[StepReport]:
    """Take one step of all models, each in a thread of its own; the first call makes them a team."""
    if models[0].team is None:
        meeting = Meeting(len(models))
        for rank, model in enumerate(models):
            model.join(ThreadRank(rank, meeting))
    return all_do(models, lambda model: model.train_step())
