# SPDX-License-Identifier: MIT
"""The options panel is made from declarations alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.options import OptionsPanel, declared_options
from engine.messages import Failed, OptionsChanged, SetOptions
from engine.options import describe, flatten, option


@dataclass(frozen=True)
class Rates:
    sh0: float = option(0.04, "Learning rate.", minimum=0.0, maximum=1.0, unit="per step", live=True)
    degree: int = option(2, "Degree of the colours.", minimum=0, maximum=3)


@dataclass(frozen=True)
class Config:
    name: str = option("box", "A name.", live=True)
    kind: str = option("mse", "A choice.", choices=("mse", "l1"), live=True)
    quick: bool = option(True, "A switch.", live=True)
    rates: Rates = field(default_factory=Rates)


@pytest.fixture
def form(bench, lego):
    bench.build(OptionsPanel(lambda method: describe(Config)))
    bench.event(replace(lego, values=flatten(Config())))
    return bench


def test_every_declared_option_has_a_control_with_its_value(form):
    assert not form.shown("empty")
    for name, value in flatten(Config()).items():
        assert (
            form.text(name) == pytest.approx(value) if isinstance(value, float) else form.text(name) == value
        )


def test_a_tooltip_tells_help_range_unit_and_default(form):
    assert form.tip("rates.sh0").splitlines() == [
        "Learning rate.", "From 0 to 1 per step.", "Default 0.04. Name: rates.sh0",
    ]  # fmt: skip
    assert dpg.get_value(form.tag("rates.sh0-label")) == "SH0 (per step)"


def test_an_option_that_is_not_live_says_when_it_takes_effect(form):
    assert form.tip("rates.degree").startswith("Fixed once the model is made")
    assert "Apply with reset" in form.tip("rates.degree") and "--rates.degree" in form.tip("rates.degree")
    assert "reset" not in form.tip("rates.sh0")


def test_an_option_that_is_not_live_is_staged_and_marked(form):
    form.edit("rates.degree", 3)
    form.refresh()
    assert form.sent == [] and form.session.staged == {"rates.degree": 3}
    assert form.text("rates.degree") == 3 and form.shown("rates.degree-staged")
    assert form.text("rates.degree-staged") == "at next reset"
    assert form.tip("rates.degree-staged").startswith("In force now: 2.")
    form.edit("rates.degree", 2)  # back to what is in force
    form.refresh()
    assert form.session.staged == {} and not form.shown("rates.degree-staged")


def test_staged_options_are_applied_by_the_command_that_asks_first(form):
    assert form.shown("staging") and not form.config("reset_with_options", "enabled")
    assert form.tip("reset_with_options").startswith("No option waits for a reset")
    form.edit("rates.degree", 3)
    form.refresh()
    assert form.config("reset_with_options", "enabled")
    form.press("reset_with_options")
    assert form.ran == ["reset_with_options"] and form.session.staged == {"rates.degree": 3}
    form.event(OptionsChanged({**flatten(Config()), "rates.degree": 3}))  # the reset was done
    assert form.session.staged == {} and not form.shown("rates.degree-staged")
    assert form.text("rates.degree") == 3 and not form.config("reset_with_options", "enabled")


def test_discarding_shows_the_values_in_force_again(form):
    assert not form.config("discard", "enabled")
    form.edit("rates.degree", 3)
    form.refresh()
    assert form.config("discard", "enabled")
    form.press("discard")
    form.refresh()
    assert form.session.staged == {} and form.text("rates.degree") == 2 and form.sent == []


def test_what_cannot_be_is_not_staged(form):
    form.edit("rates.degree", 4)
    form.refresh()
    assert form.session.staged == {} and form.text("rates.degree") == 2
    assert form.text("refused") == "Option rates.degree must be at most 3, got 4."


def test_a_reset_that_failed_leaves_the_options_staged(form):
    form.edit("rates.degree", 3)
    form.event(Failed("The model could not be reset", ("no",)))
    assert form.session.staged == {"rates.degree": 3} and form.text("rates.degree") == 3


def test_another_scene_forgets_what_was_staged(form, lego):
    form.edit("rates.degree", 3)
    form.event(replace(lego, values=flatten(Config())))
    assert form.session.staged == {} and form.text("rates.degree") == 2


def test_an_edit_goes_to_the_worker(form):
    form.edit("rates.sh0", 0.5)
    form.press("kind", "l1")
    form.press("quick", False)
    expected = [{"rates.sh0": 0.5}, {"kind": "l1"}, {"quick": False}]
    assert form.sent == [SetOptions(values) for values in expected]


def test_a_wrong_value_is_refused_in_words_and_undone(form):
    form.edit("rates.sh0", 7.0)
    assert form.sent == [] and form.shown("refused")
    assert form.text("refused") == "Option rates.sh0 must be at most 1, got 7."
    form.refresh()
    assert form.text("rates.sh0") == pytest.approx(0.04)
    form.edit("rates.sh0", 0.5)
    assert not form.shown("refused")


def test_values_follow_the_worker(form):
    form.event(OptionsChanged({**flatten(Config()), "rates.sh0": 0.25}))
    assert form.text("rates.sh0") == pytest.approx(0.25)
    dpg.set_value(form.tag("rates.sh0"), 0.9)
    form.event(Failed("The options could not be changed", ("no",)))
    assert form.text("rates.sh0") == pytest.approx(0.25)


def test_the_form_of_svraster_has_all_its_options(bench, lego):
    infos = declared_options("svraster")
    bench.build(OptionsPanel()).event(replace(lego, values={info.name: info.default for info in infos}))
    assert len(infos) > 10
    assert all(dpg.does_item_exist(bench.tag(info.name)) for info in infos)
