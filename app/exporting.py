# SPDX-License-Identifier: MIT
"""`nerfviewer export`: a run into a file or a folder of another format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.headless import Console
from engine.errors import UserError
from engine.options import build


def export(arguments: Any, values: dict[str, Any]) -> int:
    """Write what was asked for; `values` are options of scene export by dotted name."""
    suffix = arguments.output.suffix.lower()
    if suffix == ".nodes":
        return _nodes(arguments)
    if suffix in (".npz", ".plenoxels"):
        return _plenoxels(arguments)
    from engine.export.formats import format_of
    from engine.export.options import ExportOptions
    from engine.export.write import write_scene
    from engine.runs import is_run

    if is_run(arguments.output):
        raise UserError(f"{arguments.output} already holds a run; delete it or choose another name.")
    chosen, options = format_of(arguments.output, arguments.format), build(ExportOptions, values)
    console = Console()
    written = write_scene(_source(arguments, console), chosen, arguments.output, options)
    console.say(f"Wrote {written.path}: {written.content}, {megabytes(written.bytes)}.")
    return 0


def estimate(arguments: Any, values: dict[str, Any]) -> int:
    """Print what each format would be."""
    from engine.export.estimate import estimate as estimated
    from engine.export.formats import find
    from engine.export.options import ExportOptions

    console = Console()
    rows = estimated(_source(arguments, console), build(ExportOptions, values))
    print("format    size       loss     what it is")
    for row in rows:
        size = "" if row.bytes is None else f"{'~' if row.rough else ''}{megabytes(row.bytes)}"
        loss = "" if row.loss_db is None else loss_text(row.loss_db)
        words = row.problem or f"{find(row.format).title}. {row.note}"
        print(f"{row.format:<9} {size:<10} {loss:<8} {words}".rstrip())
    return 0


def loss_text(loss_db: float) -> str:
    """Return how much PSNR falls, for people."""
    return f"{loss_db:.2f} dB" if loss_db >= 0.005 else "none"


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def _told(console: Console) -> Callable[[str, int, int], None]:
    def told(stage: str, done: int, total: int) -> None:
        console.progress(f"{stage}  {done:,} / {total:,}" if total else f"{stage} ...")

    return told


def _source(arguments: Any, console: Console) -> Any:
    from engine.export.run import source_of
    from engine.methods.infnerf.bake import BakeOptions

    baking = BakeOptions(arguments.sh_degree, arguments.fineness, arguments.max_voxels)
    return source_of(arguments.run, baking, _told(console))


def _plenoxels(arguments: Any) -> int:
    from engine.export.plenoxels import export_run

    grid = export_run(arguments.run, arguments.output, arguments.density_bits)
    _wrote(arguments.output, f"{len(grid.density):,} voxels, {megabytes(arguments.output.stat().st_size)}")
    return 0


def _nodes(arguments: Any) -> int:
    from engine.export.nodes import export_run

    store, update = export_run(arguments.run, arguments.output)
    new = f"{update.written:,} of them new, {megabytes(update.nbytes)}"
    _wrote(arguments.output, f"{store.tree.nodes:,} nodes, {new}")
    return 0


def _wrote(output: Path, what: str) -> None:
    print(f"Wrote {output}: {what}.", file=sys.stderr)
