# SPDX-License-Identifier: MIT
"""The outer parts of the window: columns with their folding panels, strip, splitters, status line; who lies where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import dearpygui.dearpygui as dpg

from app.gui import layout as lay
from app.gui import theme
from app.gui.panel import Panel, PanelContext
from app.gui.panels.base import BasePanel
from app.session import Session
from engine.messages import Event

log = logging.getLogger(__name__)

STATUS_HEIGHT = 30
# Of the parts of the window, as Ctrl+Tab lists them.
TITLES = {
    "viewport": "Scene",
    "left": "Left panels",
    "right": "Right panels",
    "timeline": "Timeline",
    "bottom": "Bottom panels",
    "status": "Status line",
}
STRIP_SHARES = {"curves": 1.9, "views": 1.6, "log": 1.1}
_STILL = dict(
    no_title_bar=True, no_move=True, no_resize=True, no_collapse=True, no_background=True,
    no_bring_to_front_on_focus=True,
)  # fmt: skip

Report = Callable[[str, Exception], None]


class Columns:
    """Owns the windows around the viewport. A panel that fails is reported once and goes on being asked."""

    def __init__(
        self,
        look: theme.Theme,
        panels: list[tuple[str, Panel]],
        layout: lay.Layout,
        report: Report,
    ) -> None:
        self.layout = layout
        self.windows: dict[str, int | str] = {}
        self.places: lay.Places | None = None
        self.covered = False
        self._look, self._panels, self._report = look, panels, report
        self._headers: dict[str, int | str] = {}
        self._cells: dict[
            str, tuple[int | str, int | str]
        ] = {}  # of the strip: panel -> its column and its cell
        self._pulled: str | None = None
        self._failed: set[tuple[str, str]] = set()
        self._lines: dict[str, int | str] = {}
        self._splitter_theme: int | str = 0

    # --- building ---------------------------------------------------------------------------------------------

    def build(self, context: PanelContext) -> None:
        """Create all windows and panels."""
        for name, title in TITLES.items():
            scroll = name in ("left", "right")
            self.windows[name] = dpg.add_window(
                label=title,
                no_scrollbar=not scroll,
                no_scroll_with_mouse=not scroll,
                no_focus_on_appearing=True,
                **_STILL,
            )
        dpg.bind_item_theme(self.windows["viewport"], self._look.bare)
        dpg.bind_item_theme(self.windows["status"], self._look.line)
        for slot in ("left", "right"):
            self._column(slot, context)
        for slot, panel in self._panels:
            if slot == "timeline":
                self._build(panel, dpg.add_group(parent=self.windows["timeline"]), context)
        self._strip(context)
        drawlist = dpg.add_viewport_drawlist(front=False)
        self._lines = {
            name: dpg.draw_line([0, 0], [0, 0], color=theme.LINE, parent=drawlist)
            for name in ("left", "right", "timeline", "bottom", "menu", "status")
        }

    def _column(self, slot: str, context: PanelContext) -> None:
        for panel_slot, panel in self._panels:
            if panel_slot != slot:
                continue
            header = dpg.add_collapsing_header(
                label=panel.title, default_open=panel.id not in self.layout.folded, parent=self.windows[slot]
            )
            if self._look.bold is not None:
                dpg.bind_item_font(header, self._look.bold)
            self._headers[panel.id] = header
            body = dpg.add_group(parent=header)
            if self._look.font is not None:
                dpg.bind_item_font(body, self._look.font)
            self._build(panel, body, context)
            dpg.add_spacer(height=self._look.sizes.px(6), parent=header)

    def _strip(self, context: PanelContext) -> None:
        panels = [panel for slot, panel in self._panels if slot == "bottom"]
        table = dpg.add_table(
            parent=self.windows["bottom"], header_row=False, policy=dpg.mvTable_SizingStretchProp,
            borders_innerV=True, resizable=True, height=-1,
        )  # fmt: skip
        shares = [
            dpg.add_table_column(parent=table, init_width_or_weight=STRIP_SHARES.get(panel.id, 1.0))
            for panel in panels
        ]
        row = dpg.add_table_row(parent=table)
        for panel, share in zip(panels, shares, strict=True):
            cell = dpg.add_child_window(parent=row, border=False, height=-1)
            self._cells[panel.id] = share, cell
            dpg.configure_item(share, enabled=panel.id not in self.layout.hidden)
            title = dpg.add_text(panel.title, parent=cell)
            if self._look.bold is not None:
                dpg.bind_item_font(title, self._look.bold)
            self._build(panel, dpg.add_group(parent=cell), context)

    def _build(self, panel: Panel, parent: int | str, context: PanelContext) -> None:
        try:
            panel.build(parent, context)
        except Exception as error:
            self._fail(panel, "build", error)
            dpg.add_text(f"This panel could not be built: {error}", parent=parent, color=theme.BAD, wrap=0)

    # --- panels -----------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Tell all panels."""
        for _, panel in self._panels:
            try:
                panel.on_event(event)
            except Exception as error:
                self._fail(panel, "on_event", error)

    def refresh(self, session: Session) -> None:
        """Bring the panels that can be seen up to date."""
        if not session.view.show_panels:
            return
        for slot, panel in self._panels:
            header = self._headers.get(panel.id)
            if (header is not None and not dpg.get_value(header)) or panel.id in self.layout.hidden:
                continue
            shown = session.timeline.shown if slot == "timeline" else getattr(self.layout, f"show_{slot}")
            if not shown:
                continue
            try:
                panel.refresh(session)
            except Exception as error:
                self._fail(panel, "refresh", error)

    def _fail(self, panel: Panel, where: str, error: Exception) -> None:
        key = (panel.id, f"{where} {type(error).__name__} {error}")
        if key not in self._failed:
            self._failed.add(key)
            log.exception("panel failed id=%s in=%s", panel.id, where)
            self._report(f"The {panel.title} panel failed", error)

    def fold(self, panel_id: str, folded: bool) -> None:
        """Close or open the header of a panel."""
        dpg.set_value(self._headers[panel_id], not folded)

    @property
    def titles(self) -> dict[str, str]:
        """Return {panel: its title} of all panels."""
        return {panel.id: panel.title for _, panel in self._panels}

    @property
    def folding(self) -> tuple[str, ...]:
        """Return the panels that have a header to fold them."""
        return tuple(self._headers)

    @property
    def slots(self) -> list[tuple[str, str]]:
        """Return (slot, panel) of all panels in their order."""
        return [(slot, panel.id) for slot, panel in self._panels]

    def arrange(self, layout: lay.Layout) -> None:
        """Take a whole layout: columns, folded panels, what the strip shows."""
        self.layout = layout
        for name, header in self._headers.items():
            dpg.set_value(header, name not in layout.folded)
        for name, (share, _) in self._cells.items():
            dpg.configure_item(share, enabled=name not in layout.hidden)

    def reveal(self, panel_id: str) -> None:
        """Bring a panel before the person's eyes: its column, its header, the place that it is scrolled to."""
        slot = next(slot for slot, panel in self._panels if panel.id == panel_id)
        if slot not in ("left", "right", "bottom"):
            dpg.focus_item(self.windows[slot])
            return
        hidden = tuple(name for name in self.layout.hidden if name != panel_id)
        self.layout = replace(self.layout, hidden=hidden, **{f"show_{slot}": True})
        if panel_id in self._cells:
            dpg.configure_item(self._cells[panel_id][0], enabled=True)
            dpg.focus_item(self._cells[panel_id][1])
            return
        header, window = self._headers[panel_id], self.windows[slot]
        was_open, place = dpg.get_value(header), dpg.get_item_pos(header)[1]
        dpg.set_value(header, True)
        inside = 0 <= place - dpg.get_y_scroll(window) < 0.5 * dpg.get_item_height(window)
        if not was_open or not inside:  # else it can be read where it is
            dpg.set_y_scroll(window, max(0, place - self._look.sizes.px(10)))
        dpg.focus_item(header)

    def shown(self) -> list[str]:
        """Return the panels whose column is shown, in their order."""
        return [
            panel.id
            for slot, panel in self._panels
            if getattr(self.layout, f"show_{slot}", False) and panel.id not in self.layout.hidden
        ]

    def folded(self) -> tuple[str, ...]:
        """Return the panels whose header is closed."""
        return tuple(name for name, header in self._headers.items() if not dpg.get_value(header))

    def rescale(self) -> None:
        """Tell the panels that lengths are others, and put every window where it belongs at the next `place`."""
        scale = self._look.sizes.scale
        for _, panel in self._panels:
            if isinstance(panel, BasePanel):
                panel.context = replace(panel.context, scale=scale)
        self.places = None

    # --- places -----------------------------------------------------------------------------------------------

    def cover(self, covered: bool) -> None:
        """Hide everything between menu and status bar, for a page that stands there, or bring it back."""
        if covered != self.covered:
            self.covered, self.places = covered, None

    def place(self, width: int, height: int, menu: int, panels: bool, timeline: bool = False) -> lay.Places:
        """Put every window where it belongs; return the places."""
        status = self._look.sizes.px(STATUS_HEIGHT)
        scale = self._look.sizes.scale
        places = lay.arrange(self.layout, width, height, scale, menu, status, panels, timeline)
        if places == self.places:
            return places
        self.places = places
        for name, window in self.windows.items():
            rect = getattr(places, name)
            show = rect.width > 1 and rect.height > 1 and (name == "status" or not self.covered)
            dpg.configure_item(window, show=show)
            if show:
                dpg.configure_item(window, pos=[rect.x, rect.y], width=rect.width, height=rect.height)
        self._draw_lines(places, width, height, menu, panels)
        return places

    def _draw_lines(self, places: lay.Places, width: int, height: int, menu: int, panels: bool) -> None:
        for name, line in self._lines.items():
            dpg.configure_item(line, show=panels and (name in ("menu", "status") or not self.covered))
        if not panels:
            return
        low = places.viewport.y + places.viewport.height + places.splitters["left"].width - 1
        for name in ("left", "right"):
            rect = places.splitters[name]
            x = rect.x + rect.width // 2
            dpg.configure_item(self._lines[name], p1=[x, menu], p2=[x, low])
        for name in ("bottom", "timeline"):
            dpg.configure_item(self._lines[name], show=name in places.splitters and not self.covered)
        for name in places.splitters.keys() & {"bottom", "timeline"}:
            y = places.splitters[name].y + places.splitters[name].height // 2
            dpg.configure_item(self._lines[name], p1=[0, y], p2=[width, y])
        dpg.configure_item(self._lines["menu"], p1=[0, menu - 1], p2=[width, menu - 1])
        dpg.configure_item(self._lines["status"], p1=[0, places.status.y], p2=[width, places.status.y])

    def pull(self, x: float, y: float, down: bool, started: bool) -> bool:
        """Let the mouse move the splitters; return whether one is being pulled."""
        if self.places is None or not self.places.splitters or self.covered:
            self._pulled = None
            return False
        over = next((name for name, rect in self.places.splitters.items() if rect.contains(x, y)), None)
        if started and over is not None:
            self._pulled = over
        if not down:
            self._pulled = None
        if self._pulled is not None:
            scale = self._look.sizes.scale
            right, bottom = self.places.status.width, self.places.status.y + self.places.status.height
            self.layout = lay.dragged(
                self.layout, self._pulled, x / scale, y / scale, right / scale, bottom / scale, STATUS_HEIGHT,
                self.places.viewport.y / scale if "timeline" in self.places.splitters else 0,
            )  # fmt: skip
        for name in ("left", "right", "timeline", "bottom"):
            hot = name in (self._pulled, over if not down else None)
            colour = theme.ACCENT if hot else theme.LINE
            if dpg.get_item_user_data(self._lines[name]) != hot:
                dpg.configure_item(self._lines[name], color=colour, user_data=hot)
        return self._pulled is not None

    def toggle(self, slot: str) -> None:
        """Fold a column or the strip away, or bring it back."""
        name = f"show_{slot}"
        self.layout = replace(self.layout, **{name: not getattr(self.layout, name)})
