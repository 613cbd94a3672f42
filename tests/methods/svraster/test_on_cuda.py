# SPDX-License-Identifier: MIT
"""SVRaster with its field on a device, the kernels run by the harness: it takes the CPU's steps and its checkpoints."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.cpu.shade import sh_rows
from engine.cpu.train_view import FieldArrays
from engine.messages import ViewRequest
from engine.methods.svraster import SVRaster, SVRasterConfig, on_cuda
from engine.methods.svraster.on_cuda import SVRasterOnCuda
from engine.methods.svraster.picture_terms import _similar_here
from engine.options import updated
from engine.region import Region, Shown
from engine.worker_views import render_frame
from tests.cuda import host
from tests.cuda.on_host import launcher
from tests.methods.test_svraster import make_scene
from tests.ranks_in_threads import step_together

CONFIG = updated(
    SVRasterConfig(),
    {
        "model.initial_level": 3,
        "model.supersample": 1,
        "adapt.every_steps": 4,
        "adapt.split_all_to": 4,
        "adapt.max_voxels": 4_000,
        "schedule.quarter_until": 0,
        "schedule.half_until": 100,
        "schedule.sh1_from": 1,
        "schedule.sh2_from": 3,
        "losses.total_variation": 0.1,
        "losses.ssim": 0.02,
    },
)
WANT = frozenset({"depth_z", "depth_median", "normal", "count", "level", "size"})
PICTURE = 2e-3  # ten steps of sign-like updates apart; 4e-4 seen


@pytest.fixture
def on_device() -> type:
    if host.compiler() is None:
        pytest.skip("needs g++ to run kernels on the CPU (Debian, Ubuntu: apt-get install g++)")

    plain, one_at_a_time = launcher(), threading.Lock()

    def launch(*arguments: object) -> None:
        with one_at_a_time:  # the harness has one set of fibres
            plain(*arguments)

    def make(scene: object, config: SVRasterConfig = CONFIG, **options: object) -> SVRasterOnCuda:
        return SVRasterOnCuda(scene, config, device="cpu", launch=launch, **options)

    return make


def fields_of(model: SVRaster) -> dict[str, np.ndarray]:
    tensors, _ = model.state()
    names = [field.name for field in dataclasses.fields(FieldArrays)]
    arrays = {name: tensors[f"field.{name}"] for name in names}
    for name in ("sh", "sh_m", "sh_v"):
        arrays[name] = sh_rows(arrays[name], len(model.octree))
    return arrays


def test_ten_steps_with_splits_are_those_of_the_cpu(on_device: type) -> None:
    scene = make_scene(4)
    cpu, device = SVRaster(scene, CONFIG), on_device(scene, half_moments=False)
    for _ in range(10):
        a, b = cpu.train_step(), device.train_step()
        assert (a.step, a.view, a.adapted) == (b.step, b.view, b.adapted)
        assert abs(a.psnr - b.psnr) < 0.01
        assert [name for name, _ in a.losses] == [name for name, _ in b.losses]
    assert np.array_equal(device.octree.path, cpu.octree.path)
    assert device.octree.level.max() == 5 and len(device.octree) < 512, "both split and pruned"
    camera = scene.test.views[0].camera
    mine, its = device.render(camera, WANT), cpu.render(camera, WANT)
    assert np.abs(mine.rgb - its.rgb).max() < PICTURE
    assert np.abs(mine.level - its.level).max() < 0.05 and np.abs(mine.size - its.size).max() < 1e-3
    assert all(getattr(mine, name).dtype == getattr(its, name).dtype for name in WANT)
    assert device.preview_adapt() == cpu.preview_adapt()


def test_vitals_and_memory_are_told_of_a_field_on_a_device(on_device: type) -> None:
    scene = make_scene(4)
    here, there = SVRaster(scene, CONFIG), on_device(scene, half_moments=False)
    for model in (here, there):
        for _ in range(10):
            model.train_step()
    told = there.vitals()
    assert told == pytest.approx(here.vitals(), rel=0.05) and told["gradient_colours"] > 0.0
    parts, of_cpu = there.memory(), here.memory()
    assert parts["parameters"] == of_cpu["parameters"] and set(parts) < set(of_cpu)


def test_a_run_may_change_sides(on_device: type) -> None:
    scene = make_scene(4)
    cpu = SVRaster(scene, CONFIG)
    for _ in range(5):
        cpu.train_step()
    device, back = on_device(scene, half_moments=False), SVRaster(scene, CONFIG)
    device.load_state(*cpu.state())
    for name, array in fields_of(cpu).items():
        assert np.array_equal(fields_of(device)[name], array), name
    back.load_state(*device.state())
    assert np.array_equal(
        back.render(scene.test.views[0].camera).rgb, cpu.render(scene.test.views[0].camera).rgb
    )
    assert back.train_step().psnr == cpu.train_step().psnr


def test_structure_is_looked_into_and_changed_on_a_device_as_here(on_device: type) -> None:
    scene = make_scene(4)
    cpu, device = SVRaster(scene, CONFIG), on_device(scene, half_moments=False)
    for _ in range(5):
        cpu.train_step()
    device.load_state(*cpu.state())
    camera, box = (
        scene.test.views[0].camera.resized(16, 16),
        Region.between((-0.1, -0.5, -0.5), (0.5, 0.5, 0.5)),
    )
    for name, shown in (("age", Shown(crop=box)), ("weight", Shown((3,)))):
        mine, its = (m.render(camera, frozenset({name}), shown=shown) for m in (device, cpu))
        np.testing.assert_allclose(mine.rgb, its.rgb, atol=PICTURE)
        np.testing.assert_allclose(mine.value, its.value, atol=1e-2 * its.value.max())
    picks = [m.inspection.pick(camera, 8.5, 8.5, Shown()) for m in (device, cpu)]
    assert picks[0] == picks[1] is not None
    small = Region(picks[0].centre, (picks[0].edge, picks[0].edge, picks[0].edge))
    for change in ("prune", "subdivide"):
        reports = [getattr(m.inspection, change)(small) for m in (device, cpu)]
        assert reports[0] == reports[1]
    np.testing.assert_array_equal(device.born, cpu.born)


def test_the_same_seed_gives_the_same_run_when_that_is_asked_for(on_device: type) -> None:
    scene, runs = make_scene(4), []
    for _ in range(2):
        model = on_device(scene, updated(CONFIG, {"model.deterministic": True}))
        assert model._scratch.owners is not None, "atomics would add in an order left to chance"
        for _ in range(6):
            model.train_step()
        runs.append(fields_of(model))
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])


@pytest.mark.parametrize("rays", [1, 2])
def test_the_picture_that_stays_on_the_card_is_the_one_of_the_host(on_device: type, rays: int) -> None:
    scene = make_scene(4)
    model = on_device(scene, updated(CONFIG, {"model.supersample": rays, "schedule.supersample_from": 0}))
    for _ in range(4):
        model.train_step()
    assert model.supersample == rays
    pose = look_at(np.array([1.5, 1.0, 0.8]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    camera = Camera.from_fov(64, 40, np.radians(50.0), pose)  # the cube and what is beside it
    request = ViewRequest(1, camera, background=(0.1, 0.6, 0.3))
    frame = render_frame(model, scene, request, lambda: 0.0)
    rgba, depth_z = (t.numpy() for t in model.render_on_card(camera, request.background))
    assert np.abs(rgba.astype(int) - frame.rgba).max() <= 1 and (rgba != frame.rgba).mean() < 0.01
    there = np.isfinite(frame.depth_z)
    assert 0.05 < there.mean() < 1.0 and np.array_equal(np.isfinite(depth_z), there)
    assert np.allclose(depth_z[there], frame.depth_z[there], rtol=1e-5)


def test_pruning_by_hand_carries_the_field(on_device: type) -> None:
    model = on_device(make_scene(4))
    for _ in range(3):
        model.train_step()
    before = model.structure()
    report = model.prune_now()
    assert 0 < report.after < before.voxels and model.structure().voxels == report.after
    assert model.subdivide_now().split > 0
    assert np.isfinite(model.train_step().psnr)


def test_two_ranks_on_devices_take_the_steps_of_two_on_cpus(on_device: type) -> None:
    scene, fields = make_scene(4), []
    config = updated(CONFIG, {"model.deterministic": True})
    for make in (SVRaster, lambda *options: on_device(*options, half_moments=False)):
        models = [make(scene, config) for _ in range(2)]
        for _ in range(5):
            step_together(models)
        a, b = (fields_of(model) for model in models)
        assert [name for name in a if not np.array_equal(a[name], b[name])] == []
        fields.append((a, models[0].octree.path))
    (cpu, path), (device, same_path) = fields
    assert np.array_equal(path, same_path) and len(path) > 1_000
    assert np.array_equal(cpu["sh_age"], device["sh_age"])
    assert np.median(np.abs(cpu["sh"] - device["sh"])) < 1e-5
    assert np.abs(cpu["heaviest"] - device["heaviest"]).max() < PICTURE
    assert np.abs(cpu["priority"] - device["priority"]).max() < 0.02 * cpu["priority"].max()


def test_a_view_is_compared_with_its_photo_on_the_device_as_here(on_device: type) -> None:
    scene = make_scene(4)
    model = on_device(scene)
    for _ in range(3):
        model.train_step()
    rays, camera = 2, scene.train.views[0].camera
    shaded = model._shaded(camera.scaled(rays), 2)
    image, _ = model._picture(shaded, 0)
    picture = image[..., 1:] + image[..., :1] * model.background
    target = (scene.train.images.load(0) * 255.0).astype(np.uint8)
    mask = np.full(target.shape[:2], 255, dtype=np.uint8)
    mask[10:20, 5:30] = 0
    v_rgb, loss = model._similar(shaded)(target, mask, rays, 0.3)
    wanted, same = _similar_here(picture, target, mask, rays, 0.3)
    assert float(loss) == pytest.approx(same, rel=1e-5)
    assert np.abs(v_rgb.numpy() - wanted).max() < 1e-3 * np.abs(wanted).max()
    assert not v_rgb[20:40, 10:60].any() and v_rgb[:20].any()


def test_a_step_that_fails_leaves_nothing_to_the_next(
    on_device: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(4)
    failed, other = (
        on_device(scene, updated(CONFIG, {"model.deterministic": True}), half_moments=False) for _ in range(2)
    )

    def run_out(*arguments: object, **options: object) -> None:
        arguments[2].v_density.fill_(1.0)
        raise MemoryError("no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(on_cuda, "train_on_view", run_out)
        with pytest.raises(MemoryError):
            failed.train_step()
    assert not failed._scratch.v_density.any()
    for model in (failed, other):
        model.step, model.queue = 0, [2, 1]
        model.train_step()
    a, b = fields_of(failed), fields_of(other)
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


def test_a_frozen_copy_shows_the_same_however_the_model_goes_on(on_device):
    made = on_device(make_scene(n_train=3))
    made.train_step()
    camera = make_scene(n_train=1).train.views[0].camera
    frozen, before = made.frozen(), made.render(camera, supersample=1.0).rgb
    assert frozen.bytes > 0 and np.array_equal(frozen.method.render(camera, supersample=1.0).rgb, before)
    for _ in range(5):
        made.train_step()
    assert not np.array_equal(made.render(camera, supersample=1.0).rgb, before)
    assert np.array_equal(frozen.method.render(camera, supersample=1.0).rgb, before)
