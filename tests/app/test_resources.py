# SPDX-License-Identifier: MIT
"""The shipped files are found and are what they claim to be."""

from __future__ import annotations

import pytest
from PIL import Image, ImageFont

from app import resources


def test_the_icon_is_a_square_picture_with_transparency():
    with Image.open(resources.icon_path()) as icon:
        assert icon.width == icon.height >= 128
        assert icon.mode == "RGBA"


@pytest.mark.parametrize("weight", ["Regular", "SemiBold"])
def test_figures_of_the_font_are_equally_wide(weight):
    font = ImageFont.truetype(resources.font_path(weight), 1000)
    assert len({font.getlength(figure) for figure in "0123456789"}) == 1


def test_the_font_has_a_glyph_for_every_character_the_window_uses():
    font = ImageFont.truetype(resources.font_path(), 100)
    missing = bytes(font.getmask("\uffff"))
    assert [c for c in "Aäéµ×·°²–—…→←↑↓−∞≈≤≥▶●✓" if bytes(font.getmask(c)) == missing] == []


def test_the_font_carries_its_licence():
    text = resources.resource_path("assets/fonts/LICENSE-Inter.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in text
    assert "The Inter Project Authors" in text


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"shaders/none\.frag.*Install nerfviewer again"):
        resources.resource_path("shaders/none.frag")


def test_a_wheel_has_its_files_inside_the_app(tmp_path, monkeypatch):
    app = tmp_path / "site-packages" / "app"
    (app / "shaders").mkdir(parents=True)
    (app / "shaders" / "a.frag").write_text("inside")
    (tmp_path / "site-packages" / "shaders").mkdir()
    (tmp_path / "site-packages" / "shaders" / "a.frag").write_text("a stranger's")
    monkeypatch.setattr(resources, "_APP", app)
    assert resources.shader_source("a.frag") == "inside"
