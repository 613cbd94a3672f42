# SPDX-License-Identifier: MIT
import json

import pytest

from app.gui import layout as lay
from app.gui.layout import Layout, arrange, dragged

MENU, STATUS = 28, 30


def placed(
    layout: Layout | None = None,
    width: int = 1440,
    height: int = 880,
    scale: float = 1.0,
    panels: bool = True,
    timeline: bool = False,
):
    return arrange(layout or Layout(), width, height, scale, MENU, STATUS, panels, timeline)


@pytest.mark.parametrize("size", [(640, 420), (800, 500), (1440, 880), (3000, 2000)])
@pytest.mark.parametrize("scale", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("timeline", [False, True])
def test_rectangles_stay_in_the_window_and_never_overlap(size, scale, timeline):
    width, height = size
    places = placed(width=width, height=height, scale=scale, timeline=timeline)
    rects = [
        places.viewport,
        places.left,
        places.right,
        places.timeline,
        places.bottom,
        places.status,
        *places.splitters.values(),
    ]
    rects = [r for r in rects if r.width and r.height]
    for r in rects:
        assert r.x >= 0 and r.y >= MENU and r.x + r.width <= width and r.y + r.height <= height
    for i, a in enumerate(rects):
        for b in rects[:i]:
            apart = (
                a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
            )
            assert apart, (a, b)
    assert places.viewport.width >= lay.MIN_VIEWPORT * scale - 1


def test_without_panels_the_viewport_is_the_window():
    places = placed(panels=False)
    assert (places.viewport.width, places.viewport.height) == (1440, 880)
    assert places.left.width == places.status.height == 0


def test_a_folded_column_leaves_its_room_to_the_viewport():
    open_, folded = placed(), placed(Layout(show_left=False))
    assert folded.left.width == 0
    assert folded.viewport.width == open_.viewport.width + open_.left.width


def test_the_timeline_leaves_the_viewport_half_the_height_and_the_strip_gives_way():
    inner = 720 - MENU - STATUS
    without, with_it = placed(height=720), placed(height=720, timeline=True)
    assert without.timeline.height == 0 and without.bottom.height > 0
    assert with_it.timeline.height == Layout().timeline and with_it.bottom.height == 0
    assert with_it.viewport.height >= lay.VIEWPORT_SHARE * inner and "bottom" not in with_it.splitters
    assert placed(height=880, timeline=True).bottom.height > 0


@pytest.mark.parametrize("height", [720, 880])
def test_the_timelines_splitter_follows_the_mouse_and_drops_no_strip(height):
    layout = Layout()
    for y in range(height - STATUS, 100, -20):
        layout = dragged(layout, "timeline", 0, y, 1280, height, STATUS, MENU)
        places = placed(layout, 1280, height, timeline=True)
        assert (places.bottom.height > 0) == (height == 880)
        assert lay.MIN_TIMELINE <= layout.timeline <= lay.MAX_TIMELINE
        if lay.MIN_TIMELINE < layout.timeline < lay.MAX_TIMELINE and y > 0.6 * height:
            assert abs(places.splitters["timeline"].y - y) <= 2 * lay.SPLITTER


def test_the_strip_beside_a_timeline_grows_until_the_viewport_has_its_share_left():
    layout = dragged(Layout(), "bottom", 0, 100, 1440, 880, STATUS, MENU)
    places = placed(layout, timeline=True)
    assert places.bottom.height == layout.bottom > Layout().bottom
    assert places.viewport.height >= lay.VIEWPORT_SHARE * (880 - MENU - STATUS)


def test_a_splitter_follows_the_mouse_within_limits_and_folds_when_pulled_shut():
    layout = dragged(Layout(), "left", 333, 0, 1440, 880, STATUS)
    assert layout.left == 333
    assert dragged(layout, "left", 5000, 0, 1440, 880, STATUS).left == lay.MAX_COLUMN
    shut = dragged(layout, "left", 20, 0, 1440, 880, STATUS)
    assert not shut.show_left and shut.left == 333
    assert dragged(shut, "left", 250, 0, 1440, 880, STATUS).show_left
    assert dragged(layout, "right", 1440 - 321, 0, 1440, 880, STATUS).right == 321
    assert dragged(layout, "bottom", 0, 880 - STATUS - 222, 1440, 880, STATUS).bottom == 222
    assert not dragged(layout, "bottom", 0, 875, 1440, 880, STATUS).show_bottom


def test_a_layout_comes_back_as_it_was_saved(tmp_path):
    layout = (
        Layout(left=321, folded=("view",), show_right=False, hidden=("log",))
        .with_recent("/a")
        .with_recent("/b")
    )
    lay.save(layout, tmp_path / "deep" / "layout.json")
    assert lay.load(tmp_path / "deep" / "layout.json") == layout
    assert layout.recent == ("/b", "/a")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["layout.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"version": 99}', '{"version": 1, "left": "wide"}', '{"version": 1, "folded": [3]}',
     '{"version": 1, "show_left": 1}'],
)  # fmt: skip
def test_a_bad_layout_file_is_ignored_with_a_line_in_the_log(tmp_path, caplog, text):
    path = tmp_path / "layout.json"
    path.write_text(text)
    assert lay.load(path) == Layout()
    assert str(path) in caplog.text


def test_a_missing_layout_file_is_no_reason_to_complain(tmp_path, caplog):
    assert lay.load(tmp_path / "none.json") == Layout()
    assert not caplog.text


def test_absurd_sizes_in_a_file_are_brought_into_range(tmp_path):
    path = tmp_path / "layout.json"
    path.write_text(json.dumps({"version": 1, "left": 9, "width": 10**9}))
    layout = lay.load(path)
    assert layout.left == lay.MIN_COLUMN and layout.width <= 8192


def test_a_folder_that_cannot_be_written_costs_only_a_line_in_the_log(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    lay.save(Layout(), tmp_path / "file" / "layout.json")
    assert "layout not saved" in caplog.text


def test_an_opened_scene_moves_to_the_head_of_the_recent_ones():
    layout = Layout()
    for name in "abcdefghijab":
        layout = layout.with_recent(name)
    assert layout.recent[:2] == ("b", "a")
    assert len(layout.recent) == lay.MAX_RECENT == len(set(layout.recent))
