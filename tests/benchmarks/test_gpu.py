# SPDX-License-Identifier: MIT
"""The GPU benchmark's plumbing holds on a machine without a GPU: every section runs and the JSON has every target."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from tests.cuda import host

SECTIONS = "ops,bandwidth,training,march,present"


def test_a_dry_run_fills_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if host.compiler() is None:
        pytest.skip("needs g++ to run kernels on the CPU (Debian, Ubuntu: apt-get install g++)")
    report = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--dry", "--only", SECTIONS, "--json", str(report)])
    gpu.main()
    result = json.loads(report.read_text(encoding="utf-8"))
    assert result["dry"] and set(result["seconds"]) == set(SECTIONS.split(","))
    assert set(result["targets"]) == set(gpu.TARGETS)
    assert result["training"]["pairs"] > 0 and result["training"]["step_ms"] > 0.0
    assert all(error < 1e-4 for way in result["ops"].values() for error in way.values())
    assert all(error < 1e-4 for error in result["march"]["errors"].values())
    assert result["march"]["step_ms"] > 0.0
    assert result["present"] == {"skipped": "needs a card"}


def test_a_section_that_fails_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(bench: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(gpu.sections, "ops", broken)
    report = tmp_path / "report.json"
    arguments = ["gpu.py", "--dry", "--only", "ops,bandwidth", "--json", str(report)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        gpu.main()
    assert caught.value.code == 1
    result = json.loads(report.read_text(encoding="utf-8"))
    assert result["ops"] == {"failed": "RuntimeError: no memory"} and result["bandwidth"]["gb_per_s"] > 0


def test_without_a_card_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="no CUDA device here; --dry checks the plumbing"):
        gpu.main()
