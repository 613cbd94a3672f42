# SPDX-License-Identifier: MIT
"""Where a model runs: the card if one can be used, else the processor without a word; a card asked for is had or refused."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch

from engine import devices
from engine.cuda import support
from engine.cuda.support import Support
from engine.datasets.scene import Scene
from engine.errors import UserError
from engine.methods import common
from engine.methods.svraster import SVRaster
from tests.methods.test_svraster import make_scene

NONE = Support(False, "no NVIDIA card with its driver; with one, it would be faster")
OLD = Support(False, "an NVIDIA driver, but PyTorch's build for processors", "pip install torch")


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "find", lambda: Support(True, "a card"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv(devices.VARIABLE, raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


@pytest.mark.parametrize("found", [NONE, OLD])
def test_auto_takes_the_processor_where_no_card_can_be_used(
    found: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "find", lambda: found)
    monkeypatch.setenv(devices.VARIABLE, "auto")
    assert devices.chosen() == "cpu" and devices.card_name("cpu") == ""


@pytest.mark.parametrize("found", [NONE, OLD])
def test_a_card_that_was_asked_for_is_refused_with_what_is_missing(
    found: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "find", lambda: found)
    monkeypatch.setenv(devices.VARIABLE, "cuda")
    with pytest.raises(UserError) as refused:
        devices.chosen()
    assert found.detail in str(refused.value)
    assert (found.remedy or "Leave --device out.") in str(refused.value)


@pytest.mark.parametrize(
    ("wish", "rank", "device"),
    [("auto", None, "cuda:0"), ("cuda", "1", "cuda:1"), ("cuda:1", "0", "cuda:1"), ("cpu", "1", "cpu")],
)
def test_the_card_is_the_one_named_else_that_of_the_local_rank(
    wish: str, rank: str | None, device: str, two_cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(devices.VARIABLE, wish)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert devices.chosen() == device


def test_a_card_that_is_not_there_is_refused(two_cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, "cuda:2")
    with pytest.raises(UserError, match="no card 2; this computer has 2"):
        devices.chosen()


@pytest.mark.parametrize("wish", ["gpu", "cuda:", "cuda:-1", "CPU"])
def test_a_device_of_another_name_is_refused(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, wish)
    with pytest.raises(UserError, match="auto, cpu, cuda or cuda:N"):
        devices.chosen()


def test_a_method_is_made_on_the_chosen_device(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnCard:
        def __init__(self, scene: Scene, config: object, seed: int, *, device: str) -> None:
            self.made_with = type(config), seed, device

    on_cuda = importlib.import_module("engine.methods.svraster.on_cuda")
    monkeypatch.setattr(on_cuda, "SVRasterOnCuda", OnCard)
    scene = make_scene(4)
    monkeypatch.setattr(devices, "chosen", lambda: "cuda:1")
    assert common.create_method("svraster", scene, seed=3).made_with == (SVRaster.Config, 3, "cuda:1")
    monkeypatch.setattr(devices, "chosen", lambda: "cpu")
    assert type(common.create_method("svraster", scene)) is SVRaster


def test_without_a_driver_nothing_of_cuda_is_imported() -> None:
    code = (
        "import sys; from engine import devices; from engine.cuda import support; support.driver_version = lambda: None; "
        "assert devices.chosen() == 'cpu'; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'cuda')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
