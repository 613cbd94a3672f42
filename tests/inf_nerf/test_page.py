# SPDX-License-Identifier: MIT
"""The names of the document can be had from `engine`, and every example of the page runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import engine.datasets
import nerfviewer
from engine import inf_nerf
from tests.inf_nerf.small import scene

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "inf_nerf.md"


def test_every_name_can_be_had_from_engine_and_from_the_library():
    assert sorted(engine.INF_NERF) == sorted(inf_nerf.__all__) == sorted(inf_nerf._HOMES)
    for name in engine.INF_NERF:
        assert getattr(engine, name) is getattr(inf_nerf, name)
        assert getattr(nerfviewer, name) is getattr(inf_nerf, name)
    with pytest.raises(AttributeError, match="no attribute 'InfNerf'"):
        _ = inf_nerf.InfNerf


def test_no_two_documents_name_the_same():
    names = [*engine.PLENOXELS, *engine.SVRASTER_ONE, *engine.INF_NERF]
    assert len(names) == len(set(names))


def test_importing_engine_imports_nothing_of_it():
    code = "import sys, engine, engine.inf_nerf; print('torch' in sys.modules, 'engine.inf_nerf.model' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PAGE.parent.parent
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """Every Python block of docs/inf_nerf.md, one after the other, in one namespace; the demo is a toy, to save time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine.datasets, "load_scene", lambda *_: scene())
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["psnr"] > 10.0
    assert names["rgb"].shape == (48, 64, 3) and names["depth"].shape == (48, 64)
    assert 0.0 < names["stats"]["share"] <= 1.0
    assert (tmp_path / "output.mp4").stat().st_size > 0
    assert len(list((tmp_path / "demo_renders").glob("view_*.png"))) == 2
    assert (names["levels"] - names["coarser"]).max() == 1 and (names["levels"] >= names["coarser"]).all()
    assert float(names["losses"]["see_through"].detach()) > 0.0
    assert names["blended"]["weights"].shape == (2, 8)
    assert names["coarse"]["stats"]["touched_nodes"].tolist() == [0]
    assert sorted(p.name for p in tmp_path.glob("picture*")) == [
        "picture.png",
        "picture_alpha.png",
        "picture_depth.npy",
    ]
    assert len(list((tmp_path / "frames").iterdir())) == 5
