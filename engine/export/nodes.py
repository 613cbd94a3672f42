# SPDX-License-Identifier: MIT
"""An InfNeRF run as a folder of nodes, NAME.nodes, from which pictures are made with only some nodes in memory.

Exported again after more training, the nodes that did not change keep their files. See `engine/methods/infnerf/stored.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.export.run import opened

if TYPE_CHECKING:
    from engine.node_store import NodeStore, Update

NAME, SUFFIX = "infnerf", ".nodes"


def export_run(
    run: str | Path, output: str | Path, progress: Callable[[str, int, int], None] | None = None
) -> tuple[NodeStore, Update]:
    """Write the nodes of the newest checkpoint of a run; return the store and what was written. Raises UserError."""
    from engine.methods.infnerf.stored import write

    output = Path(output)
    if output.suffix.lower() != SUFFIX:
        raise UserError(f"Cannot export to {output}: its name must end in {SUFFIX}.")
    report = progress or (lambda stage, done, total: None)
    return write(opened(run, report, only=NAME).method, output)
