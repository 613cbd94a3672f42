# SPDX-License-Identifier: MIT
"""What listens to a field goes with it."""

from __future__ import annotations

from collections.abc import Iterator

import dearpygui.dearpygui as dpg
import pytest

from app.gui.edit_handlers import SWEEP_FROM, EditHandlers


@pytest.fixture(autouse=True)
def gui() -> Iterator[None]:
    dpg.create_context()
    yield
    dpg.destroy_context()


def _build(handlers: EditHandlers, fields: int, heard: list[int]) -> int | str:
    """Build a form; return its window."""
    with dpg.window() as window:
        for n in range(fields):
            handlers.add(dpg.add_input_int(default_value=n, tag=f"field{n}"), heard.append)
    return window


def test_a_form_that_is_built_again_and_again_keeps_one_set_of_handlers() -> None:
    handlers, counts = EditHandlers(), []
    for _ in range(8):
        window = _build(handlers, SWEEP_FROM, [])
        counts.append(len(dpg.get_all_items()))
        dpg.delete_item(window)
    assert max(counts[2:]) == counts[1], counts


def test_handlers_of_fields_that_stay_still_listen() -> None:
    handlers, heard = EditHandlers(), []
    _build(handlers, 3 * SWEEP_FROM, heard)
    handlers.sweep()
    for n in (0, 3 * SWEEP_FROM - 1):
        (handler,) = dpg.get_item_children(dpg.get_item_info(f"field{n}")["handlers"], 1)
        dpg.get_item_callback(handler)()
    assert heard == [0, 3 * SWEEP_FROM - 1]
