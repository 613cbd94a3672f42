# SPDX-License-Identifier: MIT
"""The options panel: a form made from the method's own declarations; nothing here knows a single option by name.

Live options go to the worker at once. The others are staged in `session.staged` until the registry's command
"reset_with_options" starts again with them.
"""

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
    """Every option in its group; live ones act at once, the others at the next reset."""

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
        with dpg.group(tag=self.tag("staging"), show=False), self.columns(2):
            self.button("reset_with_options", "Apply with reset")
            dpg.add_button(label="Discard", tag=self.tag("discard"), width=-1, callback=self._discard)
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
        """Show the values in force, and those that wait for a reset in their place."""
        for name, info in self._infos.items():
            if name not in session.values:
                continue
            now = session.values[name]
            value, staged = session.staged.get(name, now), name in session.staged
            self.put(name, value)
            colour = "accent" if staged else "text" if value != info.default else "quiet"
            self.configure(f"{name}-label", color=COLOURS[colour])
            if not info.live:
                self.configure(f"{name}-staged", show=staged)
                self.explain(f"{name}-staged", f"In force now: {_said(now)}. Discard keeps it.")
        self.allow_commands(session, "reset_with_options")
        nothing = None if session.staged else "No option waits for a reset."
        self.allow("discard", nothing, "Show the values in force again; nothing is reset.")

    def _make_form(self) -> None:
        self._infos = {info.name: info for info in self._declared(self._method)}
        self._shown.clear()
        dpg.delete_item(self.tag("form"), children_only=True)
        self.configure("empty", show=not self._infos)
        self.configure("staging", show=any(not info.live for info in self._infos.values()))
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
            with dpg.group():
                dpg.add_text(_label(info) + unit, tag=self.tag(f"{info.name}-label"), color=COLOURS["quiet"])
                if not info.live:
                    tag = self.tag(f"{info.name}-staged")
                    dpg.add_text("at next reset", tag=tag, bullet=True, color=COLOURS["accent"], show=False)
            self.explain(f"{info.name}-label", _help(info))
            self._make_control(info)
        self.explain(info.name, _help(info) if info.live else f"{_fixed(info)}\n\n{_help(info)}")

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
        """Send or stage an option that is right; for a wrong one say why, and show the old value again."""
        try:
            checked = self._infos[name].check(value)
        except OptionError as error:
            self.forget(name)
            self.put("refused", str(error))
            self.configure("refused", show=True)
            return
        self.configure("refused", show=False)
        self.forget(name)  # what was typed in must give way if the worker answers with something else
        session = self.context.session
        if self._infos[name].live:
            self.context.send(SetOptions({name: checked}))
        elif checked != session.values.get(name):
            session.staged[name] = checked
        else:
            session.staged.pop(name, None)

    def _discard(self) -> None:
        for name in self.context.session.staged:
            self.forget(name)
        self.context.session.staged.clear()
        self.configure("refused", show=False)


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
    lines.append(f"Default {_said(info.default)}. Name: {info.name}")
    return "\n".join(lines)


def _said(value: Any) -> str:
    return str(value) if isinstance(value, str | bool) else formats.short(value)


def _fixed(info: OptionInfo) -> str:
    flag = info.name.replace("_", "-")
    return (
        "Fixed once the model is made: a change waits here until Apply with reset starts training again. "
        f"For a first start: nerfviewer SCENE --{flag} VALUE."
    )
