# SPDX-License-Identifier: MIT
"""Options, declared once: default, range, unit, help, live or not.

A configuration is a frozen dataclass whose fields come from `option()`; groups nest. Command-line flags, the window's
forms and tooltips, saved files and the README's table all read these declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from engine.errors import OptionError

_KEY = "nerfviewer.option"


@dataclass(frozen=True)
class OptionInfo:
    """What is known of one option. `name` is dotted, `unit` is shown behind the number, `live` may change in training."""

    name: str
    type: type
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    live: bool = False

    @property
    def label(self) -> str:
        """The last part of the name in sentence case."""
        return self.name.rsplit(".", 1)[-1].replace("_", " ").capitalize()

    def check(self, value: Any) -> Any:
        """Return `value` in the option's type, or raise OptionError in one sentence."""
        value = self._convert(value)
        if self.choices and value not in self.choices:
            raise OptionError(f"Option {self.name} must be one of {', '.join(self.choices)}, got {value!r}.")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value != value:
                raise OptionError(f"Option {self.name} must be a number, got NaN.")
            if self.minimum is not None and value < self.minimum:
                raise OptionError(f"Option {self.name} must be at least {self.minimum:g}, got {value:g}.")
            if self.maximum is not None and value > self.maximum:
                raise OptionError(f"Option {self.name} must be at most {self.maximum:g}, got {value:g}.")
        return value

    def _convert(self, value: Any) -> Any:
        if self.type is bool:
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in (
                "true",
                "yes",
                "on",
                "1",
                "false",
                "no",
                "off",
                "0",
            ):
                return value.lower() in ("true", "yes", "on", "1")
            raise OptionError(f"Option {self.name} must be true or false, got {value!r}.")
        try:
            if self.type is int and isinstance(value, float) and value != int(value):
                raise ValueError
            return self.type(value)
        except (TypeError, ValueError, OverflowError):
            kind = {int: "a whole number", float: "a number", str: "text"}.get(self.type, self.type.__name__)
            raise OptionError(f"Option {self.name} must be {kind}, got {value!r}.") from None


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    unit: str = "",
    live: bool = False,
) -> Any:
    """Return a dataclass field that declares one option."""
    info = dict(help=help, minimum=minimum, maximum=maximum, choices=tuple(choices), unit=unit, live=live)
    return dataclasses.field(default=default, metadata={_KEY: info})


def describe(config: Any, prefix: str = "") -> Iterator[OptionInfo]:
    """Yield every option of a configuration class or instance, groups in order, names dotted."""
    cls = config if isinstance(config, type) else type(config)
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from describe(kind, f"{prefix}{field.name}.")
        else:
            yield OptionInfo(f"{prefix}{field.name}", kind, field.default, **field.metadata[_KEY])


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return {dotted name: value} of a configuration, every value, groups in order."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values |= flatten(value, f"{prefix}{field.name}.")
        else:
            values[f"{prefix}{field.name}"] = value
    return values


def differences(config: Any) -> dict[str, Any]:
    """Return only the values that differ from their defaults, by dotted name."""
    defaults = {info.name: info.default for info in describe(config)}
    return {name: value for name, value in flatten(config).items() if value != defaults[name]}


def updated(config: Any, values: dict[str, Any]) -> Any:
    """Return a copy of a configuration with some options changed, checked. Unknown names name the nearest known one."""
    known = {info.name: info for info in describe(config)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OptionError(f"There is no option {name}.{hint}")
        checked[name] = known[name].check(value)
    return replaced(config, checked)


def build(cls: type, values: dict[str, Any]) -> Any:
    """Return a configuration of class `cls` from dotted names; what is not named keeps its default."""
    return updated(cls(), values)


def replaced(config: Any, values: dict[str, Any], prefix: str = "") -> Any:
    """Return a copy of a nested dataclass with other values by dotted name; what it does not have is left out."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            changes[field.name] = replaced(value, values, f"{name}.")
        elif name in values:
            changes[field.name] = values[name]
    return dataclasses.replace(config, **changes)
