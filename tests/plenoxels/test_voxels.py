# SPDX-License-Identifier: MIT
"""Regular grids: made, pruned, counted; and that all names can be had from `engine` without importing anything before."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import engine
import nerfviewer
from engine import plenoxels

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "plenoxels.md"


def test_a_grid_has_its_centres_half_a_voxel_behind_the_walls():
    grid = engine.create_voxel_grid((4, 2, 5), (-1, -1, 0, 1, 3, 1))
    assert grid["centers"].shape == (4, 2, 5, 3)
    torch.testing.assert_close(grid["voxel_size"], torch.tensor([0.5, 2.0, 0.2]))
    torch.testing.assert_close(grid["centers"][0, 0, 0], torch.tensor([-0.75, 0.0, 0.1]))
    torch.testing.assert_close(grid["centers"][3, 1, 4], torch.tensor([0.75, 2.0, 0.9]))
    assert grid["links"].reshape(-1).tolist() == list(range(40))


def test_pruning_keeps_what_is_dense_and_its_neighbours():
    grid, density = engine.create_voxel_grid((5, 5, 5), (-1, -1, -1, 1, 1, 1)), torch.zeros(5, 5, 5)
    density[1, 2, 3] = 1.0
    pruned, keep = engine.prune_voxel_grid(grid, density, threshold=0.5, dilation=1)
    wanted = np.zeros((5, 5, 5), dtype=bool)
    wanted[0:3, 1:4, 2:5] = True
    np.testing.assert_array_equal(keep.numpy(), wanted)
    assert sorted(pruned["links"][keep].tolist()) == list(range(27))
    assert (pruned["links"][~keep] == -1).all()
    again, keep = engine.prune_voxel_grid(pruned, torch.ones(5, 5, 5), dilation=0)
    assert torch.equal(again["links"], pruned["links"])
    with pytest.raises(ValueError, match="X is 4"):
        engine.prune_voxel_grid(grid, torch.zeros(4, 5, 5))


def test_statistics_count_empty_voxels_among_all():
    density = torch.tensor([0.0, -1.0, 2.0, 4.0]).reshape(1, 2, 2)
    stats = engine.compute_voxel_occupancy_stats(density)
    assert stats == {
        "occupied_voxels": 2, "total_voxels": 4, "sparsity_ratio": 0.5, "mean_density": 3.0, "max_density": 4.0,
    }  # fmt: skip
    assert engine.compute_voxel_occupancy_stats(density.numpy(), threshold=3.0)["sparsity_ratio"] == 0.75


def test_engine_lists_what_the_package_exports_and_imports_it_only_when_asked():
    assert sorted(engine.PLENOXELS) == sorted(plenoxels.__all__)
    assert all(getattr(engine, name) is getattr(plenoxels, name) for name in engine.PLENOXELS)
    assert set(engine.PLENOXELS) <= set(dir(engine))
    assert nerfviewer.PlenoxelModel is engine.PlenoxelModel
    with pytest.raises(AttributeError, match="no attribute 'PlenoxelModle'"):
        _ = engine.PlenoxelModle
    code = "import sys, engine; print('torch' in sys.modules, 'engine.plenoxels' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PAGE.parent.parent
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """Every Python block of docs/plenoxels.md, one after the other, in one namespace."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["psnr"] > 15.0
