# SPDX-License-Identifier: MIT
"""Settings come back as they were set, and a broken file costs a line in the log."""

from __future__ import annotations

import json

import pytest

from app import settings
from app.settings import Settings
from engine.options import describe, updated

CHANGED = {
    "appearance.theme": "light",
    "viewport.frame_rate": 30,
    "output.folder": "/films",
    "gamepad.enabled": False,
}


def test_settings_and_keys_come_back_as_they_were_saved(tmp_path):
    path = tmp_path / "deep" / "settings.json"
    wanted = updated(Settings(), CHANGED)
    assert settings.save(wanted, {"reset": "Ctrl+K"}, path)
    assert settings.load(path) == (wanted, {"reset": "Ctrl+K"})
    assert json.loads(path.read_text())["settings"] == CHANGED, "only what differs from the defaults is kept"


def test_without_a_file_all_is_as_at_the_first_start(tmp_path, caplog):
    assert settings.load(tmp_path / "none.json") == (Settings(), {})
    assert not caplog.text


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"version": 99}', '{"version": 1, "settings": 3}', "null"])
def test_a_broken_file_is_ignored_with_a_line_in_the_log(tmp_path, caplog, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    assert settings.load(path) == (Settings(), {})
    assert str(path) in caplog.text


def test_one_bad_value_does_not_cost_the_others(tmp_path, caplog):
    path = tmp_path / "settings.json"
    values = {
        "appearance.theme": "pink",
        "no.such": 1,
        "viewport.fly_speed": 2.0,
        "viewport.frame_rate": float("nan"),
    }
    path.write_text(json.dumps({"version": 1, "settings": values, "keys": {"reset": "Meta+9", "help": "F2"}}))
    assert settings.load(path) == (updated(Settings(), {"viewport.fly_speed": 2.0}), {"help": "F2"})
    assert caplog.text.count(str(path)) == 4


def test_a_disk_that_cannot_be_written_costs_a_line_in_the_log(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert not settings.save(Settings(), {}, tmp_path / "file" / "settings.json")
    assert "settings not saved" in caplog.text


@pytest.mark.parametrize("info", list(describe(Settings)), ids=lambda info: info.name)
def test_every_setting_says_what_it_does_and_has_a_page(info):
    assert info.help.endswith(".") and len(info.help.split()) >= 3
    assert info.name.split(".")[0] in settings.titles()
    assert info.check(info.default) == info.default
    if info.type in (int, float):
        assert info.minimum is not None and info.maximum is not None, "its slider has two ends"
