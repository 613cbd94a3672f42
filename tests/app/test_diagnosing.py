# SPDX-License-Identifier: MIT
"""`nerfviewer diagnose` says what goes wrong in a run, in words and as JSON, and by its exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli import main
from engine import runs
from engine.methods import common
from tests import fakes


@pytest.fixture(autouse=True)
def fake_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method called "fake", scenes that need no files, and runs in a folder of the test's own."""
    monkeypatch.setitem(common._METHODS, "fake", ("tests.fakes", "FakeMethod"))
    monkeypatch.setattr("engine.datasets.load_scene", lambda path, *_: fakes.load_fake_scene(path, {}, print))
    monkeypatch.chdir(tmp_path)


def train() -> None:
    assert (
        main(
            ["train", "grey", "--method", "fake", "--max-steps", "30", "--out", "run", "--rates.density", "4"]
        )
        == 0
    )


def test_a_run_without_findings_says_so_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    capsys.readouterr()
    assert main(["diagnose", "run", "--json", "a.json"]) == 0
    assert capsys.readouterr().out == "Nothing goes wrong, as far as the records of this run tell.\n"
    assert json.loads(Path("a.json").read_text()) == {"run": "run", "findings": []}


def test_findings_come_with_evidence_and_a_flag_and_end_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fakes.FakeMethod.train_step
    monkeypatch.setattr(fakes.FakeMethod, "train_step", lambda self: replace(real(self), psnr=float("nan")))
    train()
    said = capsys.readouterr().err
    assert said.count("Training explodes: At step 30 PSNR is not finite. Try --rates.density 0.4.") == 1
    assert main(["diagnose", "run", "--json", "a.json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Training explodes", "  At step 30 PSNR is not finite."]
    assert lines[2] == "  Try --rates.density 0.4: It is far from its default; go back to that."
    (found,) = json.loads(Path("a.json").read_text())["findings"]
    assert (found["id"], found["option"], found["value"], found["flag"]) == (
        "exploding", "rates.density", 0.4, "--rates.density 0.4",
    )  # fmt: skip


def test_options_are_those_that_held_in_the_end() -> None:
    train()
    assert main(["train", "--resume", "run", "--max-steps", "31", "--rates.density", "2"]) == 0
    run = runs.open_run("run")
    assert (run.spec.values["rates.density"], run.values_now()["rates.density"]) == (4.0, 2.0)
    assert run.values_now()["levels"] == 5
    Path("run/config.json").unlink()
    assert run.values_now()["rates.density"] == 4.0, "of a run of an earlier version"


def test_a_run_of_an_earlier_version_is_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    old = {"kind": "training", "seconds": 5.0, "step": 30, "psnr": 20.0, "voxels": 9, "losses": {"mse": 0.1}}
    Path("run/metrics.jsonl").write_text(json.dumps(old) + "\n")
    assert main(["diagnose", "run"]) == 2
    assert "run holds no records to diagnose: it was trained by an earlier version" in capsys.readouterr().err


def test_what_is_no_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "nowhere"]) == 2
    assert "nowhere is not a run folder" in capsys.readouterr().err
