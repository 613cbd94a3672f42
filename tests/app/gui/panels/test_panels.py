# SPDX-License-Identifier: MIT
"""What holds for every panel: unique ids, own tags, any event, an empty session."""

from __future__ import annotations

import ast
from pathlib import Path

import dearpygui.dearpygui as dpg
import pytest

from app.gui import panels
from app.gui.panels import PANELS
from app.gui.panels.base import BasePanel

FILES = sorted(Path(panels.__file__).parent.glob("*.py"))
ALL = pytest.mark.parametrize("make", [make for _, make in PANELS], ids=lambda make: make.id)


def test_ids_are_unique_and_slots_are_known():
    ids = [make.id for _, make in PANELS]
    assert len(set(ids)) == len(ids)
    assert {slot for slot, _ in PANELS} == {"left", "right", "timeline", "bottom"}
    assert all(make.title for _, make in PANELS)


@ALL
def test_a_panel_lives_with_an_empty_session_and_with_a_full_one(bench, lego, stats, evaluated, make):
    bench.build(make()).refresh()
    bench.event(lego, evaluated(30.0, 29.0))
    bench.stats(stats)
    bench.event(lego)  # a reset opens the same scene again
    assert not bench.sent and not bench.done and not bench.ran


@ALL
def test_every_named_widget_carries_the_panels_id(bench, make):
    bench.build(make())
    aliases = [alias for alias in dpg.get_aliases() if not alias.startswith("mv") and alias != "parent"]
    assert aliases and all(alias.startswith(f"{make.id}/") for alias in aliases)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_panel_is_short_and_touches_no_tensor(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    modules = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert not any(module.split(".")[0] in ("torch", "numba", "numpy") for module in modules)
    assert not any(module.startswith(("engine.worker", "engine.cpu")) for module in modules)


def test_a_panel_without_layout_or_refresh_is_no_panel():
    class Half(BasePanel):
        def layout(self):
            """Nothing to lay out."""

    with pytest.raises(TypeError, match="refresh"):
        Half()
