# SPDX-License-Identifier: MIT
"""What an import has finished, kept in the scene folder, so that a second run goes on where the first one stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import whole_file
from engine.options import flatten
from engine.sfm.options import ImportJob

STATE_FILE, REPORT_FILE = "import_state.json", "import_report.json"
FORMAT_VERSION = 1
OURS = (
    ".import",
    "images",
    "sparse",
    STATE_FILE,
    REPORT_FILE,
)  # all that an import writes into a scene folder


class ImportState:
    """The finished stages of one import and the seconds each took. `resumed`: an earlier run finished some;
    `replaced`: an earlier import with other options was thrown away."""

    def __init__(self, folder: Path, identity: dict[str, Any], finished: dict[str, float]) -> None:
        self.folder, self._identity, self._finished = folder, identity, finished
        self.resumed = bool(finished)
        self.replaced = False
        self.work = folder / ".import"

    @property
    def seconds(self) -> dict[str, float]:
        """What each finished stage took, in the run that finished it."""
        return dict(self._finished)

    def has(self, stage: str) -> bool:
        """Whether a stage is finished."""
        return stage in self._finished

    def finish(self, stage: str, seconds: float) -> None:
        """Remember that a stage is finished."""
        self._finished[stage] = round(seconds, 2)
        self.save()

    def save(self) -> None:
        """Write the state, whole or not at all."""
        data = {"format_version": FORMAT_VERSION, **self._identity, "finished": self._finished}
        write_json(self.folder / STATE_FILE, data)


def open_state(job: ImportJob) -> ImportState:
    """Return the state of an import in its scene folder, which is made, continued, or emptied of an earlier import.

    A folder with anything else in it is refused: nothing that an import did not write is ever touched.
    """
    folder = Path(job.scene)
    identity = {"source": job.source, "options": flatten(job.options)}
    _refuse_what_is_not_ours(folder)
    earlier = _earlier(folder)
    if earlier and not job.again:
        if earlier.get("source") != job.source:
            raise UserError(
                f"{folder} holds an import of {earlier.get('source')}, not of {job.source}. "
                "Choose another folder, or add --again to throw that import away."
            )
        if earlier.get("options") == identity["options"] and earlier.get("format_version") == FORMAT_VERSION:
            finished = earlier.get("finished")
            return _begun(ImportState(folder, identity, finished if isinstance(finished, dict) else {}))
    if earlier and not job.again and (folder / REPORT_FILE).is_file():
        raise UserError(
            f"{folder} holds a finished import with other options. Choose another folder with -o, "
            "or add --again to throw that import away."
        )
    for name in OURS if earlier is not None else ():
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    state = ImportState(folder, identity, {})
    state.replaced = earlier is not None
    return _begun(state)


def source_of(folder: Path) -> str | None:
    """Return what a folder holds an import of, finished or not; None where it holds no import."""
    earlier = _earlier(folder)
    source = earlier.get("source") if earlier else None
    return source if isinstance(source, str) else None


def write_json(path: Path, data: Any) -> None:
    """Write plain data into a file that is whole or not there."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _begun(state: ImportState) -> ImportState:
    state.work.mkdir(parents=True, exist_ok=True)
    state.save()
    return state


def _refuse_what_is_not_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"Cannot import into {folder}: it is a file. Choose a new folder with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STATE_FILE).is_file():
        raise UserError(f"Cannot import into {folder}: it holds other files. Choose a new folder with -o.")


def _earlier(folder: Path) -> dict[str, Any] | None:
    """Return what an earlier import left in its state file; an unreadable one counts as nothing finished."""
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
