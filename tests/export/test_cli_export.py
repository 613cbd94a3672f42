# SPDX-License-Identifier: MIT
"""`nerfviewer export` writes every format that a suffix or --format asks for, and says sizes before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app import cli
from engine import training
from engine.datasets.ply import read_ply
from tests.export.toy import MIDDLE, RADIUS, ball, ball_run, ball_scene, in_engine

SMALL = [
    "--fusion.picture",
    "48",
    "--fusion.views",
    "30",
    "--mesh.resolution",
    "32",
    "--points.resolution",
    "64",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    voxels = ball()
    scene = ball_scene(voxels, n_test=2)
    monkeypatch.setattr(training, "load_scene", lambda path, values, report: scene)
    return ball_run(voxels, scene, tmp_path)


def test_a_mesh_and_points_of_a_run_lie_on_its_surface(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    trimesh = pytest.importorskip("trimesh")
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.obj"), *SMALL]) == 0
    assert "triangles" in capsys.readouterr().err
    scene = training.load_scene("", {}, None)
    loaded = trimesh.load(tmp_path / "a.obj", process=False)
    away = np.linalg.norm(in_engine(np.asarray(loaded.vertices), scene) - MIDDLE, axis=1)
    assert np.abs(away - RADIUS).mean() < 1.5 / 32 and loaded.is_watertight
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.ply"), "--format", "points", *SMALL]) == 0
    points, _ = read_ply(tmp_path / "a.ply")
    away = np.linalg.norm(in_engine(points.xyz, scene) - MIDDLE, axis=1)
    assert len(points) > 1000 and np.abs(away - RADIUS).mean() < 1.5 / 32


@pytest.mark.parametrize("chosen", ["voxels", "cubes", "webgl"])
def test_voxels_of_a_run_become_a_ply(chosen: str, run: Path, tmp_path: Path) -> None:
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.ply"), "--format", chosen]) == 0
    points, _ = read_ply(tmp_path / "a.ply")
    assert len(points) > 1000


def test_sizes_are_told_and_nothing_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(run.parent.rglob("*"))
    assert cli.main(["export", str(run), "--estimate", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "compact",
        "mesh",
        "points",
        "voxels",
        "cubes",
        "webgl",
    ]
    assert " dB" in lines[-1] or "none" in lines[-1]
    assert sorted(run.parent.rglob("*")) == before


def test_what_is_missing_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(run)]) == 2
    assert "name it with -o" in capsys.readouterr().err
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.stl")]) == 2
    assert "must end in .voxels" in capsys.readouterr().err
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.ply"), "--mesh.resolution", "4"]) == 2
    assert "mesh.resolution must be at least 16" in capsys.readouterr().err
