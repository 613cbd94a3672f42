# SPDX-License-Identifier: MIT
"""A view survives a screenshot, a command line and a Python program; whatever else a file holds is refused in a sentence."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app import cli
from app.jobs.still import save_png
from app.view.view_record import (
    KEY,
    ViewRecord,
    holds_view,
    record_of,
    record_of_numbers,
    view_from_screenshot,
)
from engine.cameras import Camera, look_at
from engine.conventions import similarity
from engine.errors import UserError
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.options import updated
from engine.runs import RunSpec, new_run
from engine.training import Training
from tests.methods.plenoxels.boxes import boxes_scene
from tests.methods.test_svraster import QUICK

DATA_FROM_ENGINE = similarity(4.0, np.array([1.0, -2.0, 0.5]))
POSE = look_at(np.array([0.7, -0.9, 0.4]), np.array([0.05, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]))
CAMERA = Camera.from_fov(48, 32, 0.7, POSE)
LENS = Camera(48, 32, 50.0, 52.0, 22.5, 17.0, POSE)


def _same(a: Camera, b: Camera, tolerance: float = 1e-12) -> None:
    assert (a.width, a.height) == (b.width, b.height)
    assert np.allclose([a.fx, a.fy, a.cx, a.cy], [b.fx, b.fy, b.cx, b.cy], rtol=max(tolerance, 1e-9))
    assert np.allclose(a.world_from_cam, b.world_from_cam, atol=tolerance)


@pytest.mark.parametrize("camera", [CAMERA, LENS])
def test_a_screenshot_holds_its_view(tmp_path: Path, camera: Camera) -> None:
    record = ViewRecord.of(
        camera, DATA_FROM_ENGINE, scene="a", run="b", method="svraster", step=7, mode="depth"
    )
    file = tmp_path / "shot.png"
    save_png(file, np.full((32, 48, 3), 90, np.uint8), record)
    found = view_from_screenshot(file)
    _same(found.camera(DATA_FROM_ENGINE), camera)
    told = (found.scene, found.run, found.method, found.step, found.mode)
    assert told == ("a", "b", "svraster", 7, "depth")
    with Image.open(file) as image:
        held = json.loads(image.text[KEY])
    assert held["fov_y_deg"] == pytest.approx(np.degrees(camera.fov_y_rad))
    assert "OpenCV" in held["convention"] and "dataset" in held["convention"] and held["app_version"]


@pytest.mark.parametrize("camera", [CAMERA, LENS])
def test_a_view_survives_its_numbers(camera: Camera) -> None:
    text = ViewRecord.of(camera, DATA_FROM_ENGINE).numbers()
    assert len(text.split(",")) == (8 if camera is CAMERA else 11)
    _same(record_of_numbers(text, 48, 32).camera(DATA_FROM_ENGINE), camera, 1e-7)


@pytest.mark.parametrize("text", ["", "1,2,3", "0,0,0,0,0,0,0,40", "0,0,0,0,0,0,1,200", "0,0,nan,0,0,0,1,40"])
def test_numbers_that_are_no_view_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"view"):
        record_of_numbers(text, 48, 32)


def _changed(**changes: object) -> str:
    return json.dumps(json.loads(ViewRecord.of(CAMERA, DATA_FROM_ENGINE).text()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "[]", "{", "null", _changed(version=2), _changed(format="other"), _changed(fx=0), _changed(fy="nan"),
        _changed(width=0), _changed(height=3.5), _changed(world_from_cam=[[1, 0, 0, 0]] * 4),
        _changed(world_from_cam=np.diag([1.0, 1.0, -1.0, 1.0]).tolist()), "[" * 100_000, " " * 100_000,
    ],
)  # fmt: skip
def test_a_text_that_is_no_view_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^The view in shot\.png cannot be used: "):
        record_of(text, "shot.png")


def test_pictures_without_a_view_are_told_apart(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    info = PngInfo()
    info.add_itxt(KEY, "{}")
    Image.new("RGB", (4, 4)).save(tmp_path / "odd.png", pnginfo=info)
    assert not holds_view(tmp_path / "photo.png") and not holds_view(tmp_path / "text.png")
    assert not holds_view(tmp_path / "nothing.png") and holds_view(tmp_path / "odd.png")
    for name in ("photo", "text", "nothing", "odd"):
        with pytest.raises(UserError):
            view_from_screenshot(tmp_path / f"{name}.png")


def test_the_copied_command_and_program_make_the_picture_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = boxes_scene()
    monkeypatch.setattr("engine.datasets.load_scene", lambda *arguments, **options: scene)
    method = SVRaster(scene, updated(SVRasterConfig(), QUICK), 1)
    for _ in range(30):
        method.train_step()
    run = new_run(RunSpec("boxes", "svraster", 1, {}, QUICK), tmp_path)
    Training(scene, method, run).save()
    camera = scene.test.views[0].camera
    shown = method.render(camera, supersample=1.0).rgb
    shown = (shown.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    record = ViewRecord.of(camera, scene.data_from_engine, run=str(run.path), method="svraster", step=30)
    monkeypatch.chdir(tmp_path)
    exec(compile(record.python(), "copied", "exec"), {})
    assert np.abs(np.asarray(Image.open("view.png")).astype(int) - shown).max() <= 1
    Path("view.png").unlink()
    program, *arguments = shlex.split(record.command_line())
    assert program == "nerfviewer" and cli.main(arguments) == 0
    assert np.abs(np.asarray(Image.open("view.png")).astype(int) - shown).max() <= 1
    assert view_from_screenshot("view.png").step == 30
