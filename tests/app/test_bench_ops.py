# SPDX-License-Identifier: MIT
"""What `bench ops` times is the march: its stages, in Numba and in torch, make the picture of the fused kernel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from app import bench_ops
from app.bench_stages import NumbaStages, TorchStages
from app.cli import main
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.march import march

SIZE, RAYS = 20, 60
PICTURE = 2e-5  # 4e-6 seen: float32 in another order


@pytest.mark.parametrize("stages", [NumbaStages, TorchStages])
def test_the_stages_make_the_picture_of_the_fused_kernel(stages: type) -> None:
    grid, (rays_o, rays_d) = bench_ops.shell_grid(SIZE), bench_ops.rays_around(RAYS)
    options = ("cpu",) if stages is TorchStages else ()
    work = stages(grid, rays_o, rays_d, bench_ops.OPTIONS, *options)
    for name in bench_ops.STAGES:
        getattr(work, name)()
    exact = march(grid, rays_o, rays_d, bench_ops.OPTIONS, crew(), Workspace()).rgb
    assert np.abs(np.asarray(work.picture) - exact).max() < PICTURE
    assert 0.3 < (exact > 0.0).mean() < 1.0, "some rays hit the shell, some do not"


def test_the_table_has_every_op_and_the_file_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid, rays = bench_ops.shell_grid(SIZE), bench_ops.rays_around(RAYS)
    monkeypatch.setattr(bench_ops, "shell_grid", lambda: grid)
    monkeypatch.setattr(bench_ops, "rays_around", lambda: rays)
    assert main(["bench", "ops", "--runs", "1", "--json", str(tmp_path / "ops.json")]) == 0
    result = json.loads((tmp_path / "ops.json").read_text())
    assert result["case"] == {"rays": RAYS, "size": [SIZE] * 3, "voxels": grid.n_voxels, "sh_degree": 2}
    names = ["reference", "numba", *(["cuda"] if torch.cuda.is_available() else [])]
    assert {op: list(row) for op, row in result["ops"].items()} == {op: names for op in bench_ops.OPS}
    assert all(row[name]["ms_median"] > 0.0 for row in result["ops"].values() for name in names)
    printed = capsys.readouterr().out
    assert bench_ops.table(result) in printed
    assert all(f"| {op} | " in printed for op in bench_ops.OPS)
