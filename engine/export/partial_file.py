# SPDX-License-Identifier: MIT
"""A file that grows under a hidden name beside its place."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from pathlib import Path

from engine import files
from engine.errors import UserError


class PartialFile(ABC):
    """A file that is written beside its place under a hidden name, and gets its name when complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
        self.written = 0

    @abstractmethod
    def finish(self) -> None:
        """Close the file and give it its name."""

    @abstractmethod
    def discard(self) -> None:
        """Delete the partial file."""

    def stop(self) -> bool:
        """End the file with the pictures so far, under another name if one is there already; return whether there are any."""
        if not self.written:
            self.discard()
            return False
        self.step_aside()
        self.finish()
        return True

    def publish(self) -> None:
        """Give the file its name."""
        files.replace(self.partial, self.path)

    def step_aside(self) -> None:
        """Take another name where a file has this one: what was cut short must not replace what is whole."""
        wanted, n = self.path, 1
        while self.path.exists():
            self.path = wanted.with_name(f"{wanted.stem}-partial{'' if n == 1 else f'-{n}'}{wanted.suffix}")
            n += 1

    def refuse_nothing(self) -> None:
        """Raise where nothing was written."""
        if not self.written:
            raise UserError(f"Nothing was written to {self.path}: no picture came.")
