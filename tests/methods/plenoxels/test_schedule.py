# SPDX-License-Identifier: MIT
"""Learning rates, grids and total variation over the steps, against the published table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import OptionError
from engine.methods.plenoxels import PRESETS, PlenoxelsConfig, preset, schedule
from engine.methods.plenoxels.config import in_scene, parse_resolutions, parse_steps
from engine.options import flatten, updated

# The table of published rates: step, densities, colours, spheres' densities, spheres' colours.
PUBLISHED_RATES = [
    (0, 0.30, 0.0100, 3.0, 0.100),
    (5_000, 13.3, 0.0086, 2.61, 0.082),
    (15_000, 20.4, 0.0063, 1.98, 0.055),
    (38_400, 11.2, 0.0031, 1.04, 0.022),
    (102_400, 2.18, 4.4e-4, 0.177, 0.0017),
    (128_000, 1.13, 2.0e-4, 0.087, 6.3e-4),
]
TWO_DIGITS = 0.025  # the table's numbers have two or three digits


@pytest.mark.parametrize("step, density, sh, far_density, far_colour", PUBLISHED_RATES)
def test_rates_are_those_of_the_published_table(
    step: int, density: float, sh: float, far_density: float, far_colour: float
) -> None:
    config = preset("published-tnt")
    rates, far = config.rates, config.spheres
    assert schedule.density_rate(rates, step) == pytest.approx(density, rel=TWO_DIGITS)
    assert schedule.sh_rate(rates, step) == pytest.approx(sh, rel=TWO_DIGITS)
    for start, end, wanted in (
        (far.density, far.density_final, far_density),
        (far.colour, far.colour_final, far_colour),
    ):
        assert schedule.decayed(start, end, step, rates.decay_steps) == pytest.approx(wanted, rel=TWO_DIGITS)


def test_a_rate_ends_where_it_should_and_stays() -> None:
    rates = replace(PlenoxelsConfig().rates, density=8.0, density_final=2.0, decay_steps=100, delay_steps=0)
    assert [schedule.density_rate(rates, step) for step in (0, 50, 100, 900)] == pytest.approx([8, 4, 2, 2])


def test_a_delay_rises_from_its_start_to_one() -> None:
    rates = replace(PlenoxelsConfig().rates, delay_steps=100, delay_start=0.1)
    rise = [schedule.delay(rates, step) for step in (0, 25, 50, 100, 500)]
    assert rise[0] == pytest.approx(0.1) and rise == sorted(rise) and rise[3:] == pytest.approx([1.0, 1.0])
    assert rise[2] == pytest.approx(0.1 + 0.9 * 0.5**0.5)


# Per published preset: finest grid, steps of finer grids, pruning, TV of densities and colours, sparsity, beta.
PUBLISHED = {
    "published-syn": ((512, 512, 512), (38_400,), ("weight", 0.256), (1e-5, 1e-3), (0.0, 0.0)),
    "published-llff": ((1408, 1156, 128), (38_400, 76_800), ("density", 5.0), (5e-4, 5e-3), (1e-12, 0.0)),
    "published-tnt": ((640,) * 3, (25_600, 51_200, 76_800), ("weight", 1.28), (5e-5, 5e-3), (1e-11, 1e-5)),
    "published-custom": ((512,) * 3, (25_600, 51_200), ("weight", 1.28), (5e-3, 5e-3), (1e-11, 1e-5)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_hold_the_published_numbers(name: str) -> None:
    finest, upsample_at, (by, threshold), tv, extra = PUBLISHED[name]
    config = in_scene(preset(name), forward_facing=name == "published-llff")
    assert schedule.resolutions(config)[-1] == finest
    assert parse_steps(config.schedule.upsample_at) == upsample_at
    assert len(schedule.resolutions(config)) == len(upsample_at) + 1
    assert (config.prune.by, getattr(config.prune, by)) == (by, threshold)
    assert schedule.tv_weights(config.losses, 0) == pytest.approx(tv)
    assert (config.losses.sparsity, config.losses.beta) == extra
    assert (config.schedule.rays, config.model.step_size, config.model.stop_trans) == (5_000, 0.5, 1e-7)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_for_a_processor_have_the_published_weights_and_the_usual_grids(name: str) -> None:
    published, quick, usual = preset(name), preset(name.removeprefix("published-")), PlenoxelsConfig()
    forward = name == "published-llff"
    for weights in ("tv_density", "tv_sh", "tv_early_only", "tv_decay", "sparsity", "beta"):
        found = getattr(in_scene(quick, forward).losses, weights)
        assert found == getattr(in_scene(published, forward).losses, weights), weights
    assert (quick.prune.weight, quick.model.near) == (published.prune.weight, published.model.near)
    assert (quick.schedule, quick.rates) == (usual.schedule, usual.rates)


def test_total_variation_of_synthetic_scenes_ends_with_the_first_finer_grid_and_of_captures_is_halved() -> (
    None
):
    synthetic, custom = preset("published-syn").losses, preset("published-custom").losses
    assert schedule.tv_weights(synthetic, 1) == (0.0, 0.0)
    assert schedule.tv_weights(custom, 2) == pytest.approx((5e-3 / 4, 5e-3 / 4))


def test_the_fast_preset_is_the_defaults() -> None:
    assert PRESETS["fast"] == {} and preset("fast") == PlenoxelsConfig()


def test_forward_facing_scenes_have_options_of_their_own() -> None:
    config = PlenoxelsConfig()
    special, usual = flatten(in_scene(config, True)), flatten(in_scene(config, False))
    assert usual == flatten(config)
    assert special["schedule.resolutions"] == config.forward.resolutions
    assert special["losses.tv_density"] == config.forward.tv_density
    assert special["model.sphere"] is False


def test_grids_are_cubes_or_boxes() -> None:
    assert parse_resolutions("64 256x128x32") == ((64, 64, 64), (256, 128, 32))


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"schedule.resolutions": "64 2"}, "schedule.resolutions must be sizes of 4 to 4096"),
        ({"schedule.resolutions": ""}, "schedule.resolutions must name one grid at least"),
        ({"forward.resolutions": "64x64"}, "forward.resolutions must be sizes"),
        ({"schedule.upsample_at": "400 300"}, "schedule.upsample_at must be rising step numbers"),
        ({"prune.steps": "often"}, "prune.steps must be rising step numbers"),
    ],
)
def test_lists_that_make_no_sense_are_refused(values: dict, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        updated(PlenoxelsConfig(), values)
