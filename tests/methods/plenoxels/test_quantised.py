# SPDX-License-Identifier: MIT
"""The small file: what it costs in quality, how small it is, and what it says of bad ones."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import CheckpointError, OptionError
from engine.methods.plenoxels import npz, quantised
from engine.metrics import psnr
from tests.methods.plenoxels.stored import ball, picture

# What quantising costs a picture that differs from its photo as trained ones do, 30 to 40 dB: seen 0.0003 and 0.0012 dB.
MOST_LOST_DB = {8: 0.02, 16: 0.01}


@pytest.mark.parametrize("bits", [8, 16])
def test_quantising_costs_little_quality_and_much_less_space(tmp_path, bits):
    grid = ball()
    quantised.write(tmp_path / "a.plenoxels", grid, bits)
    npz.write(tmp_path / "a.npz", grid)
    back = quantised.read(tmp_path / "a.plenoxels")
    photo = np.clip(picture(grid) + np.random.default_rng(5).normal(0.0, 0.02, (40, 40, 3)), 0.0, 1.0)
    lost = psnr(picture(grid), photo) - psnr(picture(back), photo)
    assert lost <= MOST_LOST_DB[bits]
    assert psnr(picture(back), picture(grid)) > 55.0
    assert (tmp_path / "a.plenoxels").stat().st_size < 0.55 * (tmp_path / "a.npz").stat().st_size


def test_sixteen_bits_keep_densities_a_hundred_times_better_than_eight(tmp_path):
    grid = ball()
    error = {}
    for bits in (8, 16):
        quantised.write(tmp_path / "a.plenoxels", grid, bits)
        back = quantised.read(tmp_path / "a.plenoxels").density
        error[bits] = np.abs(back / grid.density - 1.0)[np.abs(grid.density) > 10.0].max()
    assert error[8] < 0.05
    assert error[16] < error[8] / 100.0


def test_the_voxels_the_box_and_the_background_come_back(tmp_path):
    grid = ball(background=True)
    quantised.write(tmp_path / "a.plenoxels", grid)
    back = quantised.read(tmp_path / "a.plenoxels")
    np.testing.assert_array_equal(back.links >= 0, grid.links >= 0)
    np.testing.assert_array_equal(back.center, grid.center)
    np.testing.assert_array_equal(back.radius, grid.radius)
    np.testing.assert_array_equal(back.background_links, grid.background_links)
    np.testing.assert_allclose(back.background_data, grid.background_data, atol=1e-3)


def test_rows_in_any_order_are_the_same_grid(tmp_path):
    grid = ball()
    order = np.random.default_rng(0).permutation(len(grid.density))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    mixed = npz.StoredGrid(
        np.where(grid.links >= 0, place[grid.links], -1).astype(np.int32), grid.density[order], grid.sh[order],
        grid.center, grid.radius,
    )  # fmt: skip
    quantised.write(tmp_path / "a.plenoxels", grid)
    quantised.write(tmp_path / "b.plenoxels", mixed)
    first, second = (quantised.read(tmp_path / f"{name}.plenoxels") for name in "ab")
    np.testing.assert_array_equal(first.density, second.density)
    np.testing.assert_array_equal(first.sh, second.sh)


def _written(path):
    quantised.write(path, ball(12))
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


BAD = {
    "format_version": (np.int64(99), "format 99"),
    "resolution": (np.array([12, 12, -12]), "resolution must be 3 numbers"),
    "occupied": (np.zeros(3, np.uint8), "one bit for each"),
    "density": (np.zeros(3, np.uint8), "densities in 8 or 16 bits"),
    "density_range": (np.array([np.nan, 1.0, 1.0]), "NaN or infinite"),
    "sh": (np.zeros((27, 3), np.uint8), "colours of"),
    "radius": (np.zeros(3), "above 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, name):
    arrays = _written(tmp_path / "a.plenoxels")
    arrays[name], said = BAD[name]
    npz.write_arrays(tmp_path / "a.plenoxels", arrays, compress=True)
    with pytest.raises(CheckpointError, match=said) as caught:
        quantised.read(tmp_path / "a.plenoxels")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*BAD, "sh_range", "center"])
def test_a_file_without_one_of_its_parts_is_refused(tmp_path, name):
    arrays = _written(tmp_path / "a.plenoxels")
    del arrays[name]
    npz.write_arrays(tmp_path / "a.plenoxels", arrays, compress=True)
    with pytest.raises(CheckpointError, match=f"no '{name}'"):
        quantised.read(tmp_path / "a.plenoxels")


def test_densities_come_in_8_or_16_bits_only(tmp_path):
    with pytest.raises(OptionError, match="8 or 16 bits, got 12"):
        quantised.write(tmp_path / "a.plenoxels", ball(12), 12)
