# SPDX-License-Identifier: MIT
"""The export panel: what to make, how it looks, what it costs, and what became of earlier exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.gui.panels.export_fields import CHOICES, CUSTOM, NUMBERS, SIZES, STEREO
from app.gui.panels.export_queue import ExportQueue
from app.gui.panels.timelapse import TimelapseForm
from app.jobs.estimate import picture_size
from app.jobs.orders import MEANWHILE, MOST_SIDE
from app.session import ExportSettings, Session
from engine.export.developing import COLOURS as AVERAGED


class ExportPanel(BasePanel):
    """The form, one button, the queue, and time-lapses."""

    id, title = "export", "Export"

    def __init__(self) -> None:
        super().__init__()
        self._queue, self._timelapse = ExportQueue(self), TimelapseForm(self)

    def layout(self) -> None:
        """What everybody chooses first, the rest folded away, then the button and the jobs."""
        with self.form(0.38):
            self._choice("kind")
            self._choice("format")
            with self.field("Size", "size", "Width and height of each picture, or of each eye's."):
                dpg.add_combo((*SIZES, CUSTOM), tag=self.tag("size"), width=-1, callback=self._take_size)
            for name, label in (("width", "Width, px"), ("height_px", "Height, px")):
                with self.field(label, name):
                    self._integer(name, 2, MOST_SIDE)
            self._number("frames")
            self._number("fps")
            self._choice("quality")
        with self._section("Shape of the path", "shape", "radius", "height", "turns"):
            pass
        with self._section("Smoothness and motion blur", "smooth", "supersample", "moments", "shutter"):
            pass
        with self._section("Stereo and 360 degrees", "space", "projection", "eye_distance", "focus"):
            pass
        with (
            self._section("View mode, depth, normals", "layers", "mode", "depth"),
            self.field("Normals", "normals-row"),
        ):
            dpg.add_checkbox(tag=self.tag("normals"), callback=self._take("normals"))
        self.explain(
            "normals", "Normals in the camera's axes beside the colours: a video, or a folder of pictures."
        )
        with self._section("Training meanwhile", "training", "meanwhile", "model"):
            pass
        with (
            self.form(0.38),
            self.field("File", "file", "Empty: named after the path, where the settings put results."),
        ):
            dpg.add_input_text(tag=self.tag("file"), hint="automatic", width=-1, callback=self._take("file"))
        dpg.add_button(
            label="Export",
            tag=self.tag("start"),
            width=-1,
            callback=lambda: self.context.do("export.start", None),
        )
        dpg.add_text("", tag=self.tag("note"), color=COLOURS["quiet"], wrap=0)
        self._queue.layout()
        self._timelapse.layout()

    def refresh(self, session: Session) -> None:
        """Show the settings; the menu and a new scene change them too."""
        settings = session.export
        for name in (*CHOICES, *NUMBERS, "width", "height_px", "normals", "file"):
            self.put(name, getattr(settings, name))
        size = f"{settings.width} x {settings.height_px}"
        custom = size not in SIZES or self._wants_custom
        self.put("size", CUSTOM if custom else size)
        for name in ("width", "height_px"):
            self.configure(f"{name}-row", show=custom)
        preset = settings.kind != "path"
        self.configure("frames-row", show=preset)
        self.configure("shape", show=preset and settings.kind != "fly-along")
        self._allow(settings)
        self.allow(
            "start",
            self._why_not(session),
            "Render it beside training, from a copy of the model, and write it to a file.",
        )
        self.put("note", _note(session))
        self._queue.refresh(session)
        self._timelapse.refresh(session)

    _wants_custom = False

    def _allow(self, settings: ExportSettings) -> None:
        """Say of settings without effect why they have none."""
        averaged = settings.mode in AVERAGED
        lossless = (
            "" if settings.format in ("mp4", "WebP") else f"A {settings.format} has no quality to choose."
        )
        reasons = {
            "quality": lossless,
            "moments": "" if averaged else "Only colours can be averaged; this view mode maps numbers.",
            "shutter": ""
            if averaged and settings.moments > 1
            else "Motion blur is off: choose more than 1 moment.",
            "eye_distance": "" if settings.projection in STEREO else "Only stereo pictures have two eyes.",
            "focus": "" if settings.projection in STEREO else "Only stereo pictures have two eyes.",
        }
        for name, reason in reasons.items():
            tip = CHOICES[name][2] if name in CHOICES else NUMBERS[name][3]
            self.allow(name, reason or None, tip)

    def _why_not(self, session: Session) -> str | None:
        if session.export.kind == "path" and commands.with_scene(session) is None and session.path is None:
            return "There is no camera path yet: press K in some views, or choose a ready-made path."
        return commands.with_scene(session)

    # --- widgets ----------------------------------------------------------------------------------------------

    @contextmanager
    def _section(self, label: str, tag: str, *names: str) -> Iterator[None]:
        """Open a folded part of the form with these settings; more rows may follow inside."""
        with dpg.tree_node(label=label, tag=self.tag(tag)), self.form(0.38):
            for name in names:
                self._choice(name) if name in CHOICES else self._number(name)
            yield

    def _choice(self, name: str) -> None:
        label, items, tip = CHOICES[name]
        with self.field(label, name, tip):
            dpg.add_combo(items, tag=self.tag(name), width=-1, callback=self._take(name))

    def _number(self, name: str) -> None:
        label, low, high, tip = NUMBERS[name]
        with self.field(label, name, tip):
            if isinstance(low, int):
                self._integer(name, low, int(high))
                return
            dpg.add_input_float(
                tag=self.tag(name), min_value=low, max_value=high, min_clamped=True, max_clamped=True,
                step=0, format="%.3g", width=-1, callback=self._take(name),
            )  # fmt: skip

    def _integer(self, name: str, low: int, high: int) -> None:
        dpg.add_input_int(
            tag=self.tag(name), min_value=low, max_value=high, min_clamped=True, max_clamped=True, step=0,
            width=-1, callback=self._take(name),
        )  # fmt: skip

    def _take(self, name: str) -> Any:
        return lambda: setattr(self.context.session.export, name, dpg.get_value(self.tag(name)))

    def _take_size(self) -> None:
        chosen, settings = dpg.get_value(self.tag("size")), self.context.session.export
        self._wants_custom = chosen == CUSTOM
        if not self._wants_custom:
            settings.width, settings.height_px = SIZES[chosen]


def _note(session: Session) -> str:
    """Return what the export would be, in a few words."""
    settings = session.export
    if session.export_estimate is None:
        return ""
    seconds, size = session.export_estimate
    width, height = picture_size(settings)
    about = f"about {formats.duration(seconds)} and {formats.size(size)}"
    meanwhile = "" if settings.meanwhile == MEANWHILE[0] else " Training waits."
    return f"{width} x {height}, {about}.{meanwhile}"
