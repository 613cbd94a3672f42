# SPDX-License-Identifier: MIT
"""`nerfviewer diagnose`: what goes wrong in a run, from what its folder says of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.headless_train import write_json
from engine import runs
from engine.diagnosis import diagnose, watched
from engine.errors import UserError
from engine.findings import Finding
from engine.methods.common import method_class
from engine.options import describe


def findings_of(run: runs.RunFolder) -> list[Finding]:
    """Return what goes wrong in a run."""
    records = run.metrics()
    if not watched(records):
        raise UserError(
            f"{run.path} holds no records to diagnose: it was trained by an earlier version, or for less than a second. "
            "Continue it with --resume for a moment, then ask again."
        )
    defaults = {info.name: info.default for info in describe(method_class(run.spec.method).Config)}
    return diagnose(records, {**defaults, **run.values_now()}, defaults)


def report_of(run: runs.RunFolder, found: list[Finding]) -> dict[str, Any]:
    """Return findings as `--json` writes them."""
    return {"run": str(run.path), "findings": [{**asdict(one), "flag": one.flag} for one in found]}


def diagnose_run(path: Path, json_file: Path | None) -> int:
    """Print what goes wrong in a run; return the exit code, 0: nothing, 1: something."""
    run = runs.open_run(path)
    found = findings_of(run)
    for one in found:
        print(f"{one.title}\n  {one.evidence}\n  Try {one.flag}: {one.advice}")
    if not found:
        print("Nothing goes wrong, as far as the records of this run tell.")
    if json_file is not None:
        write_json(json_file, json.loads(json.dumps(report_of(run, found))))
    return 1 if found else 0
