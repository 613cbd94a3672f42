# SPDX-License-Identifier: MIT
"""Config files of `--config FILE`: YAML or JSON, options by dotted name or in nested groups, flags by their names.

    scene: scenes/lego
    downscale: 2
    max_seconds: 120
    rates:
      density: 0.3
    adapt.max_voxels: 100000

One file serves every command: a flag that a command does not have is left alone there. The names of SVRaster's documents
(`training.epochs`, `loss.ssim_weight`, ...) are taken where something here means the same, and named in a warning where not.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.datasets.options import SceneOptions
from engine.errors import OptionError, UserError
from engine.options import OptionInfo, describe

FLAGS: dict[str, type] = {
    "scene": str,
    "method": str,
    "preset": str,
    "refine_poses": bool,
    "seed": int,
    "device": str,
    "threads": int,
    "max_steps": int,
    "max_epochs": int,
    "max_seconds": float,
    "eval_every": float,
    "autosave": float,
    "processes": int,
    "out": Path,
    "tensorboard": bool,
}
_LARGEST_BYTES = 1 << 20
_MOST_VALUES = 10_000  # aliases of YAML can make a small file endless
# Names of the documents' basic template -> what means the same here.
_SAME = {"training.batch_size": "objective.views_per_step", "training.epochs": "max_epochs"}
_WEIGHTS = {
    "loss.ssim_weight": "losses.ssim",
    "loss.depth_weight": "losses.sparse_depth",
}  # relative to rgb's
_RGB_WEIGHT = "loss.rgb_weight"
_WITHOUT = {
    "model.voxel_resolution": "voxels are made where photos need them, up to adapt.max_voxels",
    "model.feature_channels": "voxels hold spherical harmonics, see model.sh_degree",
    "model.max_subdivision_level": "voxels are split while adapt.sampling_rate allows",
    "training.learning_rate": "densities and colours have rates of their own, see rates.density and rates.sh0",
}


@dataclass(frozen=True)
class Value:
    """What a file says of one name, and in which line, counted from 1."""

    value: Any
    line: int


@dataclass(frozen=True)
class ConfigFile:
    """A file that was read; nothing in it is checked yet. Names are dotted, with underscores."""

    path: Path
    values: dict[str, Value]

    def early(self, name: str) -> str | None:
        """Return the text of a flag that others depend on, None where the file does not say it."""
        if name not in self.values:
            return None
        return str(_checked(self, name, _flag(name)))


@dataclass(frozen=True)
class Settings:
    """What a file says, checked: flags by field name, options by dotted name, what people should hear."""

    flags: dict[str, Any] = field(default_factory=dict)
    scene: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


def read(path: Path) -> ConfigFile:
    """Return what a YAML or JSON file says."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UserError(
                f"{path} is larger than a config file can be. Give the YAML or JSON file of options."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"Cannot read the config file {path}: {reason}. Correct the path.") from error
    if path.suffix.lower() == ".json":
        try:
            json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is no JSON: {error}. Correct the file.") from error
        text = text.replace("\t", " ")  # the one thing of JSON that YAML lacks; in a string JSON writes \t
    values: dict[str, Value] = {}
    for name, value, line in _leaves(path, text):
        if name in values:
            raise UserError(
                f"{path}, line {line}: {name} was said in line {values[name].line} already. Keep one of them."
            )
        values[name] = Value(value, line)
    return ConfigFile(path, values)


def _leaves(path: Path, text: str) -> Iterator[tuple[str, Any, int]]:
    """Yield (dotted name, value, line) of a document."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path} must hold options by name, such as seed: 1, got a {node.id}.")
        stack, seen = [("", node)], 0
        while stack:
            prefix, group = stack.pop()
            loader.flatten_mapping(group)
            for key, value in group.value:
                seen += 1
                if seen > _MOST_VALUES:
                    raise UserError(f"{path} says more than {_MOST_VALUES:,} things. Give a file of options.")
                name = prefix + str(loader.construct_object(key)).replace("-", "_")
                if isinstance(value, yaml.MappingNode):
                    stack.append((f"{name}.", value))
                else:
                    yield name, loader.construct_object(value, deep=True), key.start_mark.line + 1
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UserError(f"{path}{where} is no YAML: {problem}. Correct the file.") from error
    finally:
        loader.dispose()


def settings(file: ConfigFile, config: type) -> Settings:
    """Return what a file says to a command that trains with a method of this configuration."""
    scene = {info.name: info for info in describe(SceneOptions)}
    method = {info.name: info for info in describe(config)}
    found, without = _in_our_names(file, method)
    said = Settings(warning=_warning(file, without))
    for name in found.values:
        for target, info in (
            (said.flags, _flag(name) if name in FLAGS else None),
            (said.scene, scene.get(name)),
            (said.method, method.get(name)),
        ):
            if info is not None:
                target[name] = _checked(found, name, info)
                break
        else:
            raise UserError(
                f"{file.path}, line {found.values[name].line}: {_unknown(name, [*FLAGS, *scene, *method])}"
            )
    return said


def _flag(name: str) -> OptionInfo:
    return OptionInfo(name, FLAGS[name], None, "")


def _checked(file: ConfigFile, name: str, info: OptionInfo) -> Any:
    """Return a value in its option's type, or raise one sentence that says where it stands."""
    value, line = file.values[name].value, file.values[name].line
    try:
        if info.type is str and isinstance(value, list):  # a list of numbers is written as text: 128 256
            value = " ".join(str(item) for item in value)
        if (
            value is None
            or (isinstance(value, bool) and info.type is not bool)
            or isinstance(value, list | dict)
        ):
            kind = {int: "a whole number", float: "a number", bool: "true or false"}.get(info.type, "text")
            raise OptionError(
                f"Option {name} must be {kind}, got {'nothing' if value is None else repr(value)}."
            )
        return info.check(value)
    except OptionError as error:
        text = str(error)
        raise UserError(f"{file.path}, line {line}: {text[0].lower()}{text[1:]}") from error


def _unknown(name: str, known: list[str]) -> str:
    inside = [other for other in known if other.startswith(f"{name}.")]
    if inside:
        return f"{name} is a group of options, such as {inside[0]}; write them below it."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]}?" if near else " See --help for their names."
    return f"there is no option {name}.{hint}"


def _in_our_names(file: ConfigFile, known: dict[str, OptionInfo]) -> tuple[ConfigFile, list[str]]:
    """Return a file without the names of the documents' template, and those that have no counterpart."""
    values, without = {}, []
    rgb = file.values.get(_RGB_WEIGHT)
    share = 1.0
    if rgb is not None:
        share = _checked(file, _RGB_WEIGHT, OptionInfo(_RGB_WEIGHT, float, 1.0, "", minimum=1e-6))
    for name, said in file.values.items():
        same = _SAME.get(name) or _WEIGHTS.get(name)
        if name in known or name == _RGB_WEIGHT:
            if name in known:
                values[name] = said
        elif same is not None and (same in known or same in FLAGS):
            if name in _WEIGHTS:
                weight = _checked(file, name, OptionInfo(name, float, 0.0, "", minimum=0.0))
                said = Value(weight / share, said.line)
            values[same] = said
        elif name in _WITHOUT or same is not None:
            without.append(name)
        else:
            values[name] = said
    return ConfigFile(file.path, values), without


def _warning(file: ConfigFile, without: list[str]) -> str:
    if not without:
        return ""
    reasons = [f"{name} ({_WITHOUT[name]})" if name in _WITHOUT else name for name in without]
    return f"{file.path}: nothing here is like {'; '.join(reasons)}."
