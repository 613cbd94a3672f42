# SPDX-License-Identifier: MIT
"""Several processes that train one model together, through torch.distributed: gloo between CPUs, NCCL between GPUs.

Who a process is comes from the environment that torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR,
MASTER_PORT); processes of one machine may meet in a file instead (RENDEZVOUS), which needs no free port. Rank 0 leads: it
tells the others what to do next, and they wait for that as long as it takes. What they compute together goes through
`total` and `largest`, which give every rank the same bits.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UserError

if TYPE_CHECKING:
    import torch

RENDEZVOUS = "NERFVIEWER_RENDEZVOUS"  # a file that does not exist yet, the same for all processes
STEP_S = 600.0  # a rank that lets the others wait longer in the middle of a step is given up
WAIT_S = 7 * 86400.0  # for the next thing to do, while rank 0 loads, evaluates or saves
_FIRST_PART = 1024  # bytes of a message that travel at once


class ParallelError(UserError):
    """The processes of a training cannot go on together."""


@dataclass(frozen=True)
class Place:
    """Which of `size` processes this is, and which of the `local_size` on its machine."""

    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 1

    @property
    def name(self) -> str:
        """How people count it, from 1."""
        return f"process {self.rank + 1} of {self.size}"


def place_from_env(env: Mapping[str, str] | None = None) -> Place | None:
    """Return the place that torchrun, or `nerfviewer train --processes`, gave this process; None if it is alone."""
    env = os.environ if env is None else env
    if "RANK" not in env or "WORLD_SIZE" not in env:
        return None
    try:
        rank, size = int(env["RANK"]), int(env["WORLD_SIZE"])
        place = Place(rank, size, int(env.get("LOCAL_RANK", rank)), int(env.get("LOCAL_WORLD_SIZE", size)))
    except ValueError as error:
        raise ParallelError(
            f"RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE must be whole numbers: {error}. Start with torchrun."
        ) from error
    if not 0 <= place.rank < place.size:
        raise ParallelError(f"RANK must be between 0 and {size - 1}, got {rank}. Start with torchrun.")
    return place if place.size > 1 else None


class Solo:
    """The ranks of a training that has only one: what is computed together is what this one has."""

    rank, size = 0, 1

    def total(self, values: np.ndarray | torch.Tensor) -> None:
        """The sum over one rank is what it has."""

    def largest(self, values: np.ndarray | torch.Tensor) -> None:
        """So is the maximum."""

    def check_same(self, what: str, number: int) -> None:
        """There is nobody to differ."""


class Ranks:
    """The processes of a training, seen from one of them. Made by `join`; one thread at a time uses it."""

    def __init__(self, place: Place, control: Any) -> None:
        self.rank = place.rank
        self.size = place.size
        self.name = place.name
        self._control = control  # the group that orders go through, always gloo

    def total(self, values: np.ndarray | torch.Tensor) -> None:
        """Replace values by their sum over all ranks, in place."""
        self._reduce(values, "SUM")

    def largest(self, values: np.ndarray | torch.Tensor) -> None:
        """Replace values by their maximum over all ranks, in place."""
        self._reduce(values, "MAX")

    def _reduce(self, values: np.ndarray | torch.Tensor, how: str) -> None:
        import torch
        import torch.distributed as dist

        tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
        solid = tensor.contiguous()  # gloo silently reads and writes beside what has gaps
        self._guarded(lambda: dist.all_reduce(solid, getattr(dist.ReduceOp, how)))
        if solid is not tensor:
            tensor.copy_(solid)

    def check_same(self, what: str, number: int) -> None:
        """Raise on every rank if a number, of what `what` names, is not the same on all of them."""
        import torch
        import torch.distributed as dist

        numbers = torch.zeros(self.size, dtype=torch.int64)
        numbers[self.rank] = number & 0x7FFFFFFFFFFFFFFF
        self._guarded(lambda: dist.all_reduce(numbers, group=self._control))
        odd = [rank + 1 for rank in range(self.size) if numbers[rank] != numbers[0]]
        if odd:
            raise ParallelError(
                f"The {self.size} processes do not have the same {what}: process {odd[0]} differs from process 1. "
                "Continue from the last checkpoint with --resume, on machines of one kind with one version of nerfviewer."
            )

    def tell(self, message: dict[str, Any]) -> None:
        """Give an order to all other ranks; rank 0 only. What JSON can hold."""
        data = json.dumps(message).encode()
        first = np.zeros(_FIRST_PART, dtype=np.uint8)
        first[:8] = np.frombuffer(np.int64(len(data)).tobytes(), dtype=np.uint8)
        head = np.frombuffer(data[: _FIRST_PART - 8], dtype=np.uint8)
        first[8 : 8 + len(head)] = head
        self._broadcast(first)
        if len(data) > len(head):
            self._broadcast(np.frombuffer(data[len(head) :], dtype=np.uint8).copy())

    def hear(self) -> dict[str, Any]:
        """Wait for what rank 0 tells and return it."""
        first = np.zeros(_FIRST_PART, dtype=np.uint8)
        self._broadcast(first)
        length = int(first[:8].view(np.int64)[0])
        data = first[8 : 8 + length].tobytes()
        if length > len(data):
            rest = np.zeros(length - len(data), dtype=np.uint8)
            self._broadcast(rest)
            data += rest.tobytes()
        return json.loads(data)

    def _broadcast(self, data: np.ndarray) -> None:
        import torch
        import torch.distributed as dist

        tensor = torch.from_numpy(data)
        self._guarded(lambda: dist.broadcast(tensor, src=0, group=self._control))

    def _guarded(self, collective: Callable[[], Any]) -> None:
        try:
            collective()
            return
        except (
            RuntimeError
        ):  # torch's texts are of sockets, and differ with the way in which the other one went
            pass
        raise ParallelError(
            f"Another process of this training ended or does not answer, so {self.name} cannot go on. If it could, it said "
            "why. Continue from the last checkpoint with --resume."
        )

    def close(self) -> None:
        """Leave the others. They may have left before."""
        import torch.distributed as dist

        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
        self._control = None  # the last reference: its threads end here, not as the interpreter is taken down


def join(place: Place, *, nccl: bool = False) -> Ranks:
    """Meet the other processes and return them; `nccl` where the model's tensors lie on GPUs.

    Raises ParallelError if they do not all come.
    """
    import torch.distributed as dist

    if not dist.is_available() or (nccl and not dist.is_nccl_available()):
        raise ParallelError(
            f"This PyTorch was built without {'NCCL' if nccl else 'torch.distributed'}; train with one process."
        )
    meet = os.environ.get(RENDEZVOUS)
    where = {"init_method": "env://"} if meet is None else {"store": dist.FileStore(meet, place.size)}
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",  # each where the numbers lie
            rank=place.rank,
            world_size=place.size,
            timeout=_seconds(STEP_S),
            **where,
        )
        control = dist.new_group(backend="gloo", timeout=_seconds(WAIT_S))
    except (RuntimeError, ValueError) as error:
        raise ParallelError(
            f"The {place.size} processes could not meet: {str(error).splitlines()[0]}. Start all of them with torchrun, "
            "or with --processes on one machine."
        ) from error
    return Ranks(place, control)


def _seconds(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)


def bits(values: np.ndarray | torch.Tensor) -> int:
    """Return the sum of the bits of a float32, bfloat16 or integer array, read as whole numbers: equal for equal arrays."""
    import torch

    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if tensor.is_floating_point():
        tensor = tensor.view(torch.int32 if tensor.element_size() == 4 else torch.int16)
    return int(tensor.sum(dtype=torch.int64))
