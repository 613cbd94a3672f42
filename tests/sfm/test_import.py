# SPDX-License-Identifier: MIT
"""With pycolmap itself, in its child process: pictures of a textured corner are placed where they were taken from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.jobs.importing import ImportOutcome, ImportRun
from engine.cameras import look_at
from engine.sfm.options import ImportJob, ImportOptions

pytest.importorskip("pycolmap", reason="needs pycolmap (pip install 'nerfviewer[sfm]')")
pytestmark = pytest.mark.slow

VIEWS, WIDTH, HEIGHT, FOCAL = 9, 360, 270, 330.0
LIMIT_S = 120.0  # takes about 5 s on two idle cores


def _texture(seed: int) -> np.ndarray:
    """Return grey [512,512]: blobs of many sizes, as SIFT likes them."""
    random = np.random.default_rng(seed)
    total = np.zeros((512, 512), np.float32)
    for cells in (16, 48, 128):
        noise = Image.fromarray(random.integers(0, 255, (cells, cells), dtype=np.uint8))
        total += np.asarray(noise.resize((512, 512), Image.Resampling.BICUBIC), np.float32) / 3.0
    return np.clip((total - 127.0) * 1.7 + 127.0, 0.0, 255.0)


def _poses() -> list[np.ndarray]:
    """Return OpenCV poses on an arc that look into the corner of three planes at the origin."""
    angles = np.radians(np.linspace(20.0, 70.0, VIEWS))
    places = [np.array([3.2 * np.cos(a), 3.2 * np.sin(a), 1.4 + 0.5 * np.sin(4.0 * a)]) for a in angles]
    return [look_at(place, np.array([0.6, 0.6, 0.5]), np.array([0.0, 0.0, 1.0])) for place in places]


def _picture(pose: np.ndarray, textures: list[np.ndarray]) -> Image.Image:
    """Return what a camera sees of the planes x = 0, y = 0 and z = 0, each with a texture of its own."""
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL, np.ones_like(u)], axis=-1)
    rays, origin = rays @ pose[:3, :3].T, pose[:3, 3]
    nearest, grey = np.full(u.shape, np.inf), np.zeros(u.shape)
    for axis, texture in enumerate(textures):
        t = -origin[axis] / rays[..., axis]
        hits = origin + t[..., None] * rays
        a, b = (hits[..., other] * 160.0 + 40.0 for other in range(3) if other != axis)
        closer = (t > 0) & (t < nearest)
        nearest = np.where(closer, t, nearest)
        i, j = (np.clip(c, 0, 510) for c in (a, b))
        i0, j0 = i.astype(int), j.astype(int)
        f, g = i - i0, j - j0
        value = (1 - f) * ((1 - g) * texture[i0, j0] + g * texture[i0, j0 + 1])
        value += f * ((1 - g) * texture[i0 + 1, j0] + g * texture[i0 + 1, j0 + 1])
        grey = np.where(closer, value, grey)
    return Image.fromarray(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine pictures of the corner, and one of something else."""
    folder, textures = tmp_path / "photos", [_texture(seed) for seed in range(3)]
    folder.mkdir()
    for index, pose in enumerate(_poses()):
        _picture(pose, textures).save(folder / f"view {index}.png")
    Image.fromarray(np.uint8(_texture(9)[:HEIGHT, :WIDTH])).convert("RGB").save(folder / "other.png")
    return folder


def _import(
    photos: Path, scene: Path, watch: Callable[[ImportRun], None] = lambda run: None
) -> ImportOutcome:
    run = ImportRun(ImportJob(str(photos), str(scene), ImportOptions(lens="simple_radial", quality="low"), 2))
    run.start()
    until = time.monotonic() + LIMIT_S
    while not run.wait(0.01):
        watch(run)
        assert time.monotonic() < until
    return run.outcome


def _centres(scene: Path) -> dict[str, np.ndarray]:
    import pycolmap

    model = pycolmap.Reconstruction(str(scene / "sparse" / "0"))
    return {image.name: image.projection_center() for image in model.images.values() if image.has_pose}


def _misplaced(found: np.ndarray, true: np.ndarray) -> float:
    """Return the largest distance of points [N,3] from the true ones after the best similarity, in true units."""
    a, b = found - found.mean(axis=0), true - true.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    return float(np.linalg.norm(scale * a @ (u @ flip @ vt).T - b, axis=1).max())


def test_pictures_are_placed_where_they_were_taken_and_a_stranger_is_named(photos, tmp_path):
    scene = tmp_path / "scene"
    outcome = _import(photos, scene)
    assert outcome.kind == "finished", outcome.text
    assert (outcome.report.placed, outcome.report.unplaced) == (VIEWS, ("other.png",))
    assert outcome.report.error_px < 1.0
    centres = _centres(scene)
    found = np.array([centres[f"view_{index}.png"] for index in range(VIEWS)])
    true = np.array([pose[:3, 3] for pose in _poses()])
    assert _misplaced(found, true) < 0.03  # the arc is 2.7 long; seen 0.002
    from engine.datasets import load_scene

    loaded = load_scene(scene)
    assert (loaded.kind, len(loaded.train) + len(loaded.test)) == ("colmap", VIEWS)


def test_an_import_killed_half_way_goes_on_and_finishes(photos, tmp_path):
    scene = tmp_path / "scene"

    def kill(run: ImportRun) -> None:
        if run.progress is not None and run.progress.stage in ("comparing photos", "placing cameras"):
            run.cancel()

    assert _import(photos, scene, kill).kind == "cancelled"
    finished = json.loads((scene / "import_state.json").read_text())["finished"]
    assert set(finished) >= {"photos", "features"} and not (scene / "sparse").exists()
    assert _import(photos, scene).report.placed == VIEWS
    state = json.loads((scene / "import_state.json").read_text())
    assert state["finished"]["features"] == finished["features"]  # not repeated


def test_pictures_without_texture_fail_with_the_reason(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (WIDTH, HEIGHT), (90 + index, 90, 90)).save(folder / f"{index}.png")
    outcome = _import(folder, tmp_path / "scene")
    assert outcome.kind == "failed"
    assert outcome.text.startswith("None of 4 photos could be placed: they show little")
