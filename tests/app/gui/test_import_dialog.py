# SPDX-License-Identifier: MIT
"""The import window asks, starts what was asked for, shows how far it is, and opens the scene or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dearpygui.dearpygui as dpg
import pytest
from PIL import Image

from app.gui import import_dialog, theme
from app.gui.import_dialog import ImportDialog, scene_folder
from app.jobs.importing import ImportOutcome, ImportProgress
from engine.errors import UserError
from engine.sfm.options import ImportJob, ImportOptions
from engine.sfm.report import ImportReport


class FakeRun:
    """An import that goes as far as the test says."""

    def __init__(self, job: ImportJob) -> None:
        self.job, self.progress, self.outcome = job, None, None
        self.said: list[str] = []
        self.started = self.cancelled = False

    def start(self) -> None:
        self.started = True

    def cancel(self) -> None:
        self.cancelled = True
        self.outcome = ImportOutcome("cancelled", "The import was cancelled.")

    def wait(self, timeout_s: float | None = None) -> bool:
        return True


class Bench:
    """The dialog, the imports it started, what it opened and said."""

    def __init__(self) -> None:
        self.runs: list[FakeRun] = []
        self.opened: list[str] = []
        self.said: list[str] = []
        self.dialog = ImportDialog(
            theme.install(1.0), lambda: (1200, 800), self.opened.append, self.said.append, self._make
        )

    def _make(self, job: ImportJob) -> FakeRun:
        self.runs.append(FakeRun(job))
        return self.runs[-1]

    def texts(self) -> list[str]:
        """Everything that can be read on the screen."""
        found = []
        for item in dpg.get_all_items():
            if dpg.get_item_type(item) == "mvAppItemType::mvText":
                found.append(dpg.get_value(item))
            found.append(dpg.get_item_label(item) or "")
        return found

    def press(self, label: str) -> None:
        """Press a button by its label, if it is enabled."""
        for item in dpg.get_all_items():
            is_button = dpg.get_item_type(item) == "mvAppItemType::mvButton"
            if is_button and dpg.get_item_label(item) == label and dpg.is_item_enabled(item):
                dpg.get_item_callback(item)()
                return
        raise AssertionError(f"no button {label!r} can be pressed")

    def begin(self, source: Path) -> FakeRun:
        """Ask about a source and press Import."""
        self.dialog.ask(str(source))
        self.press("Import")
        return self.runs[-1]

    def end(self, outcome: ImportOutcome) -> None:
        self.runs[-1].outcome = outcome
        self.dialog.refresh()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A dialog in a Dear PyGui context without a window."""
    monkeypatch.setattr(import_dialog, "require_pycolmap", lambda: None)
    dpg.create_context()
    yield Bench()
    dpg.destroy_context()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four photos."""
    folder = tmp_path / "walk"
    folder.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 6)).save(folder / f"{i}.png")
    return folder


def _report(scene: Path, unplaced: tuple[str, ...] = ()) -> ImportOutcome:
    report = ImportReport(str(scene), 4, 4 - len(unplaced), 0.9, 99, unplaced, (), ())
    return ImportOutcome("finished", " ".join(report.lines()), report)


def test_the_form_says_what_the_source_is_and_proposes_a_folder_beside_it(bench, photos):
    bench.dialog.ask(str(photos))
    assert bench.dialog.blocking and not bench.dialog.running
    assert any("4 photos" in text for text in bench.texts())
    assert dpg.get_value("import/scene") == str(photos.with_name("walk-scene"))


def test_what_was_chosen_becomes_the_job(bench, photos):
    bench.dialog.ask(str(photos))
    dpg.set_value("import/quality", "High, slow")
    dpg.set_value("import/camera", "All photos share one")
    bench.press("Import")
    job = bench.runs[0].job
    assert (job.source, job.scene) == (str(photos), str(photos.with_name("walk-scene")))
    assert job.options == ImportOptions(quality="high", camera="shared")
    assert bench.runs[0].started and bench.dialog.running and not bench.dialog.blocking


def test_progress_is_shown_with_its_remaining_time(bench, photos):
    run = bench.begin(photos)
    run.progress = ImportProgress("comparing photos", 40, 160, 65.0)
    run.said.append("The earlier import goes on where it stopped.")
    assert bench.dialog.refresh() and not bench.dialog.refresh()
    assert {"Comparing photos", "40 of 160, 1 min 05 s left"} <= set(bench.texts())
    assert bench.said == ["The earlier import goes on where it stopped."]


def test_a_finished_import_opens_its_scene_and_closes(bench, photos):
    run = bench.begin(photos)
    bench.end(_report(Path(run.job.scene)))
    assert bench.opened == [run.job.scene]
    assert "4 of 4 photos are placed" in bench.said[-1]
    assert not any("Importing" in text for text in bench.texts())


def test_photos_that_were_not_placed_are_named_beside_the_opened_scene(bench, photos):
    run = bench.begin(photos)
    bench.end(_report(Path(run.job.scene), ("3.png",)))
    assert bench.opened == [run.job.scene] and "Not placed: 3.png." in bench.texts()


def test_a_failure_shows_its_reason_and_lets_one_try_again(bench, photos):
    bench.begin(photos)
    bench.end(ImportOutcome("failed", "Only 2 of 29 photos could be placed: no overlap."))
    assert "Only 2 of 29 photos could be placed: no overlap." in bench.texts() and bench.opened == []
    bench.press("Try again")
    assert dpg.get_value("import/source") == str(photos)


def test_stop_cancels_and_closes(bench, photos):
    run = bench.begin(photos)
    bench.press("Stop")
    bench.dialog.refresh()
    assert run.cancelled and not any("Importing" in text for text in bench.texts())


def test_only_one_import_runs_at_a_time(bench, photos):
    bench.begin(photos)
    bench.dialog.ask(str(photos))
    assert len(bench.runs) == 1 and bench.dialog.running


def test_leaving_the_window_ends_the_import(bench, photos):
    run = bench.begin(photos)
    bench.dialog.stop()
    assert run.cancelled


def test_what_is_no_source_cannot_be_imported(bench, tmp_path):
    bench.dialog.ask(str(tmp_path / "nothing"))
    with pytest.raises(AssertionError, match="no button 'Import'"):
        bench.press("Import")


def test_without_pycolmap_the_form_says_how_to_get_it(bench, photos, monkeypatch):
    def missing() -> None:
        raise UserError("Install it with: pip install 'nerfviewer[sfm]'")

    monkeypatch.setattr(import_dialog, "require_pycolmap", missing)
    bench.dialog.ask(str(photos))
    assert "Install it with: pip install 'nerfviewer[sfm]'" in bench.texts()
    with pytest.raises(AssertionError, match="no button 'Import'"):
        bench.press("Import")


def test_an_earlier_import_of_the_same_photos_is_continued_and_others_are_not_touched(tmp_path, photos):
    scene = tmp_path / "walk-scene"
    scene.mkdir()
    assert scene_folder(photos) == tmp_path / "walk-scene-2"
    (scene / "import_state.json").write_text(f'{{"source": "{photos.as_posix()}", "finished": {{}}}}')
    assert scene_folder(photos) == scene
