# SPDX-License-Identifier: MIT
"""The palette finds what is meant."""

from __future__ import annotations

import pytest

from app import commands
from app.command_search import Entry, match, rank, score

ENTRIES = [Entry(c.id, c.label, c.menu, c.help, c.shortcut) for c in commands.COMMANDS]


def first(query: str, **options: object) -> str:
    return rank(query, ENTRIES, **options)[0].key


@pytest.mark.parametrize(
    ("query", "command"),
    [
        ("prune", "prune_now"),
        ("prnow", "prune_now"),
        ("opsc", "open_scene"),
        ("open demo", "open_demo"),
        ("demo open", "open_demo"),
        ("depth", "mode_depth"),
        ("scren", "screenshot"),
        ("Screenshot", "screenshot"),
        ("light", "light_theme"),
        ("wire", "toggle_wireframe"),
        ("checkpoint", "save_checkpoint"),
    ],
)
def test_letters_in_order_find_the_command_that_is_meant(query, command):
    assert first(query) == command


def test_letters_that_are_not_there_or_in_another_order_find_nothing():
    assert rank("qqqq", ENTRIES) == [] and match("ba", "abc") == 0.0


def test_every_word_must_be_answered():
    assert score("open zebra", Entry("a", "Open scene", "File", "Open a folder.")) == 0.0


def test_a_label_counts_more_than_a_help_text_and_a_start_more_than_a_middle():
    label, text = Entry("a", "Prune now", "X"), Entry("b", "Other", "X", "Prune things.")
    assert score("prune", label) > score("prune", text) > 0.0
    assert match("dep", "Depth view") > match("dep", "Independent")


def test_an_exact_start_is_worth_one_and_no_text_more():
    assert match("depth", "Depth view") == pytest.approx(1.0)
    assert all(0.0 <= match("view", entry.label) <= 1.0 for entry in ENTRIES)


def test_without_a_query_recent_ones_lead_and_the_rest_keeps_its_order():
    shown = [entry.key for entry in rank("", ENTRIES, recent=("quit", "settings"), limit=1000)]
    assert shown[:2] == ["quit", "settings"]
    assert shown[2:] == [entry.key for entry in ENTRIES if entry.key not in ("quit", "settings")]


def test_among_equals_the_recent_one_leads():
    twins = [Entry("one", "Same label", "X"), Entry("two", "Same label", "X")]
    assert rank("same", twins)[0].key == "one" and rank("same", twins, recent=("two",))[0].key == "two"


def test_what_cannot_run_now_comes_after_its_equal_that_can():
    twins = [Entry("no", "Same label", "X", reason="Open a scene first."), Entry("yes", "Same label", "X")]
    assert [entry.key for entry in rank("same", twins)] == ["yes", "no"]
