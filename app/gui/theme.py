# SPDX-License-Identifier: MIT
"""How the window looks: named colours, sizes that scale, one font in two weights, the Dear PyGui themes made of them.

The window's own clear colour is the background everywhere. Filling it a second time, window by window, would cost a CPU
that draws OpenGL in software more than everything else in a frame together.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import dearpygui.dearpygui as dpg

from app.resources import font_path

log = logging.getLogger(__name__)

Colour = tuple[int, int, int, int]

BACKGROUND: Colour = (22, 24, 29, 255)
RAISED: Colour = (34, 37, 44, 255)  # buttons, fields
RAISED_HOVER: Colour = (45, 49, 58, 255)
RAISED_ACTIVE: Colour = (54, 59, 70, 255)
FLOATING: Colour = (28, 31, 37, 255)  # menus, tooltips, dialogs
LINE: Colour = (46, 50, 59, 255)
TEXT: Colour = (222, 225, 231, 255)
MUTED: Colour = (141, 148, 160, 255)
DISABLED: Colour = (92, 98, 109, 255)
ACCENT: Colour = (86, 163, 255, 255)
ACCENT_DEEP: Colour = (47, 102, 172, 255)
ON_ACCENT: Colour = (246, 249, 255, 255)
GOOD: Colour = (112, 200, 134, 255)
WARNING: Colour = (236, 183, 86, 255)
BAD: Colour = (239, 104, 96, 255)
HELD_OUT: Colour = (236, 183, 86, 255)
CLEAR: Colour = (0, 0, 0, 0)
PLOT_COLOURS: tuple[Colour, ...] = (
    ACCENT,
    (236, 183, 86, 255),
    (112, 200, 134, 255),
    (206, 133, 232, 255),
    (239, 104, 96, 255),
    (96, 205, 209, 255),
    (232, 146, 182, 255),
    (170, 178, 190, 255),
)

FONT_PX = 15
MIN_SCALE, MAX_SCALE = 0.7, 3.0
_FALLBACK_FONTS = {
    "Regular": ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "C:/Windows/Fonts/segoeui.ttf"),
    "SemiBold": ("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf", "C:/Windows/Fonts/seguisb.ttf"),
}


@dataclass(frozen=True)
class Sizes:
    """Lengths in pixels at a scale; `px(n)` is n pixels of an ordinary screen."""

    scale: float = 1.0

    def px(self, length: float) -> int:
        """Return a length scaled and rounded, at least 1."""
        return max(1, round(length * self.scale))


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
    """Make fonts and themes and bind them globally. Needs a Dear PyGui context; once per scale."""
    theme = Theme(Sizes(clamped_scale(scale)))
    theme.font, theme.bold = _font("Regular", theme.sizes), _font("SemiBold", theme.sizes)
    if theme.font is not None:
        dpg.bind_font(theme.font)
    dpg.bind_theme(_global_theme(theme.sizes))
    theme.primary = _button_theme(ACCENT_DEEP, ACCENT, (70, 138, 226, 255), ON_ACCENT)
    theme.flat = _button_theme(CLEAR, RAISED_HOVER, RAISED_ACTIVE, MUTED)
    theme.bare = _bare_theme()
    theme.line = _bare_theme((theme.sizes.px(12), theme.sizes.px(6)))
    theme.card = _card_theme(theme.sizes)
    theme.floating = _floating_theme(theme.sizes)
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


def _colours(pairs: dict[int, Colour], category: int = dpg.mvThemeCat_Core) -> None:
    for target, colour in pairs.items():
        dpg.add_theme_color(target, colour, category=category)


def _global_theme(sizes: Sizes) -> int | str:
    px = sizes.px
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
                    dpg.mvThemeCol_TableRowBgAlt: (255, 255, 255, 6),
                    dpg.mvThemeCol_ModalWindowDimBg: (8, 9, 11, 150),
                    dpg.mvThemeCol_NavHighlight: ACCENT_DEEP,
                }
            )
            _styles(sizes)
        _disabled_components()
        with dpg.theme_component(dpg.mvPlot):
            _colours(
                {
                    dpg.mvPlotCol_FrameBg: CLEAR,
                    dpg.mvPlotCol_PlotBg: CLEAR,
                    dpg.mvPlotCol_PlotBorder: LINE,
                    dpg.mvPlotCol_LegendBg: (22, 24, 29, 200),
                    dpg.mvPlotCol_LegendBorder: CLEAR,
                    dpg.mvPlotCol_AxisText: MUTED,
                    dpg.mvPlotCol_AxisGrid: (255, 255, 255, 18),
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
            dpg.add_theme_style(
                dpg.mvPlotStyleVar_LineWeight, 1.6 * sizes.scale, category=dpg.mvThemeCat_Plots
            )
    return theme


def _styles(sizes: Sizes) -> None:
    px = sizes.px
    for target, x, y in (
        (dpg.mvStyleVar_WindowPadding, px(12), px(10)),
        (dpg.mvStyleVar_FramePadding, px(8), px(4)),
        (dpg.mvStyleVar_ItemSpacing, px(8), px(6)),
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
    faint = (30, 33, 39, 255)
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


def _theme_of(kind: int, colours: dict[int, Colour], *styles: tuple[float, ...]) -> int | str:
    """Return a theme for one kind of item; a style is (target, value) or (target, x, y)."""
    with dpg.theme() as theme:
        with dpg.theme_component(kind):
            _colours(colours)
            for style in styles:
                dpg.add_theme_style(*style)
    return theme


def _button_theme(idle: Colour, hovered: Colour, active: Colour, text: Colour) -> int | str:
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
        return dpg.add_text(text, wrap=320)
