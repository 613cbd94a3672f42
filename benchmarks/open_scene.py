# SPDX-License-Identifier: MIT
"""Seconds from a COLMAP folder to the first training step, and the most memory that took.

    python benchmarks/open_scene.py [--photos 300] [--size 1600x1064] [--downscale 4] [--cache-mb 2048] [--distorted]
                                    [--json FILE]

The scene is made in a temporary folder: a ring of cameras, textured JPEGs of quality 90, 200 sparse points and 2,000
keypoints a photo. A process of its own opens it and trains one step; its clock starts with the process, and its
memory is looked at every 10 ms. `cpu_seconds`, of all its threads, hardly depends on what else runs. A first process,
not counted, compiles what the first start compiles. Photos come from the system's file cache, as they were just written.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine.cameras import look_at

POINTS_PER_PHOTO = 200
TRACK = 5  # photos that see each point
KEYPOINTS = 2000
_CHILD = """
import json, sys, threading, time
import psutil
me, peak = psutil.Process(), 0
def watch():
    global peak
    while True:
        peak = max(peak, me.memory_info().rss)
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
from engine.training import load_scene, make_method
scene = load_scene(sys.argv[1], json.loads(sys.argv[2]), lambda *stage: None)
opened = time.time()
make_method("svraster", scene, {}, 0).train_step()
done = time.time()
print(json.dumps({
    "open_s": round(opened - me.create_time(), 2), "first_step_s": round(done - opened, 2),
    "seconds": round(done - me.create_time(), 2), "cpu_seconds": round(time.process_time(), 2), "peak_rss_mb": round(peak / 1e6),
    "held_mb": round((scene.train.images.nbytes() + scene.test.images.nbytes()) / 1e6),
    "views": len(scene.train) + len(scene.test), "points": len(scene.points), "warnings": list(scene.warnings),
}))
"""


def make_scene(folder: Path, photos: int, width: int, height: int, distorted: bool) -> None:
    """Write photos and a binary COLMAP model."""
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    (folder / "sparse" / "0").mkdir(parents=True)
    rng = np.random.default_rng(0)
    layers = [
        rng.integers(0, 256, (height // n + 1, width // n + 1, 3), dtype=np.uint8) for n in (1, 4, 16, 64)
    ]
    shares = (0.06, 0.14, 0.3, 0.5)  # like photographs: most contrast in large shapes, some grain
    texture = sum(
        share
        * np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.BICUBIC), np.float32)
        for share, layer in zip(shares, layers, strict=True)
    ).astype(np.uint8)
    for i in range(photos):
        shifted = np.roll(texture, (7 * i, 13 * i), axis=(0, 1))
        Image.fromarray(shifted).save(folder / "images" / f"{i:04}.jpg", quality=90)
    _write_model(folder / "sparse" / "0", photos, width, height, distorted, rng)


def _write_model(
    folder: Path, photos: int, width: int, height: int, distorted: bool, rng: np.random.Generator
) -> None:
    focal, extra = 0.8 * width, ((-0.1, 0.02, 0.0005, -0.0005) if distorted else ())
    params = (focal, focal, 0.5 * width, 0.5 * height, *extra)
    camera = struct.pack("<QIiQQ", 1, 1, 4 if distorted else 1, width, height)
    (folder / "cameras.bin").write_bytes(camera + struct.pack(f"<{len(params)}d", *params))
    images = [struct.pack("<Q", photos)]
    for i in range(photos):
        angle = 2.0 * np.pi * i / photos
        place = np.array([4.0 * np.cos(angle), 4.0 * np.sin(angle), 1.0])
        pose = np.linalg.inv(look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0])))
        images.append(struct.pack("<I4d3dI", i + 1, *_quaternion(pose[:3, :3]), *pose[:3, 3], 1))
        images.append(f"{i:04}.jpg".encode() + b"\0" + struct.pack("<Q", KEYPOINTS) + bytes(24 * KEYPOINTS))
    (folder / "images.bin").write_bytes(b"".join(images))
    count = photos * POINTS_PER_PHOTO
    points = [struct.pack("<Q", count)]
    for p, xyz in enumerate(rng.normal(0.0, 0.7, (count, 3))):
        first = int(rng.integers(photos))
        points.append(struct.pack("<Q3d3BdQ", p + 1, *xyz, 90, 120, 150, 0.7, TRACK))
        points.extend(struct.pack("<II", (first + k) % photos + 1, k) for k in range(TRACK))
    (folder / "points3D.bin").write_bytes(b"".join(points))


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return w x y z of a rotation [3,3]: the eigenvector that belongs to the largest eigenvalue of K."""
    r = rotation
    k = np.array(
        [
            [np.trace(r), 0.0, 0.0, 0.0],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], 0.0, 0.0],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0.0],
            [r[1, 0] - r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    return np.linalg.eigh(k)[1][:, -1]  # eigh reads the lower triangle only


def open_once(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Open a scene and take one step in a process of its own; return what it measured."""
    command = [sys.executable, "-c", _CHILD, str(folder), json.dumps(values)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the scene, open it, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--size", default="1600x1064")
    parser.add_argument("--downscale", type=int, default=4)
    parser.add_argument("--cache-mb", type=int, default=2048)
    parser.add_argument(
        "--distorted", action="store_true", help="a lens with radial and tangential distortion"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        small, scene = Path(name) / "small", Path(name) / "scene"
        make_scene(small, 8, 320, 212, args.distorted)
        open_once(small, {})
        make_scene(scene, args.photos, width, height, args.distorted)
        values = {"downscale": args.downscale, "cache_mb": args.cache_mb}
        result = {"benchmark": "open_scene", **vars(args), "machine": machine(), **open_once(scene, values)}
    result.pop("json")
    print(json.dumps(result, indent=2))
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
