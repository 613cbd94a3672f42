# SPDX-License-Identifier: MIT
"""The way a new user goes, through the real window with real keys: from the start page to a video that plays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.gl, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
GOLDEN = HERE / "golden"
LIMIT_S = 240
SMALL = (
    320,
    180,
)  # pictures are compared at this size: numbers that change from run to run are a few grey pixels there
# Station: (lowest PSNR in dB, what you should see).
STATIONS = {
    "1-start": (24.0, "the start page: five ways to begin, nothing else"),
    "2-training": (
        20.0,
        "a yellow toy excavator, sharp already, cameras around it, curves below, numbers at both sides",
    ),
    "3-palette": (20.0, "the command palette over the window, with panels whose names fit what was typed"),
    "4-pruned": (
        20.0,
        "the structure panel, opened by the palette, and the excavator after voxels were dropped",
    ),
    "5-keys": (20.0, "the excavator from its left, the timeline below it with three keys"),
    "6-exported": (20.0, "a note at the lower right of the picture that the video is written"),
}


@pytest.fixture(scope="module")
def wide_display():
    """A screen that holds the large window."""
    server = shutil.which("Xvfb")
    if server is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool (Debian, Ubuntu: apt-get install xvfb xdotool)")
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(writing), "-screen", "0", "2560x1440x24", "-nolisten", "tcp"],
        pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as pipe:
        yield f":{pipe.readline().strip()}"
    process.terminate()
    process.wait(timeout=10)


def small(picture: np.ndarray) -> np.ndarray:
    """Return a picture [H,W,3] at the size of comparison, float64 in 0..1."""
    return np.asarray(Image.fromarray(picture).resize(SMALL, Image.Resampling.BOX), np.float64) / 255.0


def walk(display: str, scene: Path, size: tuple[int, int], scale: float, folder: Path) -> dict:
    """Walk; return what the driver saw."""
    own = {
        "DISPLAY": display,
        "NERFVIEWER_CONFIG": str(folder / "config"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE))),
    }
    command = [
        sys.executable,
        str(HERE / "walk_driver.py"),
        str(scene),
        *map(str, size),
        str(scale),
        str(folder),
    ]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("size", "scale"), [((1280, 720), 1.0), ((2560, 1440), 2.0)], ids=["720p", "1440p at 200 %"]
)
def test_from_the_start_page_to_a_video_that_plays(wide_display, real_scene, tmp_path, size, scale):
    seen = walk(wide_display, real_scene("lego"), size, scale, tmp_path)
    assert seen["scene"] == "lego" and seen["steps"] >= 400
    assert seen["pruned"] < seen["before"] == seen["undone"]
    places = np.array(seen["places"])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).min() > 0.05  # three keys from three places
    assert seen["flown"] > 0.02
    assert seen["export"] == "finished"
    frames = imageio.mimread(seen["file"], memtest=False)
    assert abs(len(frames) - 12 * seen["seconds"]) <= 2 and frames[0].shape == (180, 320, 3)
    assert np.ptp(frames[0]) > 100 and np.abs(frames[0].astype(int) - frames[-1]).mean() > 1.0  # it moves
    for station, (lowest, line) in STATIONS.items():
        picture = np.asarray(Image.open(tmp_path / f"{station}.png"))
        assert picture.shape == (size[1], size[0], 3)
        golden = np.asarray(Image.open(GOLDEN / f"{station}@{scale:g}.png"), np.float64) / 255.0
        psnr = -10.0 * np.log10(np.mean((small(picture) - golden) ** 2) + 1e-12)
        assert psnr >= lowest, f"{station}: {psnr:.1f} dB from the golden picture; you should see {line}."
