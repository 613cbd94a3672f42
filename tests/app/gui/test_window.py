# SPDX-License-Identifier: MIT
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.display import NoWindowError
from app.gui import window

pytestmark = [pytest.mark.gl, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CORNERS = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
LIMIT_S = 60
TELLS_MEMORY = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")


@pytest.fixture
def environment(display, tmp_path):
    folders = os.pathsep.join((str(ROOT), str(HERE)))
    own = {"DISPLAY": display, "NERFVIEWER_CONFIG": str(tmp_path / "config"), "PYTHONPATH": folders}
    return {**os.environ, **own}


def drive(environment: dict[str, str], present: str, scenario: str) -> dict:
    """Run a scenario of `window_driver.py` and return what it saw."""
    command = [sys.executable, str(HERE / "window_driver.py"), present, scenario]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("present", ["texture", "copy"])
def test_the_screen_shows_the_pixels_of_the_frame_at_every_size_of_the_window(environment, present):
    seen = drive(environment, present, "corners")
    assert seen["present"] == present
    for moment in ("first", "grown", "shrunk", "bare"):
        np.testing.assert_allclose(seen[moment], CORNERS, atol=1, err_msg=moment)
    grown, shrunk, bare = seen["sizes"]
    assert grown[0] > shrunk[0] and grown[1] > shrunk[1]
    assert bare == [700, 460]


def test_a_texture_that_cannot_be_found_falls_back_to_copies(environment):
    seen = drive(environment, "auto", "lost_texture")
    assert seen["present"] == "copy"
    np.testing.assert_allclose(seen["corners"], CORNERS, atol=70)  # the lines of the overlays are on
    assert seen["window_ends"] - seen["status_ends"] == pytest.approx(14, abs=2), "the menu bar's right end"


def test_without_opengl_of_our_own_pictures_are_shown_all_the_same(environment):
    seen = drive(environment, "auto", "no_opengl")
    assert seen["present"] == "plain copy"
    np.testing.assert_allclose(seen["corners"], CORNERS, atol=1)


def test_a_failing_panel_or_picture_does_not_end_the_window(environment):
    assert drive(environment, "auto", "faults") == {"goes_on": True, "view": 3, "frames": True}


def test_pictures_of_a_card_are_shown_from_there_until_that_fails(environment):
    seen = drive(environment, "interop", "interop")
    assert (seen["first"], seen["then"], seen["asks"]) == ("interop", "texture", False)
    np.testing.assert_allclose(seen["shared"], CORNERS, atol=1)
    np.testing.assert_allclose(seen["copied"], CORNERS, atol=1)
    assert "the card is lost" in seen["reason"]


@pytest.mark.parametrize("present", ["texture", "copy"])
def test_two_models_stand_side_by_side_at_the_split(environment, present):
    seen = drive(environment, present, "compare")
    red, green, blue, white = CORNERS
    np.testing.assert_allclose(seen["alone"], CORNERS, atol=1)
    np.testing.assert_allclose(
        seen["both"], [blue, green, red, white], atol=1
    )  # the one beside is upside down
    np.testing.assert_allclose(seen["right"], [blue, white, red, green], atol=1)
    for moment in ("off", "gone"):
        np.testing.assert_allclose(seen[moment], CORNERS, atol=1, err_msg=moment)
    assert (seen["open"], seen["folded"], seen["asked"], seen["kind"]) == (True, True, False, "off")


def test_a_camera_path_is_keyed_dragged_played_and_framed(environment):
    seen = drive(environment, "copy", "camera_path")
    np.testing.assert_allclose(seen.pop("corners"), CORNERS, atol=1)
    assert seen == {
        "keys": 3,
        "through_views": [True, True, True],
        "strip": True,
        "viewport": True,
        "dragged": [True, "Move in time"],
        "plays": [True, True],
        "bars": [True, True],
        "hidden": True,
    }


def test_themes_sizes_palette_keys_and_layouts_work_while_the_window_is_open(environment, tmp_path):
    seen = drive(environment, "copy", "comfort")
    assert seen["silent"] == [], "every disabled control says why"
    assert seen["left_dark"] == [] and seen["light_text"][:3] == [28, 31, 38] and seen["dark_again"]
    assert seen["grown"] > 10 and seen["changed"] == [] and seen["other_font"] and seen["same_place"]
    assert (seen["blocked"], seen["chosen"], seen["recent"], seen["closed"]) == (
        True,
        "depth",
        "mode_depth",
        True,
    )
    assert seen["waits"] and "fly" in seen["refused"] and "Train / pause" in seen["said"]
    assert seen["swapped"] == ["T", "Ctrl+R"] and seen["shown"][0] == "T" and seen["shown"][1].endswith("(T)")
    assert seen["bare"] == [1100 - 10, []] and seen["all"] == ["bottom", "left", "right"]
    kept = json.loads((tmp_path / "config" / "settings.json").read_text())
    assert kept["keys"] == {"reset": "T", "toggle_training": "Ctrl+R"}, "keys are kept between starts"


def test_when_memory_runs_out_what_is_offered_is_done(environment):
    assert drive(environment, "copy", "no_memory") == {"scale": 0.5, "sent": ["Train"], "closed": True}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Dear PyGui does not draw with OpenGL")
@pytest.mark.parametrize("present", ["texture", "copy"])
def test_scenes_and_runs_that_are_dropped_open_and_other_things_are_told(environment, present):
    assert drive(environment, present, "drop") == {
        "watching": True,
        "opened": [["OpenScene", "scene"], ["OpenRun", "run"]],
        "refused": True,
    }


@pytest.mark.skipif(not TELLS_MEMORY, reason="only glibc, from 2.33 on, tells what malloc gave out")
def test_a_frame_of_the_window_leaves_nothing_behind_in_memory(environment):
    seen = drive(environment, "copy", "redraws")
    assert seen["plots"] >= 4
    assert seen["kept"] < 50, "bytes a frame; styles of plots that are pushed and not popped were 900"


def test_the_window_starts_saves_its_picture_and_its_layout_and_exits(environment, tmp_path):
    picture = tmp_path / "window.png"
    script = (
        "import sys\n"
        "from fake_worker import FakeWorker\n"
        "from app.gui.window import run\n"
        "raise SystemExit(run('ball', worker=FakeWorker(), screenshot=sys.argv[1], exit_after=2.0))\n"
    )
    command = [sys.executable, "-c", script, str(picture)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    pixels = np.asarray(Image.open(picture))
    assert pixels.shape == (880, 1440, 3)
    middle = pixels[200:420, 560:880].reshape(-1, 3)
    assert len(np.unique(middle, axis=0)) > 200, "the ball is a smooth gradient"
    assert json.loads((tmp_path / "config" / "layout.json").read_text())["version"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has displays")
@pytest.mark.parametrize("name", [None, ":4711"])
def test_without_a_display_that_answers_there_is_a_sentence_not_a_crash(monkeypatch, name):
    # Dear PyGui aborts the whole process when GLFW cannot open the display.
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if name is not None:
        monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(NoWindowError, match="DISPLAY" if name is None else name):
        window.run("demo", worker=object())


def test_the_start_page_notices_errors_and_the_question_before_leaving(environment, tmp_path):
    seen = drive({**environment, "NERFVIEWER_CACHE": str(tmp_path)}, "auto", "start_page")
    assert seen.pop("recent") == ["demo"]
    assert seen.pop("toasts") == 3
    assert all(seen.values()), seen
