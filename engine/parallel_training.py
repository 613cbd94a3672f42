# SPDX-License-Identifier: MIT
"""A method that several processes train: rank 0 has the worker and says what happens, the others do the same after it.

Rank 0 opens a scene first, then tells the others to, so that what is wrong with it is said once. From then on the worker's
method is a `Led` one: before each step, and after each change of options or structure, the others hear of it. They never
write into the run folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.datasets.scene import Scene
from engine.errors import UserError
from engine.messages import OpenRun, OpenScene
from engine.methods.common import Method, StepReport
from engine.parallel import Ranks
from engine.training import MethodFactory, Opener, SceneLoader, load_scene, make_method

_CHANGES = (
    "prune_now",
    "prune_to",
    "subdivide_now",
    "set_options",
    "exclude",
)  # what every rank does on its own


class Leader:
    """Rank 0's side of a training."""

    def __init__(self, ranks: Ranks, factory: MethodFactory = make_method) -> None:
        self.ranks = ranks
        self.leads = False  # the others have opened what we have
        self._method: Method | None = None
        self._lost = False
        self._make = joined(ranks, factory)

    def make(self, name: str, scene: Scene, values: dict[str, Any], seed: int) -> Method:
        """Return an untrained method that all ranks train: a MethodFactory for the worker."""
        self._method = self._make(name, scene, values, seed)
        return Led(self._method, self)  # type: ignore[return-value]

    def open_everywhere(self, command: OpenScene | OpenRun) -> None:
        """Let the others open what was opened here, wait until they have, and lead from now on."""
        kind = "scene" if isinstance(command, OpenScene) else "run"
        self.ranks.tell({"do": "open", kind: dataclasses.asdict(command)})
        self.ranks.check_same("number of steps behind them", self._method.step)
        self.leads = True

    def step(self, take: Callable[[], StepReport]) -> StepReport:
        """Take a step on all ranks."""
        try:
            self.ranks.tell({"do": "train_step", "with": []})
            return take()
        except BaseException:
            self._lost = True  # the others wait in the middle of a step, until we are gone
            raise

    def end(self) -> None:
        """Let the others end, and leave them."""
        try:
            if not self._lost:
                self.ranks.tell({"do": "end"})
        except UserError:
            pass  # they are gone already
        finally:
            self.ranks.close()


class Led:
    """A method whose steps and changes all ranks make. Everything else, such as rendering, concerns this process alone."""

    def __init__(self, method: Method, leader: Leader) -> None:
        self._method = method
        self._leader = leader

    def __getattr__(self, name: str) -> Any:
        attribute, leader = getattr(self._method, name), self._leader
        if not leader.leads:
            return attribute
        if name == "train_step":
            return lambda: leader.step(attribute)
        gathers = getattr(self._method, "gathers", None)
        if gathers is not None and gathers(name):  # once for all calls until the next step
            leader.ranks.tell({"do": "gather", "with": [name in _CHANGES]})
            self._method.gather(name in _CHANGES)
        if name not in _CHANGES:
            return attribute

        def everywhere(*args: Any) -> Any:
            result = attribute(*args)  # here first: what is refused here is not asked of the others
            plain = [sorted(arg) if isinstance(arg, frozenset) else arg for arg in args]
            leader.ranks.tell({"do": name, "with": plain})
            return result

        return everywhere


def joined(ranks: Ranks, factory: MethodFactory = make_method) -> MethodFactory:
    """Return a factory of methods that train together with those of other ranks."""

    def make(name: str, scene: Scene, values: dict[str, Any], seed: int) -> Method:
        method = factory(name, scene, values, seed)
        join = getattr(method, "join", None)
        if join is None:
            raise UserError(f"The method {name} cannot be trained by several processes; train with one.")
        join(ranks)
        return method

    return make


def follow(ranks: Ranks, loader: SceneLoader = load_scene, factory: MethodFactory = make_method) -> None:
    """Do what rank 0 tells until it says that this is the end. Raises ParallelError when rank 0 is gone."""
    method: Method | None = None
    opener = Opener(loader, joined(ranks, factory), Path("runs"), None)
    while (order := ranks.hear())["do"] != "end":
        if order["do"] == "open":
            method = _opened(opener, order)
            ranks.check_same("number of steps behind them", method.step)
        else:
            arguments = [frozenset(arg) if isinstance(arg, list) else arg for arg in order["with"]]
            getattr(method, order["do"])(*arguments)


def _opened(opener: Opener, order: dict[str, Any]) -> Method:
    def quiet(stage: str, done: int = 0, total: int = 0) -> None:
        """Rank 0 says how far it is."""

    if "scene" in order:
        method = opener.scene(OpenScene(**order["scene"]), quiet).method
    else:
        method = opener.run(OpenRun(**order["run"]), quiet)[0].method
    warm_up = getattr(method, "warm_up", None)
    if warm_up is not None:
        warm_up(quiet)
    return method
