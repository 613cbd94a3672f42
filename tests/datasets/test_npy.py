# SPDX-License-Identifier: MIT
from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from engine.datasets.npy import read_npy, read_npz


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


def test_an_archive_gives_the_wanted_arrays_and_looks_at_no_others(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(6).reshape(2, 3), b=np.ones(2), c=np.array([{}], dtype=object))
    back = read_npz(tmp_path / "a.npz", 10_000, ("a", "b", "missing"))
    assert sorted(back) == ["a", "b"]
    np.testing.assert_array_equal(back["a"], np.arange(6).reshape(2, 3))


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1_000_000))
    assert (tmp_path / "a.npz").stat().st_size < 20_000
    with pytest.raises(ValueError, match="unpacks to 8,000,128 bytes and 1,000,000 are free"):
        read_npz(tmp_path / "a.npz", 1_000_000, ("a",))


def test_an_archive_that_says_it_is_smaller_than_it_is_gives_no_more_than_it_said(tmp_path):
    """A zip bomb with a lie in its table of contents: unpacking stops at the size that was announced and checked."""
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1_000_000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    told = content.rfind(b"PK\x01\x02") + 24
    content[told : told + 4] = struct.pack("<I", 1000)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError):
        read_npz(tmp_path / "a.npz", 100_000, ("a",))


def test_what_is_no_archive_or_a_damaged_one_is_a_value_error(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.random.default_rng(0).random(500))
    whole = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(1)
    for i in range(200):
        torn = bytearray(whole[: int(rng.integers(len(whole)))] if i % 2 else whole)
        for _ in range(int(rng.integers(4))):
            if torn:
                torn[int(rng.integers(len(torn)))] = int(rng.integers(256))
        (tmp_path / "b.npz").write_bytes(torn)
        try:
            read_npz(tmp_path / "b.npz", 100_000, ("a",))
        except ValueError:
            continue


def test_a_member_that_is_there_twice_or_encrypted_is_refused(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.npy", stream.getvalue())
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(ValueError, match="in it twice"):
        read_npz(tmp_path / "a.npz", 10_000, ("a",))
