# SPDX-License-Identifier: MIT
"""What every kernel takes of a GPU, as it was when kernels.json was written; `python -m tests.cuda.usage_table` writes it.

A kernel that suddenly wants many more registers, spills or takes more shared memory runs slower on a card that nobody here
has. The numbers are the compiler's, so a newer NVRTC may move them a little: see the tolerances.
"""

from __future__ import annotations

import json
from pathlib import Path

from engine.cuda import build, registry

TABLE = Path(__file__).with_name("kernels.json")
REGISTERS = 24  # three of the steps in which registers are handed out; NVRTC 13.0 and 13.5 differ by up to 18
SPILL_BYTES = (
    64  # of loads and stores together: what a compiler may do to keep to a launch bound; beyond that it shows
)

Table = dict[str, dict[str, list[int]]]


def measure() -> Table:
    """Compile everything and return [registers, spill bytes, shared bytes] by kernel and architecture."""
    table: Table = {}
    for file in registry.source_names():
        for arch in build.ARCHITECTURES:
            for name, used in build.usage(file, arch).items():
                row = [used.registers, used.spill_bytes, used.shared_bytes]
                table.setdefault(name, {})[arch] = row
    return table


def read() -> Table:
    """Return the committed table."""
    return json.loads(TABLE.read_text(encoding="utf-8"))["kernels"]


def differences(recorded: Table, found: Table) -> list[str]:
    """Return one sentence for everything that the committed table does not say."""
    told = [f"{name} is not in the table" for name in sorted(found.keys() - recorded.keys())]
    told += [
        f"{name} is in the table but in no kernel file" for name in sorted(recorded.keys() - found.keys())
    ]
    for name in sorted(found.keys() & recorded.keys()):
        for arch in sorted(found[name].keys() | recorded[name].keys()):
            was, now = recorded[name].get(arch), found[name].get(arch)
            if was is None or now is None:
                told.append(f"{name} for {arch}: recorded {was}, found {now}")
                continue
            near = abs(now[0] - was[0]) <= REGISTERS and abs(now[1] - was[1]) <= SPILL_BYTES
            if not near or now[2] != was[2]:
                told.append(
                    f"{name} for {arch}: registers, spill bytes, shared bytes were {was} and are {now}"
                )
    return told


def main() -> None:
    """Write the table."""
    rows = [
        f"    {json.dumps(name)}: {json.dumps(table)}" for name, table in sorted(measure().items())
    ]  # one line a kernel
    text = ",\n".join(rows)
    version = build.compiler_version()
    TABLE.write_text(f'{{\n  "nvrtc": "{version}",\n  "kernels": {{\n{text}\n  }}\n}}\n', encoding="utf-8")
    print(f"wrote {len(rows)} kernels, compiled by NVRTC {version}, to {TABLE}")


if __name__ == "__main__":
    main()
