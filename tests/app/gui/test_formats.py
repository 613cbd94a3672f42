# SPDX-License-Identifier: MIT
"""Numbers with their units, at the edges where the unit changes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from app.gui import formats
from engine.methods.common import AdaptReport


def test_thousands_are_set_apart():
    assert formats.count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (61_234_000, "61.2 MB"),
        (999_700, "1.0 MB"),
        (8e11, "800 GB"),
    ],
)
def test_memory_has_a_unit_that_keeps_it_short(n_bytes, text):
    assert formats.size(n_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (11220, "3 h 07 min"),
        (None, "–"),
    ],
)
def test_time_spans_change_their_unit(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(41.2, "41 it/s"), (2.34, "2.3 it/s"), (0.25, "4.0 s/it"), (0.0, "–")]
)
def test_slow_steps_are_told_in_seconds_each(rate, text):
    assert formats.rate(rate) == text


def test_what_is_not_a_number_shows_a_dash():
    assert formats.decibels(math.nan) == formats.duration(math.inf) == formats.rate(math.nan) == formats.NONE


def test_a_change_of_structure_is_told_in_a_line():
    report = AdaptReport(100, 2000, 1200, 300, 3000)
    assert formats.structure_change(report) == "1,200 voxels dropped, 300 split, 3,000 now"
    full = replace(report, reason="The budget is full.")
    assert formats.structure_change(full).endswith("now (The budget is full)")


def test_a_range_of_colours_names_a_short_unit_only():
    assert formats.legend_range((0.25, 1700.0, "m")) == "0.25 to 1,700 m"
    assert formats.legend_range((0.3237, 0.9592, "greatest weight, log scale")) == "0.3237 to 0.9592"
