# SPDX-License-Identifier: MIT
"""What was measured is not lost for want of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import bench
from engine.errors import UserError


def test_the_numbers_go_into_a_folder_that_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "RASTER_CASES", {})
    bench.raster(tmp_path / "new" / "numbers.json")
    assert json.loads((tmp_path / "new" / "numbers.json").read_text())["cases"] == []
    with pytest.raises(UserError, match="Choose another file"):
        bench.raster(tmp_path / "new")
