# SPDX-License-Identifier: MIT
"""What `benchmarks/gpu.py` measures: each section is a function from a `Bench` to what goes into the JSON."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.bench import shell
from engine.cameras import Camera, look_at
from engine.constants import DISTORTION_KNEE, MSE, N_WEIGHTS, W_PHOTO
from engine.cpu.shade import grouped, sh_groups
from engine.cpu.update import bias_corrections
from engine.cuda.gradients import Goal, gradients
from engine.cuda.lists import Launch, VoxelTable, build_lists, pack, render_lists
from engine.cuda.rasterize import rasterize_fields
from engine.cuda.train_view import FieldTensors, Scratch, train_on_view
from engine.datasets.load import load_scene
from engine.evaluation import Evaluation
from engine.methods.svraster.config import preset
from engine.methods.svraster.on_cuda import SVRasterOnCuda
from engine.octree import Octree
from engine.options import updated
from engine.reference.rasterize import rasterize as twin

SIZES = {"960x540": (960, 540), "1920x1080": (1920, 1080), "3840x2160": (3840, 2160)}
DEGREE = 3
PUBLISHED_BYTES = 900  # a voxel, float32, gradients and both moments stored


@dataclass(frozen=True)
class Bench:
    """Where things run, and how much of them."""

    device: torch.device
    launch: Launch
    dry: bool
    lego: Path | None

    @property
    def runs(self) -> int:
        """How often a thing is timed."""
        return 2 if self.dry else 30

    def ms(self, work: Callable[[], Any], runs: int | None = None) -> float:
        """Return the median milliseconds of `work`, on the device's own clock."""
        times = []
        for _ in range(3 if not self.dry else 1):
            work()
        for _ in range(runs or self.runs):
            if self.device.type == "cuda":
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                work()
                end.record()
                end.synchronize()
                times.append(start.elapsed_time(end))
            else:
                begin = time.perf_counter()
                work()
                times.append(1e3 * (time.perf_counter() - begin))
        return round(statistics.median(times), 4)

    def kept_bytes(self, work: Callable[[], Any]) -> int:
        """Return the memory that torch holds after `work`, beyond what it held before; 0 without a card."""
        cuda = self.device.type == "cuda"
        before = torch.cuda.memory_allocated() if cuda else 0
        work()
        return torch.cuda.memory_allocated() - before if cuda else 0

    def peak_bytes(self, work: Callable[[], Any]) -> int:
        """Return the most memory that torch held during `work`, beyond what it held before; 0 without a card."""
        if self.device.type != "cuda":
            work()
            return 0
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before


# --- scenes ---------------------------------------------------------------------------------------------------------


def scene_of(name: str, dry: bool) -> Octree:
    """Return "1m", the shell of `nerfviewer bench`, or "10m", the same split to ten million leaves; tiny when dry."""
    octree = shell(4 if dry else 9)
    if name == "10m":
        octree, _ = octree.subdivide(np.ones(len(octree), dtype=bool))
        rng, wanted = np.random.default_rng(0), 0 if dry else 10_000_000
        octree, _ = octree.subdivide(rng.random(len(octree)) < max(0.0, wanted / len(octree) - 1.0) / 7.0)
    return octree


def camera_of(size: tuple[int, int]) -> Camera:
    """Return the view of `nerfviewer bench` at a size."""
    pose = look_at(np.array([1.1, 0.9, 0.6]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    return Camera.from_fov(*size, np.radians(45.0), pose)


def field_of(octree: Octree, bench: Bench) -> FieldTensors:
    """Return a random field: surfaces a few voxels thick, colours by place and direction."""
    rng, n, g = np.random.default_rng(0), len(octree), octree.n_points
    level = 2.0 ** float(octree.level.max())
    rows = rng.normal(0.0, 0.05, (n, (DEGREE + 1) ** 2, 3)).astype(np.float32)
    rows[:, 0] = octree.center * 2.0
    shape, zeros = sh_groups(n, DEGREE), np.zeros
    density = ((rng.random(g) * 2.0 + 1.0) * level / 128.0).astype(np.float32)
    arrays = {
        "density": density, "density_m": zeros(g, np.float32), "density_v": zeros(g, np.float32),
        "density_age": zeros(g, np.uint16), "sh": grouped(rows), "sh_m": zeros(shape, np.float32),
        "sh_v": zeros(shape, np.float32), "sh_age": zeros(n, np.uint16), "priority": zeros(n, np.float32),
        "heaviest": zeros(n, np.float32), "footprint": np.full(n, np.inf, np.float32),
    }  # fmt: skip
    return FieldTensors.of(arrays, bench.device)


# --- sections ---------------------------------------------------------------------------------------------------------


def ops(bench: Bench) -> dict[str, Any]:
    """Pictures and gradients of a small scene against the float64 twin, both ways to add gradients."""
    octree = Octree.dense(2)
    rng, camera = np.random.default_rng(0), camera_of((64, 48))
    table = VoxelTable.of(octree, bench.device, bench.launch)
    inputs = [rng.uniform(-8, -1, octree.n_points), rng.random((len(octree), 3)), np.array([0.2, 0.7, 0.4])]
    exact = [torch.from_numpy(a.astype(np.float32)).double().requires_grad_() for a in inputs]
    picture = twin(octree, exact[0], exact[1], camera, background=exact[2])
    v_exact = torch.autograd.grad(picture.rgb.square().sum() + picture.depth_z.sum(), exact)
    out: dict[str, Any] = {}
    for ordered in (False, True):
        single = [a.detach().float().to(bench.device).requires_grad_() for a in exact]
        torch.use_deterministic_algorithms(ordered)
        fields = rasterize_fields(*single, octree, camera, 1, table)
        got = torch.autograd.grad(fields[0].square().sum() + fields[2].sum(), single)
        torch.use_deterministic_algorithms(False)
        pairs = zip(("densities", "colours", "background"), got, v_exact, strict=True)
        name = "ordered" if ordered else "atomics"
        out[name] = {k: float((a.detach().cpu() - b).abs().max() / b.abs().max()) for k, a, b in pairs}
        out[name]["rgb"] = float((fields[0].detach().cpu() - picture.rgb.detach()).abs().max())
    return out


def bandwidth(bench: Bench) -> dict[str, float]:
    """The ceiling: a copy within the card's memory, bytes read and written."""
    n = 1 << (23 if bench.dry else 30)
    source = torch.zeros(n, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    ms = bench.ms(lambda: target.copy_(source))
    return {"gb_per_s": round(2 * n / ms / 1e6, 1)}


def frames(bench: Bench, ceiling: float) -> list[dict[str, Any]]:
    """Frames per second, with what each stage takes and how near the memory's ceiling the frame comes."""
    rows = []
    for name in ("1m", "10m"):
        octree = scene_of(name, bench.dry)
        table, field = VoxelTable.of(octree, bench.device, bench.launch), field_of(octree, bench)
        for label, size in SIZES.items():
            row = frame_row(bench, table, field, (48, 32) if bench.dry else size, ceiling)
            rows.append({"scene": name, "voxels": len(octree), "size": label} | row)
    return rows


def frame_row(
    bench: Bench, table: VoxelTable, field: FieldTensors, size: tuple[int, int], ceiling: float
) -> dict[str, Any]:
    """Return what a frame of a size takes."""
    camera = camera_of(size)
    lists = build_lists(table, camera)
    keys = torch.randint(0, 1 << 48, (max(1, lists.n_pairs),), device=bench.device)
    row: dict[str, Any] = {"visible": lists.n_slots, "pairs": lists.n_pairs}
    row["lists_ms"] = bench.ms(lambda: build_lists(table, camera))
    row["of_which_sort_ms"] = bench.ms(lambda: torch.sort(keys))
    row["pack_ms"] = bench.ms(lambda: pack(table, lists, field.density, sh=field.sh, degree=DEGREE))
    row["raster_ms"] = bench.ms(lambda: render_lists(table, lists))
    row["depth_ms"] = bench.ms(lambda: render_lists(table, lists, depth=True))
    row["fields_ms"] = bench.ms(lambda: render_lists(table, lists, fields=True))
    row["frame_ms"] = round(row["lists_ms"] + row["pack_ms"] + row["raster_ms"], 4)
    row["frames_per_second"] = round(1e3 / row["frame_ms"], 1)
    moved = bytes_of_frame(table.n_voxels, lists.n_slots, lists.n_pairs, size)
    row["gb_moved"] = round(moved / 1e9, 4)
    row["share_of_ceiling"] = round(moved / 1e6 / row["frame_ms"] / ceiling, 3)
    return row


def bytes_of_frame(voxels: int, visible: int, pairs: int, size: tuple[int, int]) -> int:
    """Return the bytes a frame has to move at the least: each list read and written once, eight passes of a radix sort."""
    project = voxels * (9 + 8 + 4 * 4)
    sort = pairs * (12 + 2 * 8 * 16)
    lists = pairs * (8 + 8 + 4 + 4)
    packs = visible * (41 + 32 + 4 * 3 * (DEGREE + 1) ** 2 + 64)
    return project + sort + lists + packs + pairs * (4 + 64 + 8) + size[0] * size[1] * 16


def training(bench: Bench) -> dict[str, Any]:
    """A step on a million voxels at 800x800, its parts, and the memory it takes."""
    octree = scene_of("1m", bench.dry)
    n, camera = len(octree), camera_of((48, 48) if bench.dry else (800, 800))
    state: dict[str, Any] = {}

    def load() -> None:
        state["table"] = VoxelTable.of(octree, bench.device, bench.launch)
        state["field"], state["scratch"] = field_of(octree, bench), Scratch.of(state["table"])

    kept = bench.kept_bytes(load)  # on the way, moments in float32 were there, too
    table, field, scratch = state["table"], state["field"], state["scratch"]
    shares = np.zeros(N_WEIGHTS, dtype=np.float32)
    shares[W_PHOTO], shares[DISTORTION_KNEE] = 1.0 / (3 * camera.width * camera.height), 1.0
    photo = torch.full((camera.height, camera.width, 3), 128, dtype=torch.uint8, device=bench.device)
    up = [torch.from_numpy(a).to(bench.device) for a in (np.ones(3, np.float32), shares)]
    goal = Goal(up[0], up[1], MSE, 1, photo)
    tables = tuple(torch.from_numpy(bias_corrections(b, 64)).to(bench.device) for b in (0.1, 0.99))
    adam = torch.tensor([0.1, 0.99, 1e-15, 1e-6, 1e-6, 1e-6, 0.0], device=bench.device)  # hardly moves
    lists = build_lists(table, camera)
    pack(table, lists, field.density, sh=field.sh, degree=DEGREE)

    def step() -> None:
        fresh = build_lists(table, camera)
        pack(table, fresh, field.density, sh=field.sh, degree=DEGREE)
        train_on_view(
            table, field, scratch, fresh, goal, samples=1, degree=DEGREE, adam=adam, corrections=tables
        )

    def back(ordered: bool) -> Callable[[], Any]:
        v_density = torch.zeros(octree.n_points, device=bench.device)
        return lambda: gradients(table, lists, goal, 1, v_density=v_density, ordered=ordered)

    peak = bench.peak_bytes(step)
    return {
        "voxels": n, "visible": lists.n_slots, "pairs": lists.n_pairs, "step_ms": bench.ms(step),
        "forward_backward_ms": bench.ms(back(False)), "forward_backward_ordered_ms": bench.ms(back(True)),
        "bytes_kept_per_voxel": round(kept / n, 1), "bytes_of_a_step_per_voxel": round(peak / n, 1),
        "share_of_published": round((kept + peak) / n / PUBLISHED_BYTES, 3),
    }  # fmt: skip


def lego(bench: Bench) -> dict[str, Any]:
    """Training seconds to 33 and 35 dB held out, photos of 800x800, evaluation not counted."""
    if bench.lego is None:
        return {"skipped": "no scene: give --lego FOLDER or set NERFVIEWER_DATA"}
    scene = load_scene("demo" if bench.dry else bench.lego)
    config = updated(preset("fast"), {"model.sh_degree": DEGREE, "adapt.max_voxels": 2_000_000})
    model = SVRasterOnCuda(scene, config, device=bench.device, launch=bench.launch)
    model.warm_up()
    seconds, curve, marks = 0.0, [], {33.0: None, 35.0: None}
    limit, every = (0.5, 0.4) if bench.dry else (150.0, 5.0)
    while seconds < limit and None in marks.values():
        begin, due = time.perf_counter(), seconds + every
        while seconds + time.perf_counter() - begin < due:
            model.train_step()
        seconds += time.perf_counter() - begin
        evaluation = Evaluation(scene, model)
        while not evaluation.done and len(evaluation.per_view) < (1 if bench.dry else 40):
            evaluation.advance()
        curve.append({"seconds": round(seconds, 2), "step": model.step, "psnr": round(evaluation.psnr, 3)})
        for mark in marks:
            if marks[mark] is None and evaluation.psnr >= mark:
                marks[mark] = round(seconds, 2)
    found = {f"seconds_to_{mark:g}_db": value for mark, value in marks.items()}
    return found | {"voxels": len(model.octree), "views": len(evaluation.per_view), "curve": curve}


def present(bench: Bench) -> dict[str, Any]:
    """A 4K frame and its depth into OpenGL textures: within the card, and by way of the host (EGL, no window)."""
    if bench.device.type != "cuda":
        return {"skipped": "needs a card"}
    import moderngl

    from engine.cuda.interop import open_provider

    width, height = SIZES["3840x2160"]
    context = moderngl.create_context(standalone=True, backend="egl")
    texture, depth = context.texture((width, height), 4), context.texture((width, height), 1, dtype="f4")
    frame = torch.randint(0, 255, (height, width, 4), dtype=torch.uint8, device=bench.device)
    depth_z = torch.rand((height, width), device=bench.device)
    provider = open_provider()
    links = provider.link(texture.glo), provider.link(depth.glo)

    def wall(work: Callable[[], Any]) -> float:
        times = []
        for _ in range(33):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            work()
            times.append(1e3 * (time.perf_counter() - begin))
        return round(statistics.median(times[3:]), 4)

    def share() -> None:
        for link, tensor in zip(links, (frame, depth_z), strict=True):
            link.copy(tensor.data_ptr(), 4 * width, height)

    def copy() -> None:
        texture.write(frame.cpu().numpy())
        depth.write(depth_z.cpu().numpy())
        context.finish()

    out = {"renderer": context.info["GL_RENDERER"], "size": "3840x2160"}
    out["interop_ui_thread_ms"] = wall(share)
    out["interop_until_done_ms"] = wall(lambda: (share(), context.finish()))
    out["same_pixels"] = (
        texture.read() == frame.cpu().numpy().tobytes()
    )  # before the copies write them as well
    out["same_depth"] = depth.read() == depth_z.cpu().numpy().tobytes()
    out["copy_ms"] = wall(copy)
    for link in links:
        link.close()
    provider.close()
    return out
