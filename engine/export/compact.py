# SPDX-License-Identifier: MIT
"""The compact file NAME.voxels: what SVRaster draws, quantised, in about 20 bytes a voxel at degree 2.

    8 bytes   b"NVVOXELS"
    4 + 4     version (2), length of the header; little endian, as everything
    header    JSON, deflated: where the voxels come from, sizes, steps, and `sections`, each with its CRC-32
    sections  one after another, in the order of the header's list; arrays are split into planes of bytes, then deflated

    path      uint64 [V]: what each leaf's path, shifted to the finest level, adds to the one before (Morton order)
    level     uint8 [V]
    density   codes [G], of the points in the order that `Octree.from_leaves` numbers them
    sh        codes [3 K,V]: coefficient by coefficient, red, green, blue; a whole column lies together and packs well
    capture   JSON: the cameras and what else a scene is without its photos

A density's code is uniform in asinh(raw): linear where a voxel is between empty and opaque, relative beyond. Raw values
that hide less than a hundredth across the whole octree are cut off. A coefficient's code is uniform, one step per band; the
step of a grey level is what changes a colour by 1/255. Codes have as many bytes as their range needs, so nothing is clipped.
The earlier version of .voxels is a folder, which is a run of its own (`voxels.py`).
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.constants import MAX_LEVEL, SH_C0
from engine.errors import CheckpointError
from engine.export.capture import capture_of, scene_of, told_missing
from engine.export.options import CompactOptions
from engine.export.voxel_set import VoxelSet
from engine.files import saved_file
from engine.memory import spare_bytes
from engine.octree import Octree
from engine.runs import RunSpec
from engine.sh import n_coefficients

if TYPE_CHECKING:
    from engine.datasets.scene import Scene

MAGIC, VERSION = b"NVVOXELS", 2
_LEAST_RAW = -10.0  # in a cube of edge 1; a wider octree is seen through longer
_MOST_HEADER = 1 << 24
_MOST_VOXELS = 1 << 30
_LEVEL_OF_ZLIB = 6
_REMEDY = "export it again, or choose another file"


@dataclass(frozen=True, eq=False)
class Stored:
    """What a compact file holds: the voxels, the run that they are of, seconds of training, the capture."""

    voxels: VoxelSet
    spec: RunSpec
    seconds: float
    capture: dict[str, Any]


def encoded(
    voxels: VoxelSet, spec: RunSpec, scene: Scene, seconds: float = 0.0, options: CompactOptions | None = None
) -> bytes:
    """Return a whole file."""
    options = options or CompactOptions()
    octree, density = canonical(voxels.octree, voxels.density)
    codes, bend = _density_codes(density, octree.root_size, options.density_bits)
    colours, steps = _colour_codes(voxels.sh, options.colour_step)
    finest = int(octree.level.max(initial=1))
    path = octree.path >> (3 * (MAX_LEVEL - finest))
    arrays = {
        "path": np.diff(path, prepend=0).astype(np.uint64),
        "level": octree.level.astype(np.uint8),
        "density": codes,
        "sh": colours,
    }
    capture = json.dumps(capture_of(scene)).encode()
    packed = {name: _packed(array) for name, array in arrays.items()} | {"capture": zlib.compress(capture, 9)}
    sizes = {name: array.nbytes for name, array in arrays.items()} | {"capture": len(capture)}
    header = {
        "spec": dataclasses.asdict(spec),
        "values": voxels.values,
        "step": voxels.step,
        "seconds": seconds,
        "root_size": octree.root_size,
        "finest": finest,
        "voxels": len(octree),
        "points": octree.n_points,
        "degree": voxels.degree,
        "density": bend,
        "steps": steps,
        "codes": {"density": codes.dtype.str, "sh": colours.dtype.str},
        "background": [float(v) for v in voxels.background],
        "sections": [[name, len(data), sizes[name], zlib.crc32(data)] for name, data in packed.items()],
    }
    head = zlib.compress(json.dumps(header).encode(), 9)
    start = MAGIC + np.array([VERSION, len(head)], "<u4").tobytes()
    return b"".join([start, head, *packed.values()])


def write(path: str | Path, content: bytes) -> None:
    """Write a file that `encoded` made, whole or not at all."""
    with saved_file(Path(path)) as temporary:
        temporary.write_bytes(content)


def is_compact(path: str | Path) -> bool:
    """Say whether a file begins as a compact file does."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: str | Path) -> Stored:
    """Return what a compact file holds, or raise CheckpointError in one sentence."""
    try:
        return decoded(Path(path).read_bytes())
    except OSError as error:
        why = f"{error.strerror or error}; check that it exists and may be read"
    except (ValueError, KeyError, TypeError, IndexError, zlib.error, MemoryError, OverflowError) as error:
        why = f"it is damaged or no compact file of voxels ({error}); {_REMEDY}"
    raise CheckpointError(f"Cannot read {path}: {why}.")


def decoded(content: bytes) -> Stored:
    """Return what a file's bytes say; ValueError, KeyError and their like say that they are damaged."""
    header, at = _header(content)
    voxels, points = int(header["voxels"]), int(header["points"])
    coefficients = n_coefficients(int(header["degree"]))
    if not 0 < voxels <= _MOST_VOXELS or not 0 < points <= 8 * voxels or coefficients > 16:
        raise ValueError(f"it says that it has {voxels:,} voxels and {points:,} points")
    if voxels * (60 + 24 * coefficients) + 4 * points > spare_bytes():
        raise ValueError(f"its {voxels:,} voxels do not fit into the free memory")
    kinds = {name: np.dtype(kind) for name, kind in header["codes"].items()}
    if any(
        kind.kind != wanted or kind.itemsize > 4 for kind, wanted in zip(_ordered(kinds), "ui", strict=True)
    ):
        raise ValueError("its codes are of an unknown kind")
    wanted = {
        "path": (np.dtype("<u8"), (voxels,)),
        "level": (np.dtype("u1"), (voxels,)),
        "density": (kinds["density"], (points,)),
        "sh": (kinds["sh"], (3 * coefficients, voxels)),
    }
    parts: dict[str, Any] = {}
    for name, length, size, crc in header["sections"]:
        data = content[at : at + length]
        at += length
        if len(data) != length or zlib.crc32(data) != crc:
            raise ValueError(f"its part {str(name)[:20]!r} is torn")
        parts[name] = (data, size)
    arrays = {name: _unpacked(parts[name][0], *form) for name, form in wanted.items()}
    octree = _octree(arrays["path"], arrays["level"], int(header["finest"]), float(header["root_size"]))
    if octree.n_points != points:
        raise ValueError(f"{points:,} points were announced and its voxels have {octree.n_points:,}")
    found = VoxelSet(
        octree,
        _density_from(arrays["density"], header["density"]),
        _colours_from(arrays["sh"], header["steps"]),
        np.array(header["background"], np.float32).reshape(3),
        dict(header["values"]),
        int(header["step"]),
    )
    capture = json.loads(_inflated(*parts["capture"]))
    return Stored(found, RunSpec(**header["spec"]), float(header["seconds"]), capture)


def scene_without_photos(stored: Stored, path: str | Path, why: Exception) -> Scene:
    """Return the scene of a file whose photos cannot be read, or raise CheckpointError."""
    try:
        warning = told_missing(stored.spec.scene, why)
        return scene_of(stored.capture, stored.spec.scene, stored.voxels, warning)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"Cannot read {path}: its cameras are damaged ({error}); {_REMEDY}.") from why


def canonical(octree: Octree, density: np.ndarray) -> tuple[Octree, np.ndarray]:
    """Return an octree with points in the order that its leaves alone give, and the densities in that order."""
    fresh = Octree.from_leaves(octree.path, octree.level, octree.root_size)
    if np.array_equal(fresh.point_ijk, octree.point_ijk):
        return fresh, density
    values = np.empty(fresh.n_points, np.float32)
    values[fresh.corner_idx] = density[octree.corner_idx]  # corners of the same leaves in the same order
    return fresh, values


# --- parts ------------------------------------------------------------------------------------------------------------


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the header, and where the sections begin."""
    if content[: len(MAGIC)] != MAGIC or len(content) < len(MAGIC) + 8:
        raise ValueError("it does not begin as one")
    version, length = (int(n) for n in np.frombuffer(content, "<u4", 2, len(MAGIC)))
    if version > VERSION:
        raise ValueError(f"it has version {version}, and this nerfviewer reads up to {VERSION}")
    begin = len(MAGIC) + 8
    header = json.loads(_inflated(content[begin : begin + length], _MOST_HEADER))
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    return header, begin + length


def _ordered(kinds: dict[str, np.dtype]) -> tuple[np.dtype, np.dtype]:
    return kinds["density"], kinds["sh"]


def _packed(array: np.ndarray) -> bytes:
    """Return an array deflated, the first bytes of all numbers first, then the second ones."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T
    return zlib.compress(np.ascontiguousarray(planes).tobytes(), _LEVEL_OF_ZLIB)


def _unpacked(data: bytes, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array of `_packed`; ValueError if it has another size."""
    size = int(np.prod(shape)) * kind.itemsize
    raw = _inflated(data, size)
    if len(raw) != size:
        raise ValueError(f"{size:,} bytes were announced and {len(raw):,} came")
    planes = np.frombuffer(raw, np.uint8).reshape(kind.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind.newbyteorder("<")).reshape(shape)


def _inflated(data: bytes, most: int) -> bytes:
    """Return what was deflated, at most so many bytes; ValueError if there are more."""
    engine = zlib.decompressobj()
    raw = engine.decompress(data, int(most) + 1)
    if len(raw) > most or not engine.eof:
        raise ValueError(f"a part is longer than {int(most):,} bytes or has no end")
    return raw


def _octree(added: np.ndarray, level: np.ndarray, finest: int, root_size: float) -> Octree:
    if not 1 <= finest <= MAX_LEVEL:
        raise ValueError(f"its finest level is {finest}")
    path = np.cumsum(added.astype(np.int64)) << (3 * (MAX_LEVEL - finest))
    return Octree.from_leaves(path, level.astype(np.int64), root_size)


def _fitting(codes: np.ndarray, low: int, kinds: tuple[type, ...]) -> np.ndarray:
    """Return whole numbers in the smallest of some types that holds them."""
    most = int(np.abs(codes).max(initial=0))
    kind = next((kind for kind in kinds if np.iinfo(kind).max >= most), kinds[-1])
    return np.clip(codes, low * np.iinfo(kind).max, np.iinfo(kind).max).astype(kind)


def _density_codes(density: np.ndarray, root_size: float, bits: int) -> tuple[np.ndarray, list[float]]:
    """Return the codes, and [lowest, step] of asinh(raw)."""
    cut = _LEAST_RAW - 1.1 * float(np.log(root_size))
    bent = np.arcsinh(np.maximum(density.astype(np.float64), cut))
    low, high = float(bent.min(initial=0.0)), float(bent.max(initial=0.0))
    step = max(high - low, 1e-9) / (2**bits - 1)
    return _fitting(np.rint((bent - low) / step), 0, (np.uint8, np.uint16)), [low, step]


def _density_from(codes: np.ndarray, bend: list[float]) -> np.ndarray:
    low, step = (float(v) for v in bend)
    with np.errstate(all="ignore"):
        density = np.sinh(low + codes * step).astype(np.float32)
    if not np.isfinite(density).all():
        raise ValueError("its densities are no numbers")
    return density


def _colour_codes(sh: np.ndarray, grey_levels: float) -> tuple[np.ndarray, list[float]]:
    """Return codes [3 K,V], and the step of each coefficient."""
    step = grey_levels / 255.0 / SH_C0
    planes = sh.transpose(1, 2, 0).reshape(-1, len(sh))
    codes = np.rint(planes.astype(np.float64) / step)
    return _fitting(codes, -1, (np.int8, np.int16, np.int32)), [step] * sh.shape[1]


def _colours_from(codes: np.ndarray, steps: list[float]) -> np.ndarray:
    scale = np.array(steps, np.float32).reshape(-1, 1, 1)
    if 3 * len(scale) != len(codes) or not np.isfinite(scale).all():
        raise ValueError("the steps of its colours are damaged")
    planes = codes.reshape(len(scale), 3, -1) * scale
    return np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32)
