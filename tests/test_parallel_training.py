# SPDX-License-Identifier: MIT
"""What rank 0 tells the others, and that they do it: the worker's method on one side, `follow` on the other."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import OptionError, UserError
from engine.messages import OpenRun, OpenScene
from engine.parallel_training import Leader, follow, joined
from tests.fakes import FakeConfig, FakeMethod, load_fake_scene


class Wire:
    """Ranks of whom one tells and the other hears, one after the other."""

    rank, size = 0, 2

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.same: list[tuple[str, int]] = []
        self.open = True

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def hear(self) -> dict[str, Any]:
        return self.told.pop(0)

    def check_same(self, what: str, number: int) -> None:
        self.same.append((what, number))

    def close(self) -> None:
        self.open = False


class JoiningMethod(FakeMethod):
    """A fake that can be trained by several processes, and remembers what was done to it."""

    made: list[JoiningMethod]

    def join(self, ranks: Wire) -> None:
        self.ranks, self.calls = ranks, []
        type(self).made.append(self)

    def train_step(self) -> Any:
        self.calls.append("train_step")
        return super().train_step()

    def prune_now(self) -> Any:
        self.calls.append("prune_now")
        return super().prune_now()

    def exclude(self, views: frozenset[int]) -> None:
        assert isinstance(views, frozenset)
        self.calls.append(f"exclude {sorted(views)}")

    def set_options(self, values: dict[str, Any]) -> None:
        if "odd" in values:
            raise OptionError("There is no option odd.")
        self.calls.append(f"set_options {values}")


def make(name: str, scene: Any, values: dict[str, Any], seed: int) -> Any:
    return JoiningMethod(scene, FakeConfig(), seed)


@pytest.fixture
def wire() -> Wire:
    JoiningMethod.made = []
    return Wire()


def led(wire: Wire) -> tuple[Leader, Any]:
    leader = Leader(wire, make)  # type: ignore[arg-type]
    return leader, leader.make("fake", load_fake_scene("grey", {}, lambda *_: None), {}, 0)


def test_the_others_do_what_the_first_does(wire: Wire) -> None:
    leader, method = led(wire)
    method.exclude(frozenset({1}))  # of a checkpoint, which the others read themselves
    assert wire.told == []
    leader.open_everywhere(OpenScene("grey", "fake", seed=0))
    method.train_step()
    method.exclude(frozenset({2, 0}))
    method.set_options({"rate": 2.0})
    method.prune_now()
    assert method.step == 1 and method.name == "fake", "what concerns this process alone goes through"
    method.train_step()
    leader.end()
    follow(wire, load_fake_scene, make)  # type: ignore[arg-type]
    first, second = JoiningMethod.made
    assert first.calls[1:] == second.calls == [
        "train_step", "exclude [0, 2]", "set_options {'rate': 2.0}", "prune_now", "train_step",
    ]  # fmt: skip
    assert wire.same == [("number of steps behind them", 0)] * 2 and not wire.open


def test_ranks_hand_in_their_parts_before_what_needs_them(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[bool] = []
    monkeypatch.setattr(
        JoiningMethod,
        "gathers",
        lambda self, name: name in ("state", "prune_now") and not whole,
        raising=False,
    )
    monkeypatch.setattr(JoiningMethod, "gather", lambda self, everyone: whole.append(everyone), raising=False)
    leader, method = led(wire)
    leader.open_everywhere(OpenScene("grey", "fake"))
    method.structure()
    method.state()
    method.state()  # it is still whole
    assert wire.told[1:] == [{"do": "gather", "with": [False]}] and whole == [False]
    whole.clear()
    method.prune_now()
    assert wire.told[2:] == [{"do": "gather", "with": [True]}, {"do": "prune_now", "with": []}] and whole == [
        True
    ]


def test_what_is_refused_here_is_not_asked_of_the_others(wire: Wire) -> None:
    leader, method = led(wire)
    leader.open_everywhere(OpenRun("runs/grey"))
    with pytest.raises(OptionError):
        method.set_options({"odd": 1})
    assert [order["do"] for order in wire.told] == ["open"]


def test_after_a_step_that_failed_nothing_more_is_told(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, method = led(wire)
    leader.open_everywhere(OpenScene("grey", "fake"))

    def fail(self: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(FakeMethod, "train_step", fail)
    with pytest.raises(MemoryError):
        method.train_step()
    leader.end()  # they wait in the middle of a step, and would not hear
    assert [order["do"] for order in wire.told] == ["open", "train_step"] and not wire.open


def test_a_method_that_knows_no_ranks_is_refused_with_a_sentence(wire: Wire) -> None:
    factory = joined(wire, lambda name, scene, values, seed: FakeMethod(scene, FakeConfig(), seed))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="The method fake cannot be trained by several processes"):
        factory("fake", load_fake_scene("grey", {}, lambda *_: None), {}, 0)
