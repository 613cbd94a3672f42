# SPDX-License-Identifier: MIT
"""Command-line flags made from the option declarations: same names, ranges and help as in the window's forms."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from app.config_file import Settings
from engine import options
from engine.options import OptionInfo


def help_text(info: OptionInfo) -> str:
    """Return an option's help with its range and unit."""
    low = None if info.minimum is None else _number(info.minimum)
    high = None if info.maximum is None else _number(info.maximum)
    unit = f" {info.unit}" if info.unit else ""
    if low is not None and high is not None:
        return f"{info.help} {low} to {high}{unit}."
    if low is not None:
        return f"{info.help} At least {low}{unit}."
    if high is not None:
        return f"{info.help} At most {high}{unit}."
    return f"{info.help} In{unit}." if unit else info.help


def mirror(config: type) -> type:
    """Return a dataclass for tyro with the fields of a configuration, nested alike."""
    hints = get_type_hints(config)
    infos = {info.name: info for info in options.describe(config)}
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            group = mirror(kind)
            fields.append((field.name, group, dataclasses.field(default_factory=group)))
            continue
        info = infos[field.name]
        accepted = Literal[info.choices] if info.choices else kind
        fields.append((field.name, Annotated[accepted, tyro.conf.arg(help=help_text(info))], info.default))
    made = dataclasses.make_dataclass(config.__name__, fields, frozen=True)
    made.__doc__ = config.__doc__
    return made


def with_options(base: type, *configs: type) -> type:
    """Return the argument class `base` with the options of some configurations as further flags."""
    fields = []
    for config in configs:
        for field in dataclasses.fields(mirror(config)):
            default: Any = field
            if field.default is not dataclasses.MISSING:
                default = field.default
            else:
                default = dataclasses.field(default_factory=field.default_factory)
            fields.append((field.name, field.type, default))
    made = dataclasses.make_dataclass(base.__name__, fields, bases=(base,), frozen=True)
    made.__doc__ = base.__doc__
    return made


def given(arguments: Any, config: type, argv: list[str]) -> dict[str, Any]:
    """Return the options of a configuration that the command line names, checked, by dotted name.

    Looking at `argv` rather than at the values keeps a flag that repeats a default, which a preset may have changed.
    """
    named = {_plain(token) for token in argv if token.startswith("--")}
    values: dict[str, Any] = {}
    for info in options.describe(config):
        if _plain(info.name) in named:
            value = arguments
            for part in info.name.split("."):
                value = getattr(value, part)
            values[info.name] = info.check(value)
    return values


def with_values(arguments: Any, settings: Settings) -> Any:
    """Return arguments with what a config file says in the place of defaults; flags that a command lacks are left out."""
    own = {field.name for field in dataclasses.fields(arguments)}
    flags = {name: value for name, value in settings.flags.items() if name in own}
    return options.replaced(arguments, {**flags, **settings.scene, **settings.method})


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _plain(token: str) -> str:
    """Return a flag's or an option's dotted name in one spelling: no dashes, no value, no negation."""
    parts = token.lstrip("-").split("=", 1)[0].replace("-", "_").split(".")
    parts[-1] = parts[-1].removeprefix("no_")
    return ".".join(parts)
