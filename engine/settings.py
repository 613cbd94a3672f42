# SPDX-License-Identifier: MIT
"""Settings of the libraries: dataclasses of named values with defaults, checked whenever one is set.

A class that inherits from `Settings` is decorated with `@dataclass(init=False)`; it may be changed after it is made.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import math
from dataclasses import field
from typing import Any

from engine.errors import OptionError


class Settings:
    """Named values with defaults, checked whenever one is set. Raises OptionError in one sentence."""

    def __init__(self, **values: Any) -> None:
        known = {f.name: f for f in dataclasses.fields(self)}
        for name, f in known.items():
            self.__dict__[name] = f.default if f.default is not dataclasses.MISSING else f.default_factory()
        for name, value in values.items():
            if name not in known and not isinstance(getattr(type(self), name, None), property):
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise OptionError(f"{type(self).__name__} has no {name}.{hint}")
            object.__setattr__(self, name, value)
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        before = dict(self.__dict__)
        object.__setattr__(self, name, value)
        try:
            self.check()
        except OptionError:
            self.__dict__.update(before)
            raise

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        for f in dataclasses.fields(self):
            low, high = f.metadata.get("range", (None, None))
            value = self.__dict__[f.name]
            if low is None or (value is None and f.default is None):
                continue
            whole = isinstance(f.default, int) and not isinstance(f.default, bool)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "a whole number" if whole else "a number"
                raise OptionError(f"{type(self).__name__}.{f.name} must be {kind}, got {value!r}.")
            if not low <= value <= high:
                between = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise OptionError(f"{type(self).__name__}.{f.name} must be {between}, got {value!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Return every value, JSON-able."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Any:
        """Return settings from what `to_dict` gave; what is missing keeps its default."""
        return cls(**values)

    def copy(self) -> Any:
        """Return an independent copy."""
        return copy.deepcopy(self)


def between(default: float | None, low: float, high: float = math.inf) -> Any:
    """Return a field whose number must lie in [low, high]; whole where its default is."""
    return field(default=default, metadata={"range": (low, high)})


def choice(owner: Settings, name: str, choices: tuple[str, ...]) -> None:
    """Raise OptionError unless a value is one of `choices`."""
    value = getattr(owner, name)
    if value not in choices:
        raise OptionError(
            f"{type(owner).__name__}.{name} must be one of {', '.join(choices)}, got {value!r}."
        )


def flags(owner: Settings, *names: str) -> None:
    """Raise OptionError unless these are True or False."""
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, bool):
            raise OptionError(f"{type(owner).__name__}.{name} must be True or False, got {value!r}.")


def triple(owner: Settings, name: str, one_will_do: bool = False) -> None:
    """Bring a value into a tuple of three floats, or raise OptionError."""
    value = getattr(owner, name)
    values = (value,) * 3 if one_will_do and isinstance(value, int | float) else value
    try:
        floats = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        floats = ()
    if len(floats) != 3 or not all(math.isfinite(v) for v in floats):
        wanted = "a number or three" if one_will_do else "three numbers"
        raise OptionError(f"{type(owner).__name__}.{name} must be {wanted}, got {value!r}.")
    owner.__dict__[name] = floats


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
