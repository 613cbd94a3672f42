# SPDX-License-Identifier: MIT
"""The window "Export scene" shows sizes and losses, asks the worker for what was chosen, and says what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dearpygui.dearpygui as dpg
import pytest

from app.gui import theme
from app.gui.scene_export_desk import SceneExportDesk
from engine import messages as m
from engine.export.formats import FORMATS

ROWS = (
    m.FormatEstimate("compact", 5_600_000, loss_db=0.001, note="22.3 bytes a voxel."),
    m.FormatEstimate("mesh", problem="A mesh needs trimesh, which is not installed; run: pip install x."),
    m.FormatEstimate("points", 3_000_000, True),
    m.FormatEstimate("voxels", 1_000),
    m.FormatEstimate("cubes", 2_000),
    m.FormatEstimate("webgl", 24_000_000, loss_db=0.74),
)


class Desk:
    """The desk on a bench: what it sent, noted, asked and refused."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[m.Command] = []
        self.noted: list[str] = []
        self.asked: list[tuple[str, Any]] = []
        self.errors: list[tuple[str, Any]] = []
        self.now = 0.0
        scene = SimpleNamespace(method="svraster", name="ball", run_folder=str(folder), key=7)
        session = SimpleNamespace(scene=scene, output_folder=lambda: folder)
        dialogs = SimpleNamespace(
            look=theme.install(1.0),
            escapes=[],
            size=lambda: (1280, 720),
            confirm=lambda question, button, then: self.asked.append((question, then)),
            save=lambda title, folder, name, suffix, then: self.asked.append(((folder, name, suffix), then)),
            error=lambda what, chain: self.errors.append((what, chain)),
        )
        parts: Any = SimpleNamespace(
            session=session, send=self.sent.append, dialogs=dialogs,
            reports=SimpleNamespace(note=self.noted.append, tell=lambda text, **more: self.noted.append(text)),
        )  # fmt: skip
        self.desk = SceneExportDesk(parts, lambda: self.now)
        self.dialog = self.desk.dialog

    def show(self) -> None:
        self.desk.actions()["scene_export.show"](None)
        self.desk.update(0.1)

    def value(self, name: str) -> Any:
        return dpg.get_value(f"scene export/{name}")

    def shown(self, name: str) -> bool:
        return dpg.get_item_configuration(f"scene export/{name}")["show"]

    def press(self, label: str) -> None:
        for item in dpg.get_all_items():
            if dpg.get_item_type(item) == "mvAppItemType::mvButton" and dpg.get_item_label(item) == label:
                assert dpg.is_item_enabled(item), label
                dpg.get_item_callback(item)()
                return
        raise AssertionError(label)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    dpg.create_context()
    yield Desk(tmp_path)
    dpg.destroy_context()


def test_opening_it_asks_for_sizes_once_and_shows_them(desk: Desk) -> None:
    desk.show()
    desk.desk.update(0.1)
    assert desk.sent == [m.EstimateExport({})]
    desk.desk.on_event(m.ExportEstimated(ROWS, 7, 1234))
    assert "step 1,234" in desk.value("what")
    assert [desk.value(f"{one.id} size") for one in FORMATS] == [
        "5.6 MB", "–", "~ 3.0 MB", "1.0 kB", "2.0 kB", "24.0 MB",
    ]  # fmt: skip
    assert (desk.value("compact loss"), desk.value("webgl loss")) == ("none", "0.74 dB")
    assert desk.value("note") == "22.3 bytes a voxel."


def test_sizes_of_another_model_are_not_shown(desk: Desk) -> None:
    desk.show()
    desk.desk.on_event(m.ExportEstimated(ROWS, 8, 1234))
    assert desk.value("compact size") == "..."


def test_a_format_that_cannot_be_written_says_why_and_its_button_rests(desk: Desk) -> None:
    desk.show()
    desk.desk.on_event(m.ExportEstimated(ROWS, 7, 1))
    desk.dialog.choose("mesh")
    assert "not installed" in desk.value("note")
    assert not dpg.is_item_enabled("scene export/go")
    desk.dialog.choose("voxels")
    assert dpg.is_item_enabled("scene export/go")


def test_options_go_with_the_command_and_sizes_are_measured_anew_when_they_settle(desk: Desk) -> None:
    desk.show()
    desk.dialog.choose("mesh")
    form = desk.dialog._form
    assert (
        "mesh.resolution" in form.items
        and "fusion.views" in form.items
        and "points.resolution" not in form.items
    )
    dpg.set_value(form.items["mesh.resolution"], 128)
    form.take("mesh.resolution")
    assert desk.value("mesh size") == "..."
    desk.desk.update(0.1)
    assert len(desk.sent) == 1  # not yet
    desk.now = 5.0
    desk.desk.update(0.1)
    assert desk.sent[-1] == m.EstimateExport({"mesh.resolution": 128})
    desk.press("Export")
    assert isinstance(desk.sent[-1], m.ExportScene) and desk.sent[-1].options == {"mesh.resolution": 128}


def test_an_export_goes_to_the_worker_shows_its_progress_and_its_end(desk: Desk, tmp_path: Path) -> None:
    desk.show()
    assert desk.value("file") == str(tmp_path / "ball.voxels")
    desk.press("Export")
    command = desk.sent[-1]
    assert (command.format, command.path) == ("compact", str(tmp_path / "ball.voxels"))
    assert desk.shown("doing") and not desk.shown("asking")
    desk.desk.on_event(m.SceneExportProgress(command.job_id, "drawing views", 3, 12))
    assert desk.value("bar") == pytest.approx(0.25)
    desk.press("Cancel")
    assert desk.sent[-1] == m.CancelJob(command.job_id)
    desk.desk.on_event(m.SceneExported(command.job_id, "finished", "9 voxels", command.path, 1_000_000))
    assert desk.shown("asking") and desk.value("done") == f"Wrote {command.path}: 9 voxels, 1.0 MB."
    assert desk.noted == ["Scene written: ball.voxels"]


def test_a_failure_is_told_also_when_the_window_is_closed(desk: Desk) -> None:
    desk.show()
    desk.press("Export")
    job = desk.sent[-1].job_id
    desk.press("Close") if desk.shown("asking") else desk.dialog.close()
    desk.desk.on_event(m.SceneExportProgress(job, "drawing views", 1, 2))
    assert "drawing views" in desk.noted[-1]
    desk.desk.on_event(m.SceneExported(job, "failed", "The disk is full."))
    assert desk.errors == [("The scene could not be exported", ("The disk is full.",))]
    desk.show()
    assert desk.shown("asking")


def test_a_file_that_is_there_is_replaced_only_if_that_is_wished(desk: Desk, tmp_path: Path) -> None:
    desk.show()
    (tmp_path / "a.voxels").write_text("")
    dpg.set_value("scene export/file", str(tmp_path / "a"))
    desk.press("Export")
    question, then = desk.asked[-1]
    assert "a.voxels exists already" in question and isinstance(desk.sent[-1], m.EstimateExport)
    then()
    assert desk.sent[-1].path == str(tmp_path / "a.voxels")


def test_a_wrong_name_is_refused_in_the_window(desk: Desk, tmp_path: Path) -> None:
    desk.show()
    dpg.set_value("scene export/file", str(tmp_path / "a.stl"))
    desk.press("Export")
    assert "must end in .voxels" in desk.value("done")
    dpg.set_value("scene export/file", "")
    desk.press("Export")
    assert desk.value("done") == "Name the file to write."
    assert all(isinstance(command, m.EstimateExport) for command in desk.sent)


def test_another_suffix_and_browsing_change_the_file(desk: Desk, tmp_path: Path) -> None:
    desk.show()
    desk.dialog.choose("mesh")
    dpg.set_value("scene export/suffix", ".obj")
    dpg.get_item_callback("scene export/suffix")()
    assert desk.value("file") == str(tmp_path / "ball.obj")
    desk.press("Browse")
    (folder, name, suffix), then = desk.asked[-1]
    assert (folder, name, suffix) == (str(tmp_path), "ball", ".obj")
    then("/else/where.obj")
    assert desk.value("file") == "/else/where.obj"


def test_escape_closes_it_once(desk: Desk) -> None:
    (escape,) = desk.desk._parts.dialogs.escapes
    desk.show()
    assert escape() and not desk.dialog.shown
    assert not escape()


def test_nothing_happens_without_a_scene(desk: Desk) -> None:
    desk.desk._parts.session.scene = None
    desk.show()
    assert not desk.dialog.shown and desk.sent == []
