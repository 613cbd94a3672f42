# SPDX-License-Identifier: MIT
from __future__ import annotations

import io

import numpy as np
import pytest

from engine.datasets.npy import read_npy


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<u2", "|u1", "<i8", "|b1", "<f2"])
@pytest.mark.parametrize("shape", [(3, 17), (4,), (), (0, 5), (2, 3, 4)])
def test_numbers_come_back_as_numpy_wrote_them(tmp_path, dtype, shape):
    array = np.arange(int(np.prod(shape)), dtype="f8").reshape(shape).astype(dtype)
    for order in ("C", "F"):
        np.save(tmp_path / "a.npy", np.asarray(array, order=order))
        back = read_npy(tmp_path / "a.npy", 10_000)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(tmp_path, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.eye(3), version)
    (tmp_path / "a.npy").write_bytes(stream.getvalue())
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", 10_000), np.eye(3))


def test_objects_texts_and_records_are_refused(tmp_path):
    records = np.zeros(2, dtype=[("a", "f4"), ("b", "u1")])
    for array in (np.array([{}], dtype=object), np.array(["a"]), records):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(ValueError, match="something else than numbers"):
            read_npy(tmp_path / "a.npy", 10_000)


def test_no_more_is_read_than_allowed(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(1000))
    with pytest.raises(ValueError, match="more than 8,000 bytes"):
        read_npy(tmp_path / "a.npy", 8000)
