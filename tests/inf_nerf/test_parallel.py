# SPDX-License-Identifier: MIT
"""Two ranks of the library's trainer train what one trains: as threads, and as processes that torchrun might have started."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from engine.errors import OptionError
from engine.inf_nerf import InfNeRF, InfNeRFTrainer, InfNeRFTrainerConfig, resume
from engine.inf_nerf import trainer as trainer_module
from engine.inf_nerf.parallel import Division, PartialFields, SubtreeDivision
from engine.parallel import ParallelError
from tests.inf_nerf.small import QUICK, scene, small_config
from tests.inf_nerf.test_model import Fog
from tests.inf_nerf.two_trainers import STEPS, trainer
from tests.ranks_in_threads import Meeting, ThreadRank, all_do
from tests.two_ranks import start

TOLERANCE = (
    5e-5  # the same float32 numbers in another order, six of Adam's steps of 1e-2 later; worst seen 5e-6
)
KINDS = {"data": Division, "subtree": SubtreeDivision}


def ranks(monkeypatch: pytest.MonkeyPatch, kind: str, **values: Any) -> list[InfNeRFTrainer]:
    meeting, made = Meeting(2), []
    for rank in range(2):
        monkeypatch.setattr(
            trainer_module, "division_of", lambda *_, r=rank: KINDS[kind](ThreadRank(r, meeting))
        )
        made.append(trainer(**values))
    monkeypatch.undo()
    return made


def record(trainer: InfNeRFTrainer) -> dict[str, Any]:
    with trainer.division.whole(trainer):
        return resume.record_of(trainer)


def assert_close(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted["fields"].items():
        assert (found["fields"][name] - value).abs().max() < TOLERANCE, name
    states = (r["trainer"]["optimizer"]["state"] for r in (found, wanted))
    for a, b in zip(*(state.values() for state in states)):
        assert torch.equal(a["age"], b["age"]) and torch.allclose(a["m"], b["m"], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", [0, 8])
def test_two_ranks_train_what_one_does(monkeypatch, kind, cells):
    model = dict(occupancy_cells=cells)
    one, both = trainer(model), ranks(monkeypatch, kind, model=model)
    for _ in range(STEPS):
        wanted, found = one.train_step(), all_do(both, lambda t: t.train_step())
    assert found[0] == found[1]
    assert found[0] == pytest.approx(wanted, rel=1e-4)
    assert_close(all_do(both, record)[0], record(one))
    assert all_do(both, lambda t: t.validate()["psnr"]) == pytest.approx(
        [one.validate()["psnr"]] * 2, abs=0.01
    )


def test_each_rank_holds_its_share_and_gives_it_for_saving(monkeypatch, tmp_path):
    both = ranks(monkeypatch, "subtree")
    nodes = both[0].model.tree.nodes
    held = [len(t.model.fields.own.tables) for t in both]
    assert sum(held) == nodes + 1 and max(held) <= nodes // 2 + 1
    all_do(both, lambda t: t.train_step())
    for t, own in zip(both, held):
        state = t.optimizer.state[t.model.fields.own.tables]
        assert len(state["m"]) == own and isinstance(t.model.fields, PartialFields)
    with pytest.raises(ParallelError, match="while other processes hold some"):
        both[0].model.fields.keep(torch.arange(1))
    all_do(both, lambda t: t.save(tmp_path / "a.pth"))
    assert InfNeRF.load(tmp_path / "a.pth").fields.nodes == nodes
    all_do(both, lambda t: t.load(tmp_path / "a.pth"))
    assert [len(t.model.fields.own.tables) for t in both] == held
    assert all_do(both, lambda t: t.train_step())[0]["total_loss"] > 0.0


def test_a_pruned_tree_is_divided_anew(monkeypatch):
    both = ranks(monkeypatch, "subtree")
    all_do(both, lambda t: t.train_step())
    nodes = both[0].model.tree.nodes

    def emptied(t: InfNeRFTrainer) -> int:
        with torch.no_grad():
            t.model.fields.own.mlp.zero_()
        t.model.prune = lambda: InfNeRF.prune(t.model, opacity=2.0, difference=1.0)  # everything may go
        return t.prune()

    assert all_do(both, emptied) == [nodes - 1] * 2
    assert [len(t.model.fields.own.tables) for t in both] == [1, 1]
    assert all_do(both, lambda t: t.train_step())[0]["total_loss"] > 0.0


def test_fields_of_ones_own_are_not_divided_by_nodes(monkeypatch):
    monkeypatch.setattr(trainer_module, "division_of", lambda *_: SubtreeDivision(ThreadRank(0, Meeting(2))))
    model = InfNeRF(small_config(max_depth=1), field_factory=lambda config, node: Fog())
    with pytest.raises(OptionError, match="with a field_factory choose 'data'"):
        InfNeRFTrainer(model, scene(), InfNeRFTrainerConfig(**QUICK))


@pytest.mark.skipif(sys.platform == "win32", reason="gloo meets in a file on POSIX")
def test_two_processes_train_what_one_does(tmp_path):
    processes = start("tests.inf_nerf.two_trainers", tmp_path / "meet", str(tmp_path))
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    one = torch.load(tmp_path / "one" / "last.pth", weights_only=True)
    for kind in KINDS:
        found = torch.load(tmp_path / kind / "last.pth", weights_only=True)
        assert found["trainer"]["step"] == STEPS
        assert found["trainer"]["best_psnr"] == pytest.approx(one["trainer"]["best_psnr"], abs=0.01)
        assert_close(found, one)
