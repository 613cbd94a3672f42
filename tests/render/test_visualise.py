# SPDX-License-Identifier: MIT
"""Every view mode on buffers whose right picture is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import OptionError
from engine.methods.common import VALUE_MODES, VIEW_MODES, Buffers
from engine.render.colour_maps import COLOUR_MAPS, colour_table
from engine.render.visualise import DARK, picture, resized_photo, wanted_buffers

H, W = 6, 10


def buffers() -> Buffers:
    """Left half empty, right half opaque; every scalar grows downwards."""
    trans = np.ones((H, W), np.float32)
    trans[:, W // 2 :] = 0.0
    down = np.broadcast_to(np.arange(H, dtype=np.float32)[:, None], (H, W)).copy()
    there = trans == 0.0
    normal = np.zeros((H, W, 3), np.float32)
    normal[there] = [0.0, 0.0, 1.0]
    return Buffers(
        rgb=np.broadcast_to(np.float32([0.25, 0.5, 1.5]), (H, W, 3)).copy(),
        trans=trans,
        depth_z=np.where(there, 1.0 + down, 0.0).astype(np.float32),
        normal=normal,
        count=np.where(there, 3 * down, 0).astype(np.int32),
        level=np.where(there, 4.0 + 0.5 * down, 0.0).astype(np.float32),
        size=np.where(there, 2.0 ** -(4.0 + down), 0.0).astype(np.float32),
        soft=np.broadcast_to(np.float32([0.5, 0.5, 0.25]), (H, W, 3)).copy(),
        node=np.broadcast_to(np.float32([0.75, 0.5, 0.25]), (H, W, 3)).copy(),
    )


@pytest.mark.parametrize("mode", VIEW_MODES)
def test_each_mode_gives_an_opaque_picture_of_the_buffers_size(mode: str) -> None:
    rgba, legend = picture(buffers(), mode, "turbo", photo=np.zeros((H, W, 3), np.float32))
    assert rgba.shape == (H, W, 4) and rgba.dtype == np.uint8
    assert (rgba[..., 3] == 255).all()
    if legend is not None:
        low, high, unit = legend
        assert low < high and unit


@pytest.mark.parametrize("mode", VIEW_MODES)
def test_the_wanted_buffers_are_enough_and_each_is_needed(mode: str) -> None:
    full, wanted = buffers(), wanted_buffers(mode)
    optional = ("depth_z", "depth_median", "normal", "count", "level", "size", "soft", "node")
    least = replace(full, **{name: None for name in optional if name not in wanted})
    expected, _ = picture(full, mode, "magma")
    assert np.array_equal(picture(least, mode, "magma")[0], expected)
    for name in wanted - {"node"}:
        with pytest.raises(ValueError, match=name):
            picture(replace(full, **{name: None}), mode, "magma")


def test_a_method_without_nodes_shows_colours_in_their_place() -> None:
    without = replace(buffers(), node=None)
    assert np.array_equal(picture(without, "node", "magma")[0], picture(without, "colour", "magma")[0])
    assert not np.array_equal(picture(buffers(), "node", "magma")[0], picture(without, "node", "magma")[0])


@pytest.mark.parametrize("mode", VALUE_MODES)
def test_a_number_of_voxels_has_a_legend_and_its_lowest_and_highest_colour(mode: str) -> None:
    value = np.where(buffers().trans < 0.5, np.geomspace(1e-3, 1e2, H)[:, None], 0.0).astype(np.float32)
    rgba, (low, high, unit) = picture(replace(buffers(), value=value), mode, "viridis")
    assert 1e-3 <= low < 0.1 and 20.0 < high <= 100.0 and unit
    table = colour_table("viridis")
    assert rgba[0, -1, :3].tolist() == table[0].tolist() and rgba[-1, -1, :3].tolist() == table[255].tolist()
    assert ("log" in unit) == (mode != "age")
    middle = int(np.argmin(np.abs(table.astype(int) - rgba[H // 2, -1, :3]).sum(axis=1)))
    assert (90 < middle < 170) == (mode != "age"), "factors are equally far apart on a log scale"


def test_a_number_that_nobody_knows_shows_colours_in_its_place() -> None:
    rgba, legend = picture(buffers(), "priority", "viridis")
    assert np.array_equal(rgba, picture(buffers(), "colour", "viridis")[0]) and legend is None


def test_a_priority_of_zero_everywhere_is_still_a_picture() -> None:
    rgba, legend = picture(replace(buffers(), value=np.zeros((H, W), np.float32)), "priority", "viridis")
    assert rgba.shape == (H, W, 4) and legend[0] < legend[1]


def test_colour_is_clamped_and_rounded_to_eight_bits() -> None:
    rgba, legend = picture(buffers(), "colour", "turbo")
    assert rgba[0, 0].tolist() == [64, 128, 255, 255]
    assert legend is None


def test_nan_and_infinity_do_not_break_a_picture() -> None:
    broken = buffers()
    broken.rgb[0, 0] = [np.nan, -np.inf, np.inf]
    broken.depth_z[0, -1] = np.nan  # type: ignore[index]
    broken.depth_z[1, -1] = np.inf  # type: ignore[index]
    assert picture(broken, "colour", "turbo")[0][0, 0].tolist() == [0, 0, 255, 255]
    rgba, legend = picture(broken, "depth", "grey")
    assert np.isfinite(legend[:2]).all()  # type: ignore[index]
    assert rgba[0, -1, 0] == 0 and rgba[1, -1, 0] == 255


def test_depth_runs_from_the_near_colour_to_the_far_one_over_a_dark_background() -> None:
    rgba, legend = picture(buffers(), "depth", "viridis")
    table = colour_table("viridis")
    assert rgba[0, -1, :3].tolist() == table[0].tolist()
    assert rgba[-1, -1, :3].tolist() == table[255].tolist()
    assert rgba[2, 0, :3].tolist() == list(DARK)
    assert 1.0 <= legend[0] <= 1.3 and 5.7 <= legend[1] <= 6.0  # type: ignore[index]


def test_a_few_stray_pixels_do_not_set_the_depth_range() -> None:
    far = Buffers(np.zeros((100, 100, 3), np.float32), np.zeros((100, 100), np.float32))
    depth = np.linspace(1.0, 2.0, 10_000, dtype=np.float32).reshape(100, 100)
    depth[50, :20] = 1000.0
    _, legend = picture(replace(far, depth_z=depth), "depth", "turbo")
    assert legend[1] < 2.1  # type: ignore[index]


def test_normals_show_half_plus_half_and_nothing_where_there_is_none() -> None:
    rgba, legend = picture(buffers(), "normal", "turbo")
    assert rgba[0, -1, :3].tolist() == [128, 128, 255]
    assert rgba[0, 0, :3].tolist() == list(DARK)
    assert legend is None


def test_alpha_is_black_where_empty_and_white_where_opaque_in_grey() -> None:
    rgba, legend = picture(buffers(), "alpha", "grey")
    assert rgba[0, 0, 0] == 0 and rgba[0, -1, 0] == 255
    assert legend == (0.0, 1.0, "opacity")


def test_error_is_the_mean_absolute_difference_after_clamping() -> None:
    seen = buffers()
    photo = np.clip(seen.rgb, 0.0, 1.0)
    photo[0, 0] -= [0.09, 0.03, 0.0]
    photo[1] += [0.1, 0.1, 0.0]
    rgba, legend = picture(seen, "error", "grey", photo=photo)
    assert legend == (0.0, 0.1, "mean error")
    assert rgba[0, 0, 0] == round(255 * 0.04 / 0.1)
    assert rgba[3, 3, 0] == 0


def test_error_takes_an_eight_bit_photo_of_another_size() -> None:
    seen = buffers()
    photo = np.round(255 * np.clip(seen.rgb, 0.0, 1.0)).astype(np.uint8).repeat(3, axis=0).repeat(2, axis=1)
    rgba, legend = picture(seen, "error", "grey", photo=photo)
    assert rgba[..., 0].max() <= 26  # 8-bit rounding is 1/510 of the least range, 0.02
    assert legend[1] == 0.02  # type: ignore[index]


def test_error_without_a_photo_shows_the_colours_and_no_legend() -> None:
    rgba, legend = picture(buffers(), "error", "turbo")
    assert legend is None
    assert np.array_equal(rgba, picture(buffers(), "colour", "turbo")[0])


def test_levels_span_whole_numbers_and_respect_the_finest_level() -> None:
    _, legend = picture(buffers(), "level", "turbo", max_level=16)
    assert legend == (4.0, 7.0, "level")
    _, legend = picture(buffers(), "level", "turbo", max_level=6)
    assert legend == (4.0, 6.0, "level")


def test_sizes_are_coloured_by_their_logarithm() -> None:
    rgba, legend = picture(buffers(), "size", "grey")
    steps = np.diff(rgba[1:-1, -1, 0].astype(int))
    assert (steps < 0).all() and np.ptp(steps) <= 1  # halving the size is one equal step of grey
    assert legend[0] < 2.0**-8 and legend[1] > 2.0**-5  # type: ignore[index]


def test_samples_count_up_to_a_round_number() -> None:
    rgba, legend = picture(buffers(), "samples", "grey")
    assert legend == (0.0, 20.0, "voxels per pixel")
    assert rgba[-1, -1, 0] == round(255 * 15 / 20) and rgba[0, 0, 0] == 0


def test_an_empty_view_has_a_picture_in_every_mode() -> None:
    zeros = np.zeros((H, W), np.float32)
    nothing = Buffers(
        np.ones((H, W, 3), np.float32),
        zeros + 1,
        depth_z=zeros,
        normal=np.zeros((H, W, 3), np.float32),
        count=zeros.astype(np.int32),
        level=zeros,
        size=zeros,
    )
    for mode in ("depth", "normal", "level", "size"):
        rgba, _ = picture(nothing, mode, "turbo")
        assert (rgba[..., :3] == DARK).all()
    assert (picture(nothing, "samples", "grey")[0][..., :3] == 0).all()


def test_resizing_a_photo_keeps_its_mean_and_blocks_average_exactly() -> None:
    photo = np.random.default_rng(0).random((12, 20, 3), dtype=np.float32)
    halves = photo.reshape(6, 2, 10, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized_photo(photo, 6, 10), halves, atol=1e-6)
    for size in ((5, 7), (30, 50), (1, 1)):
        np.testing.assert_allclose(resized_photo(photo, *size).mean((0, 1)), photo.mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_colour_tables_have_256_entries_and_no_jumps(name: str) -> None:
    table = colour_table(name)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    assert np.abs(np.diff(table.astype(int), axis=0)).max() <= 8


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma", "grey"])
def test_sequential_maps_get_brighter_all_the_way(name: str) -> None:
    brightness = colour_table(name) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) > -0.5).all() and brightness[-1] > 200 > 40 > brightness[0]


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="turbo, viridis"):
        picture(buffers(), "depth", "jet")
    with pytest.raises(OptionError, match="colour, depth"):
        wanted_buffers("x-ray")
