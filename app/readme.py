# SPDX-License-Identifier: MIT
"""The generated parts of README.md: the commands from their registry, the options from their declarations.

python -m app.readme        rewrites the tables in place
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app import commands
from engine.datasets.options import SceneOptions
from engine.export.options import ExportOptions
from engine.methods.common import method_class
from engine.options import OptionInfo, describe

README = Path(__file__).resolve().parent.parent / "README.md"


def _row(info: OptionInfo) -> str:
    if info.choices:
        allowed = ", ".join(info.choices)
    else:
        ends = [f"{value:g}" if value is not None else "" for value in (info.minimum, info.maximum)]
        allowed = f"{ends[0]} to {ends[1]}" if all(ends) else (f"from {ends[0]}" if ends[0] else "")
    unit = f" {info.unit}" if info.unit else ""
    live = "yes" if info.live else ""
    flag = "--" + info.name.replace("_", "-")
    return f"| `{flag}` | {info.default}{unit} | {allowed} | {live} | {info.help} |"


def options_table(*configs: type) -> str:
    """Return a table of the options of configurations."""
    rows = ["| Flag | Default | Allowed | While training | What it is |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(rows + [_row(info) for config in configs for info in describe(config)])


SECTIONS = {
    "commands": commands.markdown_table,
    "options": partial(options_table, SceneOptions, method_class("svraster").Config),
    "plenoxels options": partial(options_table, method_class("plenoxels").Config),
    "infnerf options": partial(options_table, method_class("infnerf").Config),
    "export options": partial(options_table, ExportOptions),
}


def refreshed(text: str) -> str:
    """Return README text with fresh tables between their markers; ValueError where markers are missing."""
    for name, table in SECTIONS.items():
        first, last = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        start, end = text.find(first), text.find(last)
        if start < 0 or end < start:
            raise ValueError(f"README.md has no {first} and {last} to put the table of {name} between.")
        text = f"{text[: start + len(first)]}\n{table()}\n{text[end:]}"
    return text


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
