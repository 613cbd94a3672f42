# SPDX-License-Identifier: MIT
"""Settings are where looking begins, and only those that changed change anything."""

from __future__ import annotations

from pathlib import Path

from app.gui.effects import on_view
from app.session import Session
from app.settings import SAFE_MAP, Settings
from engine.options import updated


def test_a_changed_setting_is_seen_and_the_others_leave_the_view_alone():
    session = Session()
    session.view.colour_map = "magma"
    after = updated(Settings(), {"viewport.fly_speed": 2.0, "viewport.background": "white"})
    on_view(session, Settings(), after)
    assert (session.view.fly_speed, session.view.background) == (2.0, (1.0, 1.0, 1.0))
    assert session.view.colour_map == "magma"
    session.view.fly_speed = 3.0
    on_view(session, after, after)
    assert session.view.fly_speed == 3.0


def test_safe_colours_bring_a_safe_map_and_take_it_away_again():
    session, plain = Session(), Settings()
    safe = updated(plain, {"appearance.safe_colours": True})
    on_view(session, plain, safe)
    assert session.view.colour_map == SAFE_MAP
    on_view(session, safe, plain)
    assert session.view.colour_map == plain.viewport.colour_map


def test_the_method_of_the_settings_opens_the_next_scene():
    session = Session()
    on_view(session, Settings(), updated(Settings(), {"training.method": "plenoxels"}))
    assert session.method == "plenoxels"


def test_results_go_where_the_settings_say():
    session = Session(settings=updated(Settings(), {"output.folder": "~/films"}))
    assert session.output_folder() == Path.home() / "films"
    assert Session().output_folder() == Path(".")
