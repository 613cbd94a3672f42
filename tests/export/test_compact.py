# SPDX-License-Identifier: MIT
"""The compact file keeps what is seen, is small, opens like a run with or without its photos, and says when it is damaged."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import cli
from engine import training
from engine.datasets.recognise import recognise
from engine.datasets.scene import Scene
from engine.errors import CheckpointError, SceneError, UserError
from engine.export import compact
from engine.export.options import CompactOptions
from engine.export.voxel_set import VoxelSet
from engine.messages import OpenRun
from engine.methods.svraster import SVRaster
from engine.metrics import psnr
from engine.runs import RunSpec
from tests.export.toy import ball, ball_run, ball_scene, shifted

SPEC = RunSpec("demo", "svraster", 3, {"downscale": 2}, {})


@pytest.fixture(scope="module")
def voxels() -> VoxelSet:
    return ball()


@pytest.fixture(scope="module")
def scene(voxels: VoxelSet) -> Scene:
    return ball_scene(voxels)


@pytest.fixture(scope="module")
def content(voxels: VoxelSet, scene: Scene) -> bytes:
    return compact.encoded(voxels, SPEC, scene, 7.5)


def _loss(voxels: VoxelSet, again: VoxelSet, scene: Scene) -> float:
    """Return the largest difference that a pixel shows."""
    return max(
        float(np.abs(voxels.picture(view.camera).rgb - again.picture(view.camera).rgb).max())
        for view in scene.test.views
    )


def test_voxels_come_back_within_their_steps(voxels: VoxelSet, content: bytes) -> None:
    stored = compact.decoded(content)
    again = stored.voxels
    np.testing.assert_array_equal(again.octree.path, voxels.octree.path)
    np.testing.assert_array_equal(again.octree.level, voxels.octree.level)
    step = 1.0 / 255.0 / 0.28209479
    assert np.abs(again.sh - voxels.sh).max() <= 0.5001 * step
    assert np.abs(np.arcsinh(again.density) - np.arcsinh(voxels.density)).max() < 0.01
    assert (stored.spec, stored.seconds, again.step) == (SPEC, 7.5, voxels.step)
    assert again.values == voxels.values


def test_a_voxel_takes_few_bytes_and_pictures_hardly_change(
    voxels: VoxelSet, scene: Scene, content: bytes
) -> None:
    assert len(content) / len(voxels) <= 40.0
    again = compact.decoded(content).voxels
    for view in scene.test.views:
        assert psnr(again.picture(view.camera).rgb, voxels.picture(view.camera).rgb) > 45.0


def test_coarser_steps_make_smaller_files_and_finer_ones_better_pictures(
    voxels: VoxelSet, scene: Scene, content: bytes
) -> None:
    coarse = compact.encoded(voxels, SPEC, scene, options=CompactOptions(8.0, 6))
    fine = compact.encoded(voxels, SPEC, scene, options=CompactOptions(0.1, 16))
    assert len(coarse) < len(content) < len(fine)
    losses = [_loss(voxels, compact.decoded(file).voxels, scene) for file in (coarse, content, fine)]
    assert losses[0] > losses[1] > losses[2]


def test_colours_beyond_one_byte_are_not_clipped(voxels: VoxelSet, scene: Scene) -> None:
    strong = replace(voxels, sh=voxels.sh * 40.0)
    again = compact.decoded(compact.encoded(strong, SPEC, scene)).voxels
    assert np.abs(again.sh - strong.sh).max() < 0.01


def test_the_order_of_points_does_not_matter(voxels: VoxelSet, scene: Scene, content: bytes) -> None:
    assert compact.encoded(shifted(voxels), SPEC, scene, 7.5) == content


def _opened(path: Path) -> tuple[training.Training, list[str]]:
    opener = training.Opener(training.load_scene, training.make_method, path.parent / "runs", None)
    one, log = opener.run(OpenRun(str(path)), lambda *_: None)
    return one, [line.text for line in log]


def test_a_run_becomes_a_file_that_opens_like_a_run_and_trains_on(
    voxels: VoxelSet,
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training, "load_scene", lambda path, values, report: scene)
    output = tmp_path / "scene.voxels"
    assert cli.main(["export", str(ball_run(voxels, scene, tmp_path)), "-o", str(output)]) == 0
    assert "bytes each" in capsys.readouterr().err
    assert recognise(output).kind == "run" and recognise(output).path == output
    opened, log = _opened(output)
    assert isinstance(opened.method, SVRaster) and opened.method.step == 1 and not opened.unsaved
    assert not opened.run.exists and str(opened.run.path) in log[-1]
    camera = scene.test.views[0].camera
    assert psnr(opened.method.render(camera).rgb, voxels.picture(camera).rgb) > 45.0
    opened.method.train_step()
    opened.save()
    assert opened.run.exists


def test_without_its_photos_the_voxels_stand_in_for_them(
    scene: Scene, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: str, values: object, report: object) -> Scene:
        raise SceneError("there is no folder demo")

    monkeypatch.setattr(training, "load_scene", missing)
    path = tmp_path / "a.voxels"
    compact.write(path, content)
    opened, log = _opened(path)
    assert "photos are not in demo" in log[0] and opened.scene.warnings == (log[0],)
    np.testing.assert_array_equal(opened.scene.data_from_engine, scene.data_from_engine)
    assert [view.name for view in opened.scene.test.views] == [view.name for view in scene.test.views]
    assert psnr(opened.scene.train.images.load(2), scene.train.images.load(2)) > 45.0


def test_a_file_stands_beside_the_run_that_it_was_made_of(
    voxels: VoxelSet, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_scene", lambda path, values, report: scene)
    run = ball_run(voxels, scene, tmp_path)
    here = training.open_trained(run)
    compact.write(tmp_path / "a.voxels", compact.encoded(voxels, here.run.spec, scene))
    opener = training.Opener(training.load_scene, training.make_method, tmp_path, None)
    beside, _ = opener.beside(str(tmp_path / "a.voxels"), here)
    assert beside.scene is here.scene and len(beside.method.octree) == len(voxels)
    compact.write(tmp_path / "b.voxels", compact.encoded(voxels, SPEC, scene))
    with pytest.raises(UserError, match="only runs of one scene"):
        opener.beside(str(tmp_path / "b.voxels"), here)


def _with_header(content: bytes, **changes: object) -> bytes:
    length = int(np.frombuffer(content, "<u4", 1, 12)[0])
    header = json.loads(zlib.decompress(content[16 : 16 + length])) | changes
    head = zlib.compress(json.dumps(header).encode())
    return content[:12] + np.array([len(head)], "<u4").tobytes() + head + content[16 + length :]


def test_damaged_files_are_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "newer": content[:8] + np.array([9], "<u4").tobytes() + content[12:],
        "empty": b"",
        "head": content[:30],
        "many": _with_header(content, voxels=1 << 29),
        "none": _with_header(content, voxels=0),
        "steps": _with_header(content, steps=[0.1]),
        "level": _with_header(content, finest=3),
        "nan": _with_header(content, density=[float("nan"), 1.0]),
        "kinds": _with_header(content, codes={"density": "<f8", "sh": "|i1"}),
        "spec": _with_header(content, spec={"scene": 3, "colour": 4}),
    }
    for name, data in damaged.items():
        path = tmp_path / f"{name}.voxels"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"Cannot read .*{name}.voxels: [^\n]*\.$"):
            compact.read(path)
    with pytest.raises(CheckpointError, match="check that it exists"):
        compact.read(tmp_path / "nowhere.voxels")


def test_a_file_that_cannot_be_written_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(CheckpointError, match="Cannot write"):
        compact.write(tmp_path / "taken" / "a.voxels", content)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
