# SPDX-License-Identifier: MIT
"""`nerfviewer bench infnerf-scaling`: what a frame needs of a scene that grows while its finest detail stays the same."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.bench import machine
from app.headless_train import write_json
from engine.cpu.crew import crew
from engine.errors import UserError
from engine.methods.infnerf.scaling import DEEPEST, SHALLOWEST, Frame, one_frame, spread

_COLUMNS = "depth   side m    nodes in tree   touched   per level   touched bytes    of the model   by level, root first"


def infnerf_scaling(json_path: Path | None = None, depth: int = 8) -> dict[str, Any]:
    """Count for trees of depth 3 to `depth`, print a line each, and write them to `json_path` when given."""
    if not SHALLOWEST <= depth <= DEEPEST:
        raise UserError(
            f"bench infnerf-scaling takes depths {SHALLOWEST} to {DEEPEST}, got {depth}. Choose one of these."
        )
    frames = []
    print(_COLUMNS, flush=True)
    for deepest in range(SHALLOWEST, depth + 1):
        frames.append(one_frame(deepest, crew()))
        print(line(frames[-1]), flush=True)
    worst = spread(frames)
    print(f"touched nodes per level differ by at most {worst:.0%} from their mean")
    rows = [{**asdict(frame), "touched_per_level": round(frame.touched_per_level, 2)} for frame in frames]
    result = {"benchmark": "infnerf-scaling", "machine": machine(), "spread": round(worst, 4), "frames": rows}
    if json_path is not None:
        write_json(Path(json_path), result)
    return result


def line(frame: Frame) -> str:
    """Return a row of the table."""
    levels = " ".join(str(count) for count in frame.per_level)
    return (
        f"{frame.depth:5d} {frame.side_m:8,.0f} {frame.nodes:16,d} {frame.touched:9d} {frame.touched_per_level:11.1f} "
        f"{frame.touched_bytes / 1e6:12.1f} MB {frame.touched_bytes / frame.model_bytes:14.2%}    {levels}"
    )
