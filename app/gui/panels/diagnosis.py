# SPDX-License-Identifier: MIT
"""The diagnosis panel: what goes wrong in this training, the evidence, and a button for the one change that may help."""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import clipboard, formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.findings import Finding
from engine.messages import OpenScene, SetOptions
from engine.methods.common import method_class
from engine.options import describe

# Names of Stats.vitals -> label, tooltip
VITALS = {
    "dead": ("Dead voxels", "Voxels that no view needs: their heaviest blending weight is below the pruning threshold."),
    "gradient_densities": ("Gradient, densities", "Length of the gradient of all densities, over their last hundred updates."),
    "gradient_colours": ("Gradient, colours", "Length of the gradient of all colours, over their last hundred updates."),
    "waiting": ("Threads wait", "Share of their time in kernels that threads wait for the slowest one at the end."),
}  # fmt: skip


class DiagnosisPanel(BasePanel):
    """A verdict, findings with their changes, and the numbers that are watched."""

    id, title = "diagnosis", "Diagnosis"

    def __init__(self) -> None:
        super().__init__()
        self._listed: Any = None

    def layout(self) -> None:
        """The verdict on top; findings are made when there are some."""
        dpg.add_text(
            "Findings appear while a scene trains.", tag=self.tag("verdict"), wrap=0, color=COLOURS["quiet"]
        )
        dpg.add_group(tag=self.tag("findings"))
        with dpg.group(tag=self.tag("vitals"), show=False), self.form(0.5):
            for name, (label, tip) in VITALS.items():
                self.number(label, name, tip)

    def refresh(self, session: Session) -> None:
        """Show what is known by now."""
        vitals = dict(session.stats.vitals) if session.stats is not None else {}
        if session.findings:
            count = len(session.findings)
            self.put(
                "verdict", "One thing goes wrong." if count == 1 else f"{count} things go wrong.", "warn"
            )
        elif vitals:
            self.put("verdict", "Nothing goes wrong so far.", "good")
        else:
            self.put("verdict", "Findings appear while a scene trains.", "quiet")
        self.configure("vitals", show=bool(vitals))
        for name in VITALS:
            self.configure(f"{name}-row", show=name in vitals)
            if name in vitals:
                value = vitals[name]
                self.put(name, f"{value:.2g}" if name.startswith("gradient") else formats.percent(value))
        self._list(session)

    def _list(self, session: Session) -> None:
        key = (session.findings, tuple(f.option in session.staged for f in session.findings))
        if key == self._listed:
            return
        self._listed = key
        dpg.delete_item(self.tag("findings"), children_only=True)
        for finding in session.findings:
            self._finding(session, finding)

    def _finding(self, session: Session, finding: Finding) -> None:
        name = finding.id
        with dpg.group(parent=self.tag("findings")):
            dpg.add_text(finding.title, color=COLOURS["warn"])
            dpg.add_text(finding.evidence, wrap=0, color=COLOURS["quiet"])
            dpg.add_text(finding.advice, wrap=0)
            dpg.add_button(
                label=_change(finding),
                tag=self.tag(f"apply-{name}"),
                width=-1,
                user_data=finding,
                callback=self._apply,
            )
            self.explain(f"apply-{name}", _explained(session, finding))
            dpg.add_button(
                label="Copy as a flag",
                tag=self.tag(f"copy-{name}"),
                width=-1,
                user_data=finding.flag,
                callback=self._copy,
            )
            self.explain(f"copy-{name}", f"Put {finding.flag} on the clipboard.")
            if finding.option in session.staged:
                dpg.add_text("Waits for a reset, see Options.", wrap=0, color=COLOURS["accent"])
            dpg.add_spacer(height=self.px(4))

    def _copy(self, sender: int | str, value: Any, flag: str) -> None:
        clipboard.copy(flag)

    def _apply(self, sender: int | str, value: Any, finding: Finding) -> None:
        """Set a live option, stage another one, or read the scene anew."""
        session = self.context.session
        scene = session.scene
        if scene is None:
            return
        if finding.of_scene:
            options = {**scene.options, finding.option: finding.value}
            path = "demo" if scene.kind == "demo" else scene.path
            self.context.send(OpenScene(path, scene.method, dict(session.values), options, start=True))
        elif _live(scene.method, finding.option):
            self.context.send(SetOptions({finding.option: finding.value}))
        else:
            session.staged[finding.option] = finding.value
            self._listed = None


def _change(finding: Finding) -> str:
    """Return a change as a button says it: "Set max voxels to 60,000", "Turn exposure on"."""
    group, _, name = finding.option.replace("_", " ").rpartition(".")
    if isinstance(finding.value, bool):
        return f"Turn {group if name == 'on' else name} {'on' if finding.value else 'off'}"
    return (
        f"Set {name} to {finding.value if isinstance(finding.value, str) else formats.short(finding.value)}"
    )


def _live(method: str, option: str) -> bool:
    return any(info.name == option and info.live for info in describe(method_class(method).Config))


def _explained(session: Session, finding: Finding) -> str:
    if finding.of_scene:
        how = "Reads the scene again and trains anew; what was trained is saved."
    elif session.scene is not None and _live(session.scene.method, finding.option):
        how = "Takes effect at once; training goes on."
    else:
        how = "Waits for the next reset: Apply with reset, in Options."
    return f"Sets {finding.option}. {how}"
