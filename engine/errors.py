# SPDX-License-Identifier: MIT
"""The exceptions that reach a person: one sentence each, saying who, what was wanted, what came, what to do."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something the user can mend. `str(error)` is a whole sentence that names the file or option and the remedy."""


class SceneError(UserError):
    """A scene folder or file that cannot be used."""


class OptionError(UserError):
    """An option with an unknown name or a value outside its range."""


class CheckpointError(UserError):
    """A run folder or checkpoint that cannot be read."""


class RunInUseError(CheckpointError):
    """A run that another process trains: two that write one run would spoil it."""

    def __init__(self, run: Path, holder: str) -> None:
        super().__init__(
            f"{run} is trained by {holder}, and two that write one run would spoil it. Follow it, or end the other one."
        )
        self.run = run


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A picture was given up half-way because something newer is wanted; nothing is wrong."""


def cause_chain(error: BaseException) -> list[str]:
    """Return the messages of an exception and of everything it was raised from, outermost first."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 8:
        text = str(current) or type(current).__name__
        chain.append(text if isinstance(current, UserError) else f"{type(current).__name__}: {text}")
        current = current.__cause__ or current.__context__
    return chain
