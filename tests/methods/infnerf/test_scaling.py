# SPDX-License-Identifier: MIT
"""The method's claim, counted by its own code: a frame needs about as many nodes of every level, however large the scene."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from app.cli import main
from engine.cpu.crew import Crew
from engine.methods.infnerf import scaling

CREW = Crew(1)
FLAT = 0.3  # what the project promises for depths 3 to 8; the worst seen there is 0.22


@pytest.fixture(scope="module")
def frames():
    return [scaling.one_frame(depth, CREW) for depth in range(3, 7)]


def test_the_tree_of_a_ground_is_a_quadtree_of_constant_finest_detail():
    for depth in (3, 5):
        tree = scaling.ground_tree(depth)
        assert np.diff(tree.level_start).tolist() == [4**d for d in range(depth + 1)]
        assert float(tree.gsd(depth)) * scaling.side_m(depth) == pytest.approx(scaling.FINEST_M)
    assert round(scaling.side_m(3)) == 51 and round(scaling.side_m(9)) == 3277


def test_touched_nodes_per_level_stay_flat_while_the_tree_grows(frames):
    assert [frame.nodes for frame in frames] == [85, 341, 1365, 5461]
    assert scaling.spread(frames) < FLAT
    shares = [frame.touched_bytes / frame.model_bytes for frame in frames]
    assert shares[0] < 0.6 and all(later < 0.5 * earlier for earlier, later in itertools.pairwise(shares))


def test_a_frame_uses_every_level_that_its_distances_ask_for_and_counts_each_node_once(frames):
    for frame in frames:
        assert sum(frame.per_level) == frame.touched and len(frame.per_level) == frame.depth + 1
        used = np.flatnonzero(frame.per_level)
        assert used[-1] == frame.depth and np.all(np.diff(used) == 1) and len(used) >= frame.depth - 1
        assert frame.touched_bytes == frame.touched * scaling.SHAPE.node_bytes


def test_a_camera_with_fewer_pixels_needs_coarser_nodes(monkeypatch, frames):
    monkeypatch.setattr(scaling, "PICTURE", (60, 45))
    coarse = scaling.one_frame(5, CREW)
    assert coarse.touched < 0.5 * frames[2].touched and coarse.per_level[5] == 0


def test_the_command_prints_the_table_and_writes_it(tmp_path, capsys):
    assert main(["bench", "infnerf-scaling", "--depth", "4", "--json", str(tmp_path / "table.json")]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "table.json").read_text())
    assert [row["depth"] for row in result["frames"]] == [3, 4]
    for row in result["frames"]:
        assert f"{row['nodes']:,}" in printed and f" {row['touched']} " in printed
    assert main(["bench", "infnerf-scaling", "--depth", "11"]) != 0
    assert "3 to 10" in capsys.readouterr().err
