# SPDX-License-Identifier: MIT
"""Camera poses that are disturbed on purpose, and what `poses.refine` makes of them.

    python benchmarks/refine_poses.py SCENE [--views 60] [--degrees 1] [--percent 1] [--seconds 300] [--json FILE] [-- options]

Every training camera is turned by exactly `degrees` about an axis of its own and moved by `percent` of its distance from the
scene's centre, in a direction of its own. Errors are against the true poses, after the one rotation, shift and scale that lead
all of them there best: what moves cameras and scene together cannot be seen in any picture. The held-out views are drawn from
the cameras that such a motion makes of theirs. Trained as `nerfviewer train --refine-poses` does; options are SVRaster's by
dotted name, as NAME=VALUE.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine import options
from engine.cameras import Camera
from engine.datasets.scene import Scene, Split
from engine.methods.svraster import REFINE_POSES, SVRaster
from engine.methods.svraster.poses import angles_between, nearest_rotation, rotation_of
from engine.metrics import psnr
from engine.training import load_scene


def disturbed(pose: np.ndarray, degrees: float, percent: float, rng: np.random.Generator) -> np.ndarray:
    """Return a pose [4,4] turned and moved in random directions by exactly so much."""
    axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    pose = pose.copy()
    distance = np.linalg.norm(pose[:3, 3])
    pose[:3, :3] = pose[:3, :3] @ rotation_of(axis * np.radians(degrees))
    pose[:3, 3] += direction * distance * percent / 100.0
    return pose


def similarity(true: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return rotation [3,3], shift [3] and scale that lead the true poses [C,3,4] to the found ones best."""
    turn = nearest_rotation((found[:, :, :3] @ true[:, :, :3].transpose(0, 2, 1)).sum(axis=0))
    before, after = true[:, :, 3] @ turn.T, found[:, :, 3]
    middle, centred = before.mean(axis=0), before - before.mean(axis=0)
    scale = float((centred * (after - after.mean(axis=0))).sum() / (centred**2).sum())
    return turn, after.mean(axis=0) - scale * middle, scale


def errors(true: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Return the mean error of rotations in degrees and of positions in percent of the mean distance."""
    turn, shift, scale = similarity(true, found)
    angle = np.degrees(angles_between(turn @ true[:, :, :3], found[:, :, :3])).mean()
    offset = np.linalg.norm(found[:, :, 3] - scale * true[:, :, 3] @ turn.T - shift, axis=1).mean()
    return float(angle), float(100.0 * offset / np.linalg.norm(true[:, :, 3], axis=1).mean())


def held_out(model: SVRaster, scene: Scene, true: np.ndarray, found: np.ndarray, count: int = 20) -> float:
    """Return the mean PSNR of some held-out views, seen where the scene lies now."""
    turn, shift, scale = similarity(true, found)
    values = []
    for i in np.linspace(0, len(scene.test) - 1, count).astype(int):
        camera: Camera = scene.test.views[i].camera
        pose = camera.world_from_cam.copy()
        pose[:3, :3] = turn @ pose[:3, :3]
        pose[:3, 3] = scale * turn @ pose[:3, 3] + shift
        values.append(psnr(model.render(camera.moved(pose)).rgb, scene.test.images.load(i)))
    return float(np.mean(values))


def main() -> None:
    """Disturb, train, print a line now and then, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--downscale", type=int, default=2)
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--degrees", type=float, default=1.0)
    parser.add_argument("--percent", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", action="store_true", help="Leave the poses disturbed: what it is compared with."
    )
    parser.add_argument("--json", type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end])
    values = dict(text.split("=", 1) for text in given[end + 1 :])

    scene = load_scene(arguments.scene, {"downscale": arguments.downscale}, lambda *_: None)
    rng = np.random.default_rng(arguments.seed)
    views = scene.train.views[: arguments.views]
    true = np.array([view.camera.world_from_cam[:3] for view in views])
    poses = [disturbed(v.camera.world_from_cam, arguments.degrees, arguments.percent, rng) for v in views]
    moved = tuple(
        dataclasses.replace(v, camera=v.camera.moved(pose)) for v, pose in zip(views, poses, strict=True)
    )
    crooked = dataclasses.replace(scene, train=Split(moved, scene.train.images))
    config = REFINE_POSES | {"poses.refine": not arguments.keep} | values
    model = SVRaster(crooked, options.build(SVRaster.Config, config), arguments.seed)
    model.warm_up()
    before = errors(true, np.array(poses)[:, :3])
    print(f"disturbed: {before[0]:.3f} deg, {before[1]:.3f} %", flush=True)
    begin, cpu = time.perf_counter(), time.process_time()
    rows, report_at = [], 0.0
    while model.step < arguments.steps:
        spent = time.perf_counter() - begin
        if spent >= report_at or spent >= arguments.seconds:
            angle, offset = errors(true, model.poses.pose)
            rows.append({"seconds": round(spent, 1), "step": model.step, "degrees": angle, "percent": offset})
            print(json.dumps(rows[-1]), flush=True)
            report_at = spent + arguments.seconds / 10.0
        if spent >= arguments.seconds:
            break
        model.train_step()
    quality = held_out(model, scene, true, model.poses.pose)
    print(f"held-out PSNR {quality:.2f} dB, {len(model.octree):,} voxels", flush=True)
    if arguments.json:
        result = {"benchmark": "refine_poses", "scene": Path(arguments.scene).name, "machine": machine()}
        result |= {"views": len(views), "before": {"degrees": before[0], "percent": before[1]}, "curve": rows}
        result |= {"psnr": quality, "cpu_seconds": round(time.process_time() - cpu, 1), "options": config}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
