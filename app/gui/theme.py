# SPDX-License-Identifier: MIT
"""How the window looks: named colours, sizes that scale, one font in two weights, the Dear PyGui themes made of them.

The window's own clear colour is the background everywhere. Filling it a second time, window by window, would cost a CPU
that draws OpenGL in software more than everything else in a frame together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dearpygui.dearpygui as dpg

from app.gui.colours import NOW, Colour
from app.resources import font_path
from app.settings import MAX_SCALE, MIN_SCALE

log = logging.getLogger(__name__)

BACKGROUND = NOW["BACKGROUND"]
RAISED, RAISED_HOVER, RAISED_ACTIVE = (
    NOW["RAISED"],
    NOW["RAISED_HOVER"],
    NOW["RAISED_ACTIVE"],
)  # buttons, fields
FLOATING = NOW["FLOATING"]  # menus, tooltips, dialogs
LINE = NOW["LINE"]
TEXT, MUTED, DISABLED = NOW["TEXT"], NOW["MUTED"], NOW["DISABLED"]
ACCENT = NOW["ACCENT"]
ACCENT_DEEP = NOW["ACCENT_DEEP"]  # what text stands on: bars, chosen rows
ON_ACCENT = NOW["ON_ACCENT"]  # text on the one primary button
GOOD, WARNING, BAD, HELD_OUT = NOW["GOOD"], NOW["WARNING"], NOW["BAD"], NOW["HELD_OUT"]
PLATE = NOW["PLATE"]  # behind texts over the picture
# Lines in the scene lie on pictures of any colour, so they stay much the same in all themes.
SCENE_ACCENT, SCENE_QUIET = NOW["SCENE_ACCENT"], NOW["SCENE_QUIET"]
SCENE_HELD_OUT, SCENE_BAD = NOW["SCENE_HELD_OUT"], NOW["SCENE_BAD"]
POINTED_AT = NOW["POINTED_AT"]  # in the scene, under the mouse
CLEAR = (0, 0, 0, 0)
PLOT_COLOURS: tuple[Colour, ...] = (ACCENT, *(NOW[f"PLOT_{n}"] for n in range(1, 8)))

FONT_PX, SPACING_PX = 15, 8
TIP_WRAP = 330
_FALLBACK_FONTS = {
    "Regular": ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "C:/Windows/Fonts/segoeui.ttf"),
    "SemiBold": ("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf", "C:/Windows/Fonts/seguisb.ttf"),
}


@dataclass
class Sizes:
    """Lengths in pixels at a scale; `px(n)` is n pixels of an ordinary screen."""

    scale: float = 1.0

    def px(self, length: float) -> int:
        """Return a length scaled and rounded, at least 1."""
        return max(1, round(length * self.scale))


SIZES = Sizes()  # of the window; every part that asks `px` at the moment of need gets the scale of now


@dataclass
class Theme:
    """What `install` made: item tags to bind. A missing font is None."""

    sizes: Sizes
    font: int | str | None = None
    bold: int | str | None = None
    primary: int | str = 0  # the one button that matters in its place
    flat: int | str = 0  # a button that is text until the mouse is over it
    bare: int | str = 0  # a window without padding
    card: int | str = 0  # a framed group on the background
    line: int | str = 0  # a window that is one line of text
    floating: int | str = 0  # a dialog
    plot: int | str = 0  # each plot, by itself: see `_plot_theme`

    def make_fonts(self) -> dict[int | str, int | str]:
        """Make the fonts for the scale of now and bind the plain one; return {font of before: font of now}."""
        before = self.font, self.bold
        self.font, self.bold = _font("Regular", self.sizes), _font("SemiBold", self.sizes)
        if self.font is not None:
            dpg.bind_font(self.font)
        pairs = zip(before, (self.font, self.bold), strict=True)
        return {old: new for old, new in pairs if old is not None and new is not None}


def detected_scale() -> float:
    """Return the scale that the desktop asks for, 1 if it says nothing."""
    for name in ("NERFVIEWER_UI_SCALE", "GDK_SCALE", "QT_SCALE_FACTOR"):
        try:
            return clamped_scale(float(os.environ[name]))
        except (KeyError, ValueError):
            continue
    return 1.0


def clamped_scale(scale: float) -> float:
    """Return a scale that leaves a window readable."""
    return min(max(scale, MIN_SCALE), MAX_SCALE)


def install(scale: float = 1.0) -> Theme:
    """Make fonts and themes and bind them globally. Needs a Dear PyGui context; once in each."""
    SIZES.scale = clamped_scale(scale)
    theme = Theme(SIZES)
    theme.make_fonts()
    dpg.bind_theme(_global_theme(theme.sizes))
    theme.primary = _button_theme(NOW["PRIMARY"], NOW["PRIMARY_HOVER"], NOW["PRIMARY_ACTIVE"], ON_ACCENT)
    theme.flat = _button_theme(CLEAR, RAISED_HOVER, RAISED_ACTIVE, MUTED)
    theme.bare = _bare_theme()
    theme.line = _bare_theme((theme.sizes.px(12), theme.sizes.px(6)))
    theme.card = _card_theme(theme.sizes)
    theme.floating = _floating_theme(theme.sizes)
    theme.plot = _plot_theme(theme.sizes)
    return theme


def font_file(weight: str) -> Path | None:
    """Return the shipped font, or one of the system's, or None."""
    try:
        return font_path(weight)
    except FileNotFoundError as error:
        log.warning("%s", error)
    return next((Path(name) for name in _FALLBACK_FONTS[weight] if Path(name).exists()), None)


def _font(weight: str, sizes: Sizes) -> int | str | None:
    path = font_file(weight)
    if path is None:
        return None
    with dpg.font_registry():
        return dpg.add_font(str(path), sizes.px(FONT_PX))


def _colours(pairs: dict[int, Sequence[int]], category: int = dpg.mvThemeCat_Core) -> None:
    for target, colour in pairs.items():
        dpg.add_theme_color(target, colour, category=category)


def _global_theme(sizes: Sizes) -> int | str:
    with dpg.theme() as theme:
        with dpg.theme_component(dpg.mvAll):
            _colours(
                {
                    dpg.mvThemeCol_WindowBg: BACKGROUND,
                    dpg.mvThemeCol_ChildBg: CLEAR,
                    dpg.mvThemeCol_PopupBg: FLOATING,
                    dpg.mvThemeCol_MenuBarBg: CLEAR,
                    dpg.mvThemeCol_Border: LINE,
                    dpg.mvThemeCol_Text: TEXT,
                    dpg.mvThemeCol_TextDisabled: DISABLED,
                    dpg.mvThemeCol_TextSelectedBg: ACCENT_DEEP,
                    dpg.mvThemeCol_FrameBg: RAISED,
                    dpg.mvThemeCol_FrameBgHovered: RAISED_HOVER,
                    dpg.mvThemeCol_FrameBgActive: RAISED_ACTIVE,
                    dpg.mvThemeCol_TitleBg: FLOATING,
                    dpg.mvThemeCol_TitleBgActive: FLOATING,
                    dpg.mvThemeCol_TitleBgCollapsed: FLOATING,
                    dpg.mvThemeCol_Button: RAISED,
                    dpg.mvThemeCol_ButtonHovered: RAISED_HOVER,
                    dpg.mvThemeCol_ButtonActive: RAISED_ACTIVE,
                    dpg.mvThemeCol_Header: CLEAR,
                    dpg.mvThemeCol_HeaderHovered: RAISED,
                    dpg.mvThemeCol_HeaderActive: RAISED_HOVER,
                    dpg.mvThemeCol_CheckMark: ACCENT,
                    dpg.mvThemeCol_SliderGrab: ACCENT_DEEP,  # the value stands on it
                    dpg.mvThemeCol_SliderGrabActive: ACCENT,
                    dpg.mvThemeCol_Separator: LINE,
                    dpg.mvThemeCol_ScrollbarBg: CLEAR,
                    dpg.mvThemeCol_ScrollbarGrab: RAISED_HOVER,
                    dpg.mvThemeCol_ScrollbarGrabHovered: RAISED_ACTIVE,
                    dpg.mvThemeCol_ScrollbarGrabActive: MUTED,
                    dpg.mvThemeCol_PlotHistogram: ACCENT,
                    dpg.mvThemeCol_PlotLines: ACCENT,
                    dpg.mvThemeCol_ResizeGrip: CLEAR,
                    dpg.mvThemeCol_ResizeGripHovered: RAISED_HOVER,
                    dpg.mvThemeCol_Tab: CLEAR,
                    dpg.mvThemeCol_TabHovered: RAISED_HOVER,
                    dpg.mvThemeCol_TabActive: RAISED,
                    dpg.mvThemeCol_TableHeaderBg: RAISED,
                    dpg.mvThemeCol_TableBorderLight: LINE,
                    dpg.mvThemeCol_TableBorderStrong: LINE,
                    dpg.mvThemeCol_TableRowBgAlt: NOW["ROW"],
                    dpg.mvThemeCol_ModalWindowDimBg: NOW["DIM"],
                    dpg.mvThemeCol_NavHighlight: ACCENT_DEEP,
                }
            )
            _styles(sizes)
        _disabled_components()
    return theme


def _plot_theme(sizes: Sizes) -> int | str:
    """Make the look of plots, to bind to each.

    In the theme of all items Dear PyGui 2 pushes it anew with every frame and never pops it, a kilobyte a frame.
    """
    px = sizes.px
    with dpg.theme() as theme, dpg.theme_component(dpg.mvPlot):
        _colours(
            {
                dpg.mvPlotCol_FrameBg: CLEAR,
                dpg.mvPlotCol_PlotBg: CLEAR,
                dpg.mvPlotCol_PlotBorder: LINE,
                dpg.mvPlotCol_LegendBg: NOW["LEGEND"],
                dpg.mvPlotCol_LegendBorder: CLEAR,
                dpg.mvPlotCol_AxisText: MUTED,
                dpg.mvPlotCol_AxisGrid: NOW["GRID"],
                dpg.mvPlotCol_TitleText: MUTED,
                dpg.mvPlotCol_InlayText: MUTED,
            },
            dpg.mvThemeCat_Plots,
        )
        for target, x, y in (
            (dpg.mvPlotStyleVar_PlotPadding, px(6), px(6)),
            (dpg.mvPlotStyleVar_PlotMinSize, px(60), px(40)),
            (dpg.mvPlotStyleVar_LabelPadding, px(4), px(3)),
            (dpg.mvPlotStyleVar_LegendPadding, px(6), px(4)),
        ):
            dpg.add_theme_style(target, x, y, category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotBorderSize, 0.0, category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_LineWeight, 1.6 * sizes.scale, category=dpg.mvThemeCat_Plots)
    return theme


def _styles(sizes: Sizes) -> None:
    px = sizes.px
    for target, x, y in (
        (dpg.mvStyleVar_WindowPadding, px(12), px(10)),
        (dpg.mvStyleVar_FramePadding, px(8), px(4)),
        (dpg.mvStyleVar_ItemSpacing, px(SPACING_PX), px(6)),
        (dpg.mvStyleVar_ItemInnerSpacing, px(7), px(5)),
        (dpg.mvStyleVar_CellPadding, px(5), px(2)),
        (dpg.mvStyleVar_WindowTitleAlign, 0.0, 0.5),
    ):
        dpg.add_theme_style(target, x, y)
    for target, value in (
        (dpg.mvStyleVar_FrameRounding, px(5)),
        (dpg.mvStyleVar_GrabRounding, px(4)),
        (dpg.mvStyleVar_PopupRounding, px(6)),
        (dpg.mvStyleVar_ChildRounding, px(6)),
        (dpg.mvStyleVar_WindowRounding, px(8)),
        (dpg.mvStyleVar_ScrollbarRounding, px(5)),
        (dpg.mvStyleVar_TabRounding, px(5)),
        (dpg.mvStyleVar_ScrollbarSize, px(10)),
        (dpg.mvStyleVar_GrabMinSize, px(10)),
        (dpg.mvStyleVar_IndentSpacing, px(14)),
        (dpg.mvStyleVar_WindowBorderSize, 0),
        (dpg.mvStyleVar_ChildBorderSize, 0),
        (dpg.mvStyleVar_PopupBorderSize, 1),
        (dpg.mvStyleVar_FrameBorderSize, 0),
    ):
        dpg.add_theme_style(target, value)


def _disabled_components() -> None:
    """Colour what cannot be used; Dear PyGui wants that said per kind of item."""
    kinds = (
        dpg.mvButton,
        dpg.mvCheckbox,
        dpg.mvCombo,
        dpg.mvInputText,
        dpg.mvInputInt,
        dpg.mvInputFloat,
        dpg.mvSliderInt,
        dpg.mvSliderFloat,
        dpg.mvDragInt,
        dpg.mvDragFloat,
        dpg.mvRadioButton,
        dpg.mvMenuItem,
        dpg.mvSelectable,
    )
    faint = NOW["FAINT"]
    for kind in kinds:
        with dpg.theme_component(kind, enabled_state=False):
            _colours(
                {
                    dpg.mvThemeCol_Text: DISABLED,
                    dpg.mvThemeCol_Button: faint,
                    dpg.mvThemeCol_ButtonHovered: faint,
                    dpg.mvThemeCol_ButtonActive: faint,
                    dpg.mvThemeCol_FrameBg: faint,
                    dpg.mvThemeCol_FrameBgHovered: faint,
                    dpg.mvThemeCol_FrameBgActive: faint,
                    dpg.mvThemeCol_CheckMark: DISABLED,
                    dpg.mvThemeCol_SliderGrab: DISABLED,
                    dpg.mvThemeCol_SliderGrabActive: DISABLED,
                }
            )


def _theme_of(kind: int, colours: dict[int, Sequence[int]], *styles: tuple[float, ...]) -> int | str:
    """Return a theme for one kind of item; a style is (target, value) or (target, x, y)."""
    with dpg.theme() as theme:
        with dpg.theme_component(kind):
            _colours(colours)
            for style in styles:
                dpg.add_theme_style(*style)
    return theme


def _button_theme(
    idle: Sequence[int], hovered: Sequence[int], active: Sequence[int], text: Sequence[int]
) -> int | str:
    colours = {
        dpg.mvThemeCol_Button: idle,
        dpg.mvThemeCol_ButtonHovered: hovered,
        dpg.mvThemeCol_ButtonActive: active,
        dpg.mvThemeCol_Text: text,
    }
    return _theme_of(dpg.mvButton, colours)


def _bare_theme(padding: tuple[int, int] = (0, 0)) -> int | str:
    return _theme_of(
        dpg.mvWindowAppItem,
        {},
        (dpg.mvStyleVar_WindowPadding, *padding),
        (dpg.mvStyleVar_WindowRounding, 0),
        (dpg.mvStyleVar_WindowMinSize, 1, 1),
    )


def _card_theme(sizes: Sizes) -> int | str:
    return _theme_of(
        dpg.mvChildWindow,
        {dpg.mvThemeCol_ChildBg: FLOATING, dpg.mvThemeCol_Border: LINE},
        (dpg.mvStyleVar_ChildBorderSize, 1),
        (dpg.mvStyleVar_ChildRounding, sizes.px(10)),
        (dpg.mvStyleVar_WindowPadding, sizes.px(28), sizes.px(24)),
    )


def _floating_theme(sizes: Sizes) -> int | str:
    return _theme_of(
        dpg.mvWindowAppItem,
        {dpg.mvThemeCol_WindowBg: FLOATING, dpg.mvThemeCol_Border: RAISED_ACTIVE},
        (dpg.mvStyleVar_WindowBorderSize, 1),
        (dpg.mvStyleVar_WindowPadding, sizes.px(16), sizes.px(14)),
    )


def explain(item: int | str, text: str) -> int | str:
    """Give an item a tooltip, disabled or not; return the tag of its text, to be changed later."""
    with dpg.tooltip(item, delay=0.35):
        return dpg.add_text(text, wrap=SIZES.px(TIP_WRAP))
