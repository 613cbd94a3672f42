# SPDX-License-Identifier: MIT
"""What was opened lately: what each scene was, how far it was trained, whether it is still there. One file, no widgets."""

from __future__ import annotations

import datetime
import json
import logging
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from app import kept
from engine.datasets.recognise import BUILT_IN
from engine.methods.common import method_names, method_title

log = logging.getLogger(__name__)

VERSION = 1
MOST = 24  # remembered; the start page shows those of the layout's list


@dataclass(frozen=True)
class Recent:
    """One scene. `run` is where it was trained last, "" if it never was; `opened_at` in seconds of the system's clock."""

    path: str
    opened_at: float = 0.0
    name: str = ""
    run: str = ""
    method: str = ""
    step: int = 0
    psnr: float | None = None

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name or (self.path if self.path in BUILT_IN else Path(self.path).name) or self.path

    @property
    def trained(self) -> bool:
        """Whether there is a run to go on with."""
        return self.step > 0 and bool(self.run) and (Path(self.run) / "run.json").is_file()

    @property
    def gone(self) -> str:
        """Why it cannot be opened, a sentence; "" if it can be."""
        if self.path in BUILT_IN or Path(self.path).exists():
            return ""
        return "This folder is gone; it was moved, renamed or deleted, or its disk is not connected."

    def state(self) -> str:
        """Return how far it was trained: "SVRaster, step 5,000, 31.2 dB"."""
        if self.step <= 0:
            return "not trained yet"
        title = method_title(self.method) if self.method in method_names() else self.method
        quality = "" if self.psnr is None else f", {self.psnr:.1f} dB"
        return f"{title}, step {self.step:,}{quality}"


def when(moment: float, now: datetime.datetime) -> str:
    """Return a time of the past as people say it: "today 14:03", "yesterday", "3 Oct", "3 Oct 2024"; "" for none."""
    if moment <= 0.0:
        return ""
    then = datetime.datetime.fromtimestamp(moment)
    days = (now.date() - then.date()).days
    if days <= 0:
        return f"today {then:%H:%M}"
    if days == 1:
        return "yesterday"
    day = f"{then.day} {then:%b}"
    return day if then.year == now.year else f"{day} {then.year}"


class RecentList:
    """The scenes by their paths, kept in a file."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or kept.config_folder() / "recent.json"
        self._known = {one.path: one for one in _read(self._file)}

    def of(self, paths: tuple[str, ...]) -> list[Recent]:
        """Return what is known of some paths, in their order."""
        return [self._known.get(path) or Recent(path) for path in paths]

    def note(self, path: str, **facts: Any) -> None:
        """Remember facts of a scene, by the names of `Recent`'s fields; what is not said stays."""
        before = self._known.get(path) or Recent(path)
        after = replace(before, **facts)
        if after == before:
            return
        self._known[path] = after
        newest = sorted(self._known.values(), key=lambda one: one.opened_at, reverse=True)[:MOST]
        self._known = {one.path: one for one in newest}
        self._write()

    def forget(self, path: str) -> None:
        """Remove a scene from the list; its files stay."""
        if self._known.pop(path, None) is not None:
            self._write()

    def _write(self) -> None:
        records = [asdict(one) for one in self._known.values()]
        kept.write_json({"version": VERSION, "scenes": records}, self._file, "recent scenes")


def _read(file: Path) -> list[Recent]:
    """Return what a file holds; a file that does not serve costs a line in the log."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']} instead of {VERSION}")
        return [_checked(record) for record in data["scenes"][:MOST]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("recent scenes ignored file=%s reason=%s", file, error)
        return []


def _checked(record: dict[str, Any]) -> Recent:
    names = {item.name for item in fields(Recent)}
    one = Recent(**{name: value for name, value in record.items() if name in names})
    texts = (one.path, one.name, one.run, one.method)
    numbers = (one.opened_at, one.step, 0.0 if one.psnr is None else one.psnr)
    if not all(isinstance(text, str) for text in texts) or not all(math.isfinite(n) for n in numbers):
        raise ValueError(f"{record!r:.80} is no scene")
    return one
