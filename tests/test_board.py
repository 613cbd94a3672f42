# SPDX-License-Identifier: MIT
"""Curves for TensorBoard: what is written can be read back; without the package one sentence says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from app import cli
from app.headless import Console
from app.headless_train import TrainJob, train
from engine import messages as m
from engine.board import Board, BoardMissingError
from engine.errors import UserError
from engine.methods.common import StructureStats
from engine.worker import Worker
from tests.fakes import FakeConfig, FakeMethod, load_fake_scene


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard itself reads in a folder."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def stats_at(step: int, psnr: float = 20.0) -> m.Stats:
    structure = StructureStats(1234, 0, (0,) * 17, 10, 10, 0.0)
    return m.Stats(
        m.TrainState.TRAINING, step, None, 0.5 * step, 2.0, None, (("mse", 0.25),), psnr, structure, 99, 1.0, 1.0, 0.5,
        0.1, 30.0, 1.0,
    )  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Board:
    pytest.importorskip("tensorboard")
    return Board(tmp_path / "curves")


def test_statistics_and_evaluations_become_curves(board, tmp_path):
    board.see(stats_at(3))
    board.hear(m.Evaluated(3, 1.5, 25.5, 0.75, 1234, ()))
    board.see(stats_at(4, 21.0))
    board.close()
    found = curves(tmp_path / "curves")
    assert found["training/psnr"] == [(3, 20.0), (4, 21.0)]
    assert found["losses/mse"] == [(3, 0.25), (4, 0.25)]
    assert found["held out/psnr"] == [(3, 25.5)]
    assert found["held out/ssim"] == [(3, 0.75)]
    assert found["structure/voxels"][0] == (3, 1234.0)


def test_a_step_is_written_once_and_what_is_no_number_never(board, tmp_path):
    for _ in range(3):
        board.see(stats_at(5))
    board.hear(m.Evaluated(5, 1.5, float("nan"), 0.5, 1, ()))
    board.close()
    found = curves(tmp_path / "curves")
    assert len(found["training/psnr"]) == 1
    assert "held out/psnr" not in found


def test_nothing_is_written_before_there_is_a_number(board, tmp_path):
    board.see(stats_at(0))
    board.see(None)
    board.close()
    assert not (tmp_path / "curves").exists()


def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        Board(tmp_path / "file" / "curves").see(stats_at(1))


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BoardMissingError, match=r"pip install 'nerfviewer\[tensorboard\]'"):
        Board(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "demo", "--max-steps", "1", "--tensorboard"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install" in said
    assert list(tmp_path.iterdir()) == []


def test_train_writes_the_curves_of_any_method_into_its_run(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("app.headless.POLL_S", 0.001)
    worker = Worker(
        out=tmp_path / "run",
        evaluate_every_s=1e9,
        scene_loader=load_fake_scene,
        method_factory=lambda name, scene, values, seed: FakeMethod(scene, FakeConfig(), seed),
    )
    job = TrainJob("grey", "fake", max_steps=200, out=tmp_path / "run", tensorboard=True)
    with open(tmp_path / "log", "w") as log:
        assert train(job, worker, Console(log)) == 0
    found = curves(tmp_path / "run" / "tensorboard")
    assert found["held out/psnr"][-1][0] == 200
    assert all(np.isfinite(value) for _, value in found["training/psnr"])
