# SPDX-License-Identifier: MIT
"""The options panel: a form made from the method's own declarations; nothing here knows a single option by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.errors import OptionError
from engine.messages import Event, Failed, SceneOpened, SetOptions
from engine.methods.common import method_class
from engine.options import OptionInfo, describe

_ABBREVIATIONS = {"sh", "sh0", "shs", "ssim", "mse"}


def declared_options(method: str) -> list[OptionInfo]:
    """Return the options of a method, groups in order."""
    return list(describe(method_class(method).Config))


class OptionsPanel(BasePanel):
    """Every option in its group; live ones act at once, the others say why they cannot."""

    id, title = "options", "Options"

    def __init__(self, declared: Callable[[str], Iterable[OptionInfo]] = declared_options) -> None:
        super().__init__()
        self._declared = declared
        self._method = ""
        self._infos: dict[str, OptionInfo] = {}

    def layout(self) -> None:
        """Only the frame: the form is made when a scene tells its method."""
        dpg.add_text(
            "Options appear when a scene is open.", tag=self.tag("empty"), color=COLOURS["quiet"], wrap=0
        )
        dpg.add_text("", tag=self.tag("refused"), color=COLOURS["bad"], wrap=0, show=False)
        dpg.add_group(tag=self.tag("form"))

    def on_event(self, event: Event) -> None:
        """Make the form of the method of a scene; after a refusal show the values that hold."""
        if isinstance(event, SceneOpened) and event.method != self._method:
            self._method = event.method
            self._make_form()
        elif isinstance(event, Failed):
            for name in self._infos:
                self.forget(name)

    def refresh(self, session: Session) -> None:
        """Show the values in force."""
        for name, info in self._infos.items():
            if name in session.values:
                value = session.values[name]
                self.put(name, value)
                changed = value != info.default
                self.configure(f"{name}-label", color=COLOURS["text" if changed else "quiet"])

    def _make_form(self) -> None:
        self._infos = {info.name: info for info in self._declared(self._method)}
        self._shown.clear()
        dpg.delete_item(self.tag("form"), children_only=True)
        self.configure("empty", show=not self._infos)
        groups: dict[str, list[OptionInfo]] = {}
        for info in self._infos.values():
            groups.setdefault(info.name.rpartition(".")[0], []).append(info)
        for number, (group, infos) in enumerate(groups.items()):
            title = group.replace(".", ", ").replace("_", " ").capitalize() or "General"
            with dpg.tree_node(label=title, parent=self.tag("form"), default_open=number == 0):
                with self.form(0.52):
                    for info in infos:
                        self._make_row(info)

    def _make_row(self, info: OptionInfo) -> None:
        with dpg.table_row():
            unit = f" ({info.unit})" if info.unit else ""
            dpg.add_text(_label(info) + unit, tag=self.tag(f"{info.name}-label"), color=COLOURS["quiet"])
            self.explain(f"{info.name}-label", _help(info))
            self._make_control(info)
        reason = None if info.live else _fixed(info)
        self.allow(info.name, reason, _help(info))

    def _make_control(self, info: OptionInfo) -> None:
        common: dict[str, Any] = {"tag": self.tag(info.name), "default_value": info.default}
        if info.type is bool:
            dpg.add_checkbox(**common, callback=lambda: self._commit(info.name, dpg.get_value(common["tag"])))
            return
        common["width"] = -1
        if info.choices:
            dpg.add_combo(
                info.choices, **common, callback=lambda: self._commit(info.name, dpg.get_value(common["tag"]))
            )
            return
        if info.type is int:
            dpg.add_input_int(**common, step=0)
        elif info.type is float:
            dpg.add_input_double(**common, step=0, format="%.5g")
        else:
            dpg.add_input_text(**common)
        self.edited(info.name, lambda value: self._commit(info.name, value))

    def _commit(self, name: str, value: Any) -> None:
        """Send an option that is right; for a wrong one say why, and show the old value again."""
        try:
            checked = self._infos[name].check(value)
        except OptionError as error:
            self.forget(name)
            self.put("refused", str(error))
            self.configure("refused", show=True)
            return
        self.configure("refused", show=False)
        self.forget(name)  # what was typed in must give way if the worker answers with something else
        self.context.send(SetOptions({name: checked}))


def _label(info: OptionInfo) -> str:
    words = (word.upper() if word.lower() in _ABBREVIATIONS else word for word in info.label.split())
    return " ".join(words)


def _help(info: OptionInfo) -> str:
    lines = [info.help]
    low, high = info.minimum, info.maximum
    unit = f" {info.unit}" if info.unit else ""
    if low is not None and high is not None:
        lines.append(f"From {formats.short(low)} to {formats.short(high)}{unit}.")
    elif low is not None:
        lines.append(f"At least {formats.short(low)}{unit}.")
    elif high is not None:
        lines.append(f"At most {formats.short(high)}{unit}.")
    default = info.default if isinstance(info.default, str | bool) else formats.short(info.default)
    lines.append(f"Default {default}. Name: {info.name}")
    return "\n".join(lines)


def _fixed(info: OptionInfo) -> str:
    flag = info.name.replace("_", "-")
    return f"Fixed once the model is made: it takes effect at the start, as nerfviewer SCENE --{flag} VALUE."
