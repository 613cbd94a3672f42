# SPDX-License-Identifier: MIT
"""`nerfviewer import` prints progress and a report, and ends with the right exit code."""

from __future__ import annotations

import io

import pytest

from app import cli
from app.headless import Console, RunError
from app.importing import import_photos, progress_text
from app.jobs.importing import ImportOutcome, ImportProgress
from engine.errors import UserError
from engine.sfm import colmap
from engine.sfm.options import ImportJob, ImportOptions
from engine.sfm.report import ImportReport

REPORT = ImportReport("scene", 29, 28, 0.93, 4511, ("7.jpg",), (), ("PINHOLE",))
JOB = ImportJob("photos", "scene")


class FakeRun:
    """An import that has ended already, or is interrupted while it is waited for."""

    def __init__(self, outcome: ImportOutcome, interrupted: bool = False) -> None:
        self.progress = ImportProgress("finding features", 4, 29, 61.0)
        self.said = ["The earlier import goes on where it stopped."]
        self.outcome, self._interrupted, self.cancelled = outcome, interrupted, False

    def start(self) -> None: ...

    def cancel(self) -> None:
        self.cancelled = True

    def wait(self, timeout_s: float | None = None) -> bool:
        if self._interrupted and not self.cancelled:
            raise KeyboardInterrupt
        return True


@pytest.fixture
def with_pycolmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pycolmap was installed."""
    monkeypatch.setattr("app.importing.require_pycolmap", lambda: None)


def _printed(run: FakeRun) -> str:
    stream = io.StringIO()
    assert import_photos(JOB, Console(stream), lambda job: run) == 0
    return stream.getvalue()


def test_the_report_is_printed(with_pycolmap):
    text = _printed(FakeRun(ImportOutcome("finished", "", REPORT)))
    assert "The earlier import goes on where it stopped." in text
    assert "28 of 29 photos are placed, mean reprojection error 0.93 px" in text
    assert "Not placed: 7.jpg." in text and "nerfviewer scene" in text


def test_progress_has_the_stage_the_count_and_the_time_left():
    text = progress_text(ImportProgress("finding features", 4, 29, 61.0))
    assert text.startswith("finding features [###---") and text.endswith("4/29  1:01 left")


@pytest.mark.parametrize(("kind", "error"), [("failed", UserError), ("broken", RunError)])
def test_a_failure_raises_its_sentence(with_pycolmap, kind, error):
    with pytest.raises(error, match=r"^Only 2 of 29\.$"):
        import_photos(JOB, Console(io.StringIO()), lambda job: FakeRun(ImportOutcome(kind, "Only 2 of 29.")))


def test_ctrl_c_cancels_and_says_how_to_go_on(with_pycolmap):
    stream = io.StringIO()
    run = FakeRun(ImportOutcome("cancelled", "The import was cancelled. It goes on."), interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        import_photos(JOB, Console(stream), lambda job: run)
    assert run.cancelled and "The import was cancelled. It goes on." in stream.getvalue()


def test_without_pycolmap_one_sentence_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(colmap.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["import", str(tmp_path), "-o", str(tmp_path / "scene")]) == 2
    words = capsys.readouterr().err
    assert "pip install 'nerfviewer[sfm]'" in words and "Traceback" not in words


def test_flags_become_the_job(monkeypatch, tmp_path):
    jobs = []
    monkeypatch.setattr("app.importing.import_photos", lambda job: jobs.append(job) or 0)
    arguments = [
        "import",
        str(tmp_path),
        "-o",
        str(tmp_path / "s"),
        "--quality",
        "high",
        "--frames",
        "80",
        "--threads",
        "3",
    ]
    assert cli.main([*arguments, "--again"]) == 0
    options = ImportOptions(quality="high", frames=80)
    assert jobs == [ImportJob(str(tmp_path), str(tmp_path / "s"), options, 3, again=True)]


def test_every_option_has_help_and_a_legal_default():
    from engine.options import describe

    for info in describe(ImportOptions):
        assert info.help.endswith(".") and len(info.help.split()) >= 3
        assert info.check(info.default) == info.default
