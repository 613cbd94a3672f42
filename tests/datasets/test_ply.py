# SPDX-License-Identifier: MIT
"""Points from .ply files: each format against numbers written here, and the faults of files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from engine.datasets.ply import read_ply
from engine.errors import SceneError

POINTS = [(1.0, 2.0, 3.0, 10, 20, 30), (-1.5, 0.25, 1e6, 255, 0, 128)]
FIELDS = "property float x\nproperty double y\nproperty float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"


def _write(path: Path, form: str, head: str, body: bytes) -> Path:
    path.write_bytes(f"ply\nformat {form} 1.0\ncomment made by hand\n{head}end_header\n".encode() + body)
    return path


def _ascii(path: Path, head: str, body: str) -> Path:
    return _write(path, "ascii", head, body.encode())


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_positions_and_colours_are_read_in_every_format(tmp_path, form):
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(form)
    before = "element camera 1\nproperty float near\nproperty short kind\n"
    if order:
        body = struct.pack(f"{order}fh", 0.5, 3) + b"".join(struct.pack(f"{order}fdfBBB", *p) for p in POINTS)
    else:
        body = b"0.5 3\n" + "".join(" ".join(str(v) for v in p) + "\n" for p in POINTS).encode()
    after = "element face 0\nproperty list uchar int vertex_indices\n"
    path = _write(tmp_path / "a.ply", form, f"{before}element vertex 2\n{FIELDS}{after}", body)
    points, n_bad = read_ply(path)
    np.testing.assert_allclose(points.xyz, [p[:3] for p in POINTS])
    assert points.rgb.tolist() == [list(p[3:]) for p in POINTS] and points.rgb.dtype == np.uint8
    assert (n_bad, len(points), points.seen_start.tolist(), len(points.seen_by)) == (0, 2, [0, 0, 0], 0)


XYZ = "property float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("kind", "values", "rgb"),
    [
        ("float", "0 0.5 1", [0, 128, 255]),
        ("ushort", "0 32896 65535", [0, 128, 255]),
        ("uchar", "0 128 300", [0, 128, 255]),
    ],
)
def test_colours_of_every_type_become_bytes(tmp_path, kind, values, rgb):
    head = f"element vertex 1\n{XYZ}" + "".join(
        f"property {kind} {name}\n" for name in ("red", "green", "blue")
    )
    points, _ = read_ply(_ascii(tmp_path / "a.ply", head, f"0 0 0 {values}\n"))
    assert points.rgb.tolist() == [rgb]


def test_points_without_colour_are_grey_and_those_without_a_place_are_left_out(tmp_path):
    path = _ascii(tmp_path / "a.ply", f"element vertex 4\n{XYZ}", "1 2 3\nnan 0 0\n\n0 inf 0\n0 0 1e20\n")
    points, n_bad = read_ply(path)
    assert (points.xyz.tolist(), points.rgb.tolist(), n_bad) == ([[1, 2, 3]], [[128, 128, 128]], 3)


@pytest.mark.parametrize(
    ("head", "body", "what"),
    [
        (f"element vertex 3\n{XYZ}", "1 2 3\n4 5 6\n", "it announces 3 points and has 2"),
        (f"element vertex 99999999999\n{XYZ}", "1 2 3\n", "its 99,999,999,999 points are more than its"),
        (f"element vertex 1\n{XYZ}", "1 2\n", "point 1 has 2 numbers, not 3"),
        (f"element vertex 1\n{XYZ}", "1 2 x\n", "point 1 has something else than numbers"),
        (
            "element vertex 1\nproperty float x\nproperty float x\n",
            "1 2\n",
            "its vertices have no x, y and z but x, x",
        ),
        (
            "element vertex 1\nproperty list uchar int x\n",
            "1 2\n",
            "its element 'vertex' has lists or types that are not known",
        ),
        (f"element face 1\n{XYZ}", "1 2 3\n", "it has no element vertex"),
        ("element vertex -1\n", "", "the line 'element vertex -1' of its header is not understood"),
        ("property float x\n", "", "the line 'property float x' of its header is not understood"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, head, body, what):
    with pytest.raises(SceneError) as caught:
        read_ply(_ascii(tmp_path / "a.ply", head, body))
    message = str(caught.value)
    assert message.startswith(
        f"Cannot read {tmp_path / 'a.ply'}: a .ply file of points was wanted, and {what}"
    )
    assert message.endswith("; export it again as points with x, y and z.")


def test_binary_points_that_do_not_fit_the_file_are_refused_before_memory_is_asked_for(tmp_path):
    path = _write(tmp_path / "a.ply", "binary_little_endian", f"element vertex 4000000000\n{XYZ}", b"\0" * 12)
    with pytest.raises(SceneError, match="its 4,000,000,000 points need 48,000,000,000 bytes and 12 follow"):
        read_ply(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "does not begin with the word ply"),
        (b"ply\nformat ascii 1.0\n", "its header has no end"),
        (b"ply\nend_header\n", "names no format"),
        (b"ply\nformat utf8 1.0\nend_header\n", "the line 'format utf8 1.0' of its header"),
    ],
)
def test_a_bad_header_is_refused(tmp_path, content, what):
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(SceneError, match=what):
        read_ply(tmp_path / "a.ply")
    with pytest.raises(SceneError, match="cannot be opened"):
        read_ply(tmp_path / "b.ply")
