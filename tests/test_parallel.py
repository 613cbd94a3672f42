# SPDX-License-Identifier: MIT
"""Who a process is among several, and what it says where it cannot be one. What they do together: methods/svraster/test_team."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.parallel import ParallelError, Place, bits, place_from_env


def test_a_process_finds_its_place_in_what_torchrun_sets() -> None:
    env = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = place_from_env(env)
    assert place == Place(5, 8, 1, 4) and place.name == "process 6 of 8"
    assert place_from_env({"RANK": "1", "WORLD_SIZE": "2"}) == Place(1, 2, 1, 2)


def test_a_process_without_others_is_alone() -> None:
    assert place_from_env({}) is None and place_from_env({"RANK": "0"}) is None
    assert place_from_env({"RANK": "0", "WORLD_SIZE": "1"}) is None


@pytest.mark.parametrize("rank", ["two", "8", "-1", "1.5"])
def test_a_place_that_cannot_be_is_refused_with_a_sentence(rank: str) -> None:
    with pytest.raises(ParallelError, match=r"RANK.*Start with torchrun\."):
        place_from_env({"RANK": rank, "WORLD_SIZE": "8"})


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int32])
def test_arrays_that_differ_in_one_bit_have_other_bits(kind: torch.dtype) -> None:
    values = torch.arange(100).to(kind)
    other = values.clone()
    whole = other.view({4: torch.int32, 2: torch.int16}[other.element_size()])
    whole[37] += 1
    assert bits(values) == bits(values.clone()) != bits(other)


def test_bits_are_the_same_for_numpy_and_torch() -> None:
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    assert bits(values) == bits(torch.from_numpy(values)) == int(values.view(np.int32).sum(dtype=np.int64))
