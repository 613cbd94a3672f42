# SPDX-License-Identifier: MIT
"""The public file: exactly its keys, shapes and dtypes; back as it was; whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from engine.errors import CheckpointError
from engine.methods.plenoxels import npz
from engine.metrics import psnr
from engine.reference.march import march
from engine.voxel_grid import MarchOptions
from tests.methods.plenoxels.stored import ball, picture, public_arrays

MOST_LOST_DB = 0.01  # what rounding colours to 16 bits may cost; 0.0003 dB seen


def test_a_file_has_exactly_the_public_keys_shapes_and_dtypes(tmp_path):
    grid = ball()
    npz.write(tmp_path / "a.npz", grid)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        found = {name: (file[name].dtype.name, file[name].shape) for name in file.files}
    rows = len(grid.density)
    assert found == {
        "radius": ("float32", (3,)),
        "center": ("float32", (3,)),
        "links": ("int32", grid.links.shape),
        "density_data": ("float32", (rows, 1)),
        "sh_data": ("float16", (rows, 27)),
        "basis_type": ("int64", ()),
    }


def test_a_background_adds_its_two_keys_and_comes_back(tmp_path):
    grid = ball(background=True)
    npz.write(tmp_path / "a.npz", grid)
    with np.load(tmp_path / "a.npz") as file:
        assert file["background_links"].dtype == np.int32
        assert file["background_data"].dtype == np.float32
        assert file["background_data"].shape == (8 * 4, 3, 4)
    back = npz.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.background_links, grid.background_links)
    np.testing.assert_allclose(back.background_data, grid.background_data, rtol=1e-6)


def test_a_grid_comes_back_in_the_same_place_with_the_same_densities(tmp_path):
    grid = ball()
    npz.write(tmp_path / "a.npz", grid)
    back = npz.read(tmp_path / "a.npz")
    for name in ("links", "density", "center", "radius"):
        np.testing.assert_array_equal(getattr(back, name), getattr(grid, name))
    np.testing.assert_allclose(back.sh, grid.sh, rtol=2**-11, atol=1e-7)


def test_the_cube_of_a_blender_scene_is_the_files_box_from_minus_one_to_one(tmp_path):
    grid = ball()
    npz.write(tmp_path / "a.npz", grid)
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["radius"], [1.0, 1.0, 1.0])
        np.testing.assert_array_equal(file["density_data"][:, 0], grid.density / 2.0)


def test_a_round_trip_costs_at_most_a_hundredth_of_a_decibel(tmp_path):
    grid = ball()
    npz.write(tmp_path / "a.npz", grid)
    photo = np.clip(picture(grid) + np.random.default_rng(5).normal(0.0, 0.02, (40, 40, 3)), 0.0, 1.0)
    before, after = psnr(picture(grid), photo), psnr(picture(npz.read(tmp_path / "a.npz")), photo)
    assert 30.0 < before < 40.0
    assert abs(before - after) <= MOST_LOST_DB


def test_a_file_of_the_old_kind_is_read(tmp_path):
    arrays = public_arrays()
    data = np.concatenate([arrays["density_data"], arrays["sh_data"].astype(np.float32)], axis=1)
    np.savez(tmp_path / "old.npz", links=arrays["links"], data=data)
    back = npz.read(tmp_path / "old.npz")
    np.testing.assert_array_equal(back.density, 2.0 * arrays["density_data"][:, 0])
    np.testing.assert_array_equal(back.radius, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(back.center, [0.0, 0.0, 0.0])


def test_distances_in_the_links_of_a_file_mean_no_more_than_empty(tmp_path):
    arrays = public_arrays()
    arrays["links"] = np.where(arrays["links"] < 0, -7, arrays["links"])
    np.savez(tmp_path / "a.npz", **arrays)
    grid = npz.grid_of(npz.read(tmp_path / "a.npz"))
    assert set(np.unique(grid.links[grid.links < 0])) == {-1}
    assert grid.sh.shape[1] % 16 == 0
    rays = torch.tensor([[-1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    seen = march(
        grid, torch.from_numpy(grid.density), torch.from_numpy(grid.coefficients), *rays, MarchOptions()
    )
    assert float(seen.log_trans) < -1.0


def _changed(**changes):
    arrays = {**public_arrays(), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


NAN = np.full((public_arrays()["density_data"].shape[0], 1), np.nan, dtype=np.float32)
BAD = {
    "no links": (_changed(links=None), "has no 'links'"),
    "no colours": (_changed(sh_data=None), "has no 'sh_data'"),
    "flat links": (_changed(links=np.zeros((4, 4), np.int32)), "along 3 axes"),
    "fractional links": (_changed(links=np.zeros((4, 4, 4))), "whole numbers"),
    "links to nowhere": (_changed(links=np.full((4, 4, 4), 10**6, np.int32)), "points to row 1,000,000"),
    "too many links": (_changed(links=np.full((1, 1, 5000), -1, np.int32)), "at most 4096 voxels a side"),
    "NaN": (_changed(density_data=NAN), "NaN or infinite"),
    "infinite box": (_changed(radius=np.array([1, np.inf, 1], np.float32)), "NaN or infinite"),
    "box without an inside": (_changed(radius=np.array([1, 0, 1], np.float32)), "above 0"),
    "box of two numbers": (_changed(radius=np.ones(2, np.float32)), "3 numbers"),
    "wrong rows": (_changed(sh_data=np.zeros((3, 27), np.float16)), "colours of"),
    "wrong columns": (_changed(sh_data=np.zeros((len(NAN), 28), np.float16)), "columns"),
    "no voxels": (_changed(density_data=np.zeros((0, 1), np.float32)), "none of them empty"),
    "objects": (_changed(density_data=np.array([[{}]], dtype=object)), "something else than numbers"),
    "texts": (_changed(links=np.array([[["a"]]])), "something else than numbers"),
    "learned colours": (_changed(basis_type=np.int64(4)), "basis type 4"),
    "half a background": (_changed(background_links=np.zeros((8, 4), np.int32)), "background_data"),
    "crooked background": (
        _changed(
            background_links=np.zeros((7, 4), np.int32), background_data=np.zeros((9, 2, 4), np.float32)
        ),
        "a background of links",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, name):
    arrays, said = BAD[name]
    np.savez(tmp_path / "a.npz", **arrays)
    _assert_one_sentence(tmp_path / "a.npz", said)


def _assert_one_sentence(path, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        npz.read(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")


def test_a_negative_size_in_a_header_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **public_arrays())
    stream = io.BytesIO()
    np.save(stream, public_arrays()["links"])
    forged = stream.getvalue().replace(b"(12, 12, 12)", b"(-1, 12, 12)")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("links.npy", forged)
    _assert_one_sentence(tmp_path / "b.npz", "header is damaged")


def test_a_file_that_unpacks_to_more_than_is_free_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", **public_arrays())
    monkeypatch.setattr(npz, "spare_bytes", lambda: 1000)
    _assert_one_sentence(tmp_path / "a.npz", "1,000 are free")


def test_what_is_missing_torn_or_no_archive_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **public_arrays())
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("hello")
    _assert_one_sentence(tmp_path / "torn.npz", "damaged")
    _assert_one_sentence(tmp_path / "text.npz", "no .npz file")
    _assert_one_sentence(tmp_path / "missing.npz", "No such file")


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    npz.write(tmp_path / "a.npz", ball())
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(CheckpointError, match="Cannot write"):
        npz.write(tmp_path / "missing" / "a.npz", ball())
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
