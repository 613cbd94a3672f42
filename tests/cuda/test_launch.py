# SPDX-License-Identifier: MIT
"""What does not fit a kernel's parameters is never launched; what does arrives in the parameter's own type."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.cuda import build, launch, registry

KERNEL = registry.Kernel(
    "k", "some.cu", ("<f", "*Q", "<.", "i", "f", "q"), ("x", "keys", "packed", "n", "scale", "many")
)


def tensor(dtype: str = "float32", index: int = 0, **changes: Any) -> SimpleNamespace:
    """A tensor on a card, as far as a launch looks at it."""
    facts = {
        "dtype": getattr(torch, dtype),
        "is_cuda": True,
        "device": SimpleNamespace(index=index),
        "is_contiguous": lambda: True,
        "stride": lambda: (2, 1),
        "data_ptr": lambda: 0x1000,
    }
    return SimpleNamespace(**{**facts, **changes})


@pytest.mark.parametrize(
    ("i", "arg", "wanted"),
    [
        (0, tensor(), 0x1000),
        (0, None, 0),
        (1, tensor("int64"), 0x1000),
        (2, tensor("uint8"), 0x1000),
        (3, 7, np.int32(7)),
        (4, 2, np.float32(2.0)),
        (5, 1 << 40, np.int64(1 << 40)),
    ],
)
def test_an_argument_arrives_in_the_type_of_its_parameter(i, arg, wanted):
    value = launch.as_argument(KERNEL, i, arg, device=0)
    assert value == wanted
    assert type(value) is type(wanted)


@pytest.mark.parametrize(
    ("i", "arg", "message"),
    [
        (0, tensor("float64"), "k: x must be float32, got float64"),
        (1, tensor("int32"), "k: keys must be int64 or uint64, got int32"),
        (0, tensor(is_cuda=False, device="cpu"), "k: x must be on cuda:0, is on cpu"),
        (0, tensor(index=1), "k: x must be on cuda:0"),
        (0, tensor(is_contiguous=lambda: False), r"k: x must be contiguous, has strides \(2, 1\)"),
        (0, 3.0, "k: x must be a tensor, got float"),
        (3, tensor(), "k: n must be a number, got SimpleNamespace"),
        (3, None, "k: n must be a number, got NoneType"),
    ],
)
def test_what_does_not_fit_is_named(i, arg, message):
    with pytest.raises(TypeError, match=message):
        launch.as_argument(KERNEL, i, arg, device=0)


@pytest.fixture
def launched(monkeypatch) -> list[tuple[Any, ...]]:
    """The launches of a fake card."""
    done: list[tuple[Any, ...]] = []
    core = SimpleNamespace(
        Device=lambda index: SimpleNamespace(set_current=lambda: None),
        Stream=SimpleNamespace(from_handle=lambda handle: ("stream", handle)),
        LaunchConfig=lambda grid, block: (grid, block),
        launch=lambda *values: done.append(values),
    )
    cuda = SimpleNamespace(current_device=lambda: 0, current_stream=lambda: SimpleNamespace(cuda_stream=0x55))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(build, "cuda_core", lambda: core)
    monkeypatch.setattr(registry, "kernels", lambda: {"k": KERNEL})
    monkeypatch.setattr(launch, "_loaded", lambda name, device: f"{name} on {device}")
    monkeypatch.setattr(launch, "_here", SimpleNamespace())
    launch._stream.cache_clear()
    yield done
    launch._stream.cache_clear()


ARGS = (tensor(), tensor("int64"), None, 5, 0.5, 6)


def test_a_launch_goes_to_torchs_stream(launched):
    launch.launch("k", (2, 1, 1), (64, 1, 1), *ARGS)
    stream, config, kernel, *values = launched[0]
    assert (stream, config, kernel) == (("stream", 0x55), ((2, 1, 1), (64, 1, 1)), "k on 0")
    assert values == [0x1000, 0x1000, 0, 5, 0.5, 6]


def test_a_grid_without_blocks_launches_nothing_but_is_checked(launched):
    launch.launch("k", (0, 1, 1), (64, 1, 1), *ARGS)
    assert launched == []
    with pytest.raises(TypeError, match=re.escape("k takes 6 arguments, got 1")):
        launch.launch("k", (0, 1, 1), (64, 1, 1), None)


def test_an_architecture_is_named_after_the_compute_capability():
    assert [launch.arch_of(c) for c in ((7, 5), (12, 0))] == ["sm_75", "sm_120"]
