# SPDX-License-Identifier: MIT
"""The doctor always finishes its report, names remedies, and says by its exit code whether the app can run."""

from __future__ import annotations

import ctypes

import pytest

from app import doctor
from app.doctor import MISSING, NOTE, OK, Finding


def _statuses(check) -> dict[str, Finding]:
    return {finding.what: finding for finding in check()}


def test_the_report_covers_every_check_and_exits_with_zero_here(capsys):
    assert doctor.main() == 0
    text = capsys.readouterr().out
    for subject in (
        "Python",
        "torch",
        "Processor",
        "Threads",
        "Memory",
        "Compiled kernels",
        "Runs",
        "ffmpeg",
        "CUDA device",
    ):
        assert subject in text


def test_everything_that_is_missing_has_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    monkeypatch.setattr(doctor, "_loadable", lambda name: False)
    missing = [finding for finding in doctor.findings() if finding.status == MISSING]
    assert len(missing) >= len(doctor.REQUIRED)
    assert [finding for finding in missing if not finding.remedy] == []


def test_a_missing_required_package_fails_and_a_missing_window_does_not(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (("Packages", doctor.check_packages),))
    have = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "numba" else have(package))
    assert doctor.main() == 1
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "dearpygui" else have(package))
    assert doctor.main() == 0
    assert "in the terminal" in capsys.readouterr().out


def test_a_check_that_breaks_is_reported_and_the_rest_goes_on(monkeypatch, capsys):
    def broken():
        raise OSError("no such thing on this machine")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (("Memory", broken), ("Python", doctor.check_python)))
    assert doctor.main() == 0
    text = capsys.readouterr().out
    assert "no such thing on this machine" in text
    assert text.index("no such thing") < text.index("Python")


def test_a_library_that_does_not_load_names_the_package(monkeypatch):
    def refuse(name):
        raise OSError(name)

    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/apt-get")
    found = _statuses(doctor.check_window)
    assert found["libGL"].status == MISSING
    assert "sudo apt-get install libgl1" in found["libGL"].remedy


def test_no_display_is_a_note_that_names_the_terminal(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert _statuses(doctor.check_window)["Display"].status == NOTE
    monkeypatch.setenv("DISPLAY", ":7")
    assert _statuses(doctor.check_window)["Display"] == Finding("Display", OK, ":7")


@pytest.mark.parametrize(("value", "status"), [("3", OK), ("0", MISSING), ("many", MISSING)])
def test_the_number_of_threads_is_checked(monkeypatch, value, status):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    assert _statuses(doctor.check_processor)["Threads"].status == status


def test_a_cache_that_cannot_be_written_is_noted_with_the_remedy(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked / "cache"))
    finding = _statuses(doctor.check_folders)["Compiled kernels"]
    assert finding.status == NOTE
    assert "NUMBA_CACHE_DIR" in finding.remedy


def test_looking_at_folders_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    assert _statuses(doctor.check_folders)["Runs"].status == OK
    assert list(tmp_path.iterdir()) == []
