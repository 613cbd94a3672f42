# SPDX-License-Identifier: MIT
"""Calls back when a person has finished with a field. Dear PyGui keeps such a handler when its field goes; this does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

SWEEP_FROM = 16  # handlers; few are not worth a look


class EditHandlers:
    """The handlers of one form, which may be built anew as often as it likes."""

    def __init__(self) -> None:
        self._handlers: list[tuple[int, int | str]] = []  # fields, and what listens to them
        self._sweep_at = SWEEP_FROM

    def add(self, item: int | str, callback: Callable[[Any], None]) -> None:
        """Call back with a field's value once it was changed."""
        if len(self._handlers) >= self._sweep_at:
            self.sweep()
        with dpg.item_handler_registry() as registry:
            dpg.add_item_deactivated_after_edit_handler(callback=lambda: callback(dpg.get_value(item)))
        dpg.bind_item_handler_registry(item, registry)
        self._handlers.append((dpg.get_alias_id(item) if isinstance(item, str) else item, registry))

    def sweep(self) -> None:
        """Delete the handlers of fields that are gone."""
        gone = [registry for item, registry in self._handlers if not dpg.does_item_exist(item)]
        for registry in gone:
            dpg.delete_item(registry)
        self._handlers = [pair for pair in self._handlers if dpg.does_item_exist(pair[0])]
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._handlers))
