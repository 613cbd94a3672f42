# SPDX-License-Identifier: MIT
"""The names of the documents can be had from `engine`, and every example of the page runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import engine.datasets
import nerfviewer
from engine import svraster_one
from tests.plenoxels.toy import toy_scene

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "svraster_one.md"


def test_every_name_can_be_had_from_engine_and_from_the_library():
    assert sorted(engine.SVRASTER_ONE) == sorted(svraster_one.__all__)
    for name in engine.SVRASTER_ONE:
        assert getattr(engine, name) is getattr(svraster_one, name)
        assert getattr(nerfviewer, name) is getattr(svraster_one, name)
    with pytest.raises(AttributeError, match="no attribute 'SVRasterOnce'"):
        _ = engine.SVRasterOnce


def test_importing_engine_imports_nothing_of_it():
    code = "import sys, engine; print('torch' in sys.modules, 'engine.svraster_one' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PAGE.parent.parent
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """Every Python block of docs/svraster_one.md, one after the other, in one namespace; the demo is a toy, to save time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine.datasets, "load_scene", lambda *_: toy_scene())
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["psnr"] > 10.0
    assert names["rgb_image"].shape == (60, 80, 3)
    assert names["report"]["after_mb"] <= names["report"]["target_mb"]
    assert names["sequence_output"]["depth"].shape == (2, 30, 40)
    assert names["times"]["comparison"]["memory_ratio"] > 1.0
