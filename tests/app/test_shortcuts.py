# SPDX-License-Identifier: MIT
"""Keys can be changed, swapped and put back, and no key ever runs two commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app import commands, shortcuts

RESET, TRAIN, HELP = (commands.find(name) for name in ("reset", "toggle_training", "help"))
ALL = commands.COMMANDS


@pytest.fixture(autouse=True)
def own_keys() -> Iterator[None]:
    shortcuts.use({})
    yield
    shortcuts.use({})


def test_the_registry_decides_until_somebody_changes_a_key():
    assert shortcuts.chord_of(RESET) == RESET.shortcut and commands.by_shortcut("T") is TRAIN
    shortcuts.use({"reset": "F9"})
    assert shortcuts.chord_of(RESET) == "F9" and commands.by_shortcut("F9") is RESET
    assert commands.by_shortcut(RESET.shortcut) is None
    assert commands.tooltip(RESET).endswith("(F9)")


def test_a_command_may_have_no_key_at_all():
    shortcuts.use({"reset": ""})
    assert shortcuts.chord_of(RESET) == "" and commands.tooltip(RESET) == RESET.help
    assert commands.by_shortcut("") is None


def test_a_key_that_a_person_gave_away_beats_one_that_a_later_version_gives():
    shortcuts.use({"reset": "T"})  # as if "T" had become the default of another command since
    assert commands.by_shortcut("T") is RESET


def test_a_taken_chord_is_swapped():
    assert shortcuts.conflict(RESET, "T", ALL) is TRAIN and shortcuts.conflict(TRAIN, "T", ALL) is None
    changed = shortcuts.assigned({}, RESET, "T", ALL)
    assert changed == {"reset": "T", "toggle_training": RESET.shortcut}


def test_going_back_and_forth_leaves_nothing_behind():
    there = shortcuts.assigned({}, RESET, "T", ALL)
    assert shortcuts.assigned(there, RESET, RESET.shortcut, ALL) == {}


def test_a_command_gets_its_own_keys_back_from_whoever_has_them():
    swapped = shortcuts.assigned({}, RESET, "T", ALL)
    assert shortcuts.freed(swapped, TRAIN, ALL) == {"reset": ""}
    assert shortcuts.freed({"help": "F9"}, HELP, ALL) == {}


@pytest.mark.parametrize("command", ALL[::9], ids=lambda command: command.id)
def test_no_chord_ever_belongs_to_two_commands(command):
    changed: dict[str, str] = {}
    for chord in ("T", "Ctrl+S", "F9", "", "T"):
        changed = shortcuts.assigned(changed, command, chord, ALL)
        shortcuts.use(changed)
        held = [shortcuts.chord_of(c) for c in ALL if shortcuts.chord_of(c)]
        assert len(set(held)) == len(held) and shortcuts.chord_of(command) == chord


@pytest.mark.parametrize("chord", ["W", "Shift+E", "Meta+X", "Ctrl+", "Enter", "Ctrl+Alt+T"])
def test_keys_to_fly_with_and_nonsense_are_refused_in_a_sentence(chord):
    assert shortcuts.refusal(chord).endswith(".") and chord in shortcuts.refusal(chord)


@pytest.mark.parametrize("command", [c for c in ALL if c.shortcut], ids=lambda command: command.id)
def test_every_default_could_be_chosen_by_hand(command):
    assert shortcuts.valid(command.shortcut) and shortcuts.refusal(command.shortcut) is None
