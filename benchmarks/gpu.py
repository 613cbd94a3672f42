# SPDX-License-Identifier: MIT
"""Everything that is measured on a GPU, in one command of under nine minutes.

    python benchmarks/gpu.py [--lego FOLDER] [--only ops,frames,...] [--json FILE]     # needs a CUDA device
    python benchmarks/gpu.py --dry                                                     # its plumbing, on the CPU, tiny

Writes benchmarks/results/<gpu>-<commit>.json, again after every section, so that a section that fails costs only itself.
Times are medians between CUDA events. `--dry` runs every section but those that need a card on the harness of the tests: its
numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from app.bench import machine
from benchmarks import gpu_sections as sections
from benchmarks.gpu_march import march
from benchmarks.gpu_sections import Bench
from engine.cuda.launch import launch as launch_on_gpu

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {
    "forward_backward_ms_1m_800x800": 2.5,
    "frames_per_second_10m_1080p": 300,
    "lego_seconds_to_33_db": 60,
    "present_ms_4k": 1.0,
    "training_bytes_per_voxel": 540,
}


# --- the run ------------------------------------------------------------------------------------------------------------


def bench_of(dry: bool, lego_folder: Path | None) -> Bench:
    """Return the card, or for a dry run the harness of the tests."""
    if dry:
        from tests.cuda.on_host import launcher

        return Bench(torch.device("cpu"), launcher(), True, Path("demo"))
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py: no CUDA device here; --dry checks the plumbing without one.")
    data = Path(os.environ.get("NERFVIEWER_DATA", ROOT.parent / "shared" / "data"))
    found = lego_folder or next(
        (p for p in (data / "lego", data / "nerf_synthetic" / "lego") if p.is_dir()), None
    )
    return Bench(torch.device("cuda"), launch_on_gpu, False, found)


def about(bench: Bench) -> dict[str, Any]:
    """Return the card, the versions and the commit."""
    told = {"torch": torch.__version__, "commit": commit(), **machine()}
    if bench.device.type == "cuda":
        properties = torch.cuda.get_device_properties(bench.device)
        query = ["nvidia-smi", "--query-gpu=driver_version,power.limit", "--format=csv,noheader"]
        ask = shutil.which(query[0]) is not None  # not in every container
        driver = (
            subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() if ask else ""
        )
        told |= {"gpu": properties.name, "gpu_bytes": properties.total_memory, "driver": driver}
        told |= {"multiprocessors": properties.multi_processor_count}
    return told


def commit() -> str:
    """Return the short name of the checkout's commit, with a plus if files differ from it."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False
    )
    return (name.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")


def against_targets(result: dict[str, Any]) -> dict[str, Any]:
    """Return {target: [wanted, measured or None]}."""
    frame = [r for r in result.get("frames", []) if (r["scene"], r["size"]) == ("10m", "1920x1080")]
    train = result.get("training", {})
    kept, moved = train.get("bytes_kept_per_voxel"), train.get("bytes_of_a_step_per_voxel")
    got = {
        "forward_backward_ms_1m_800x800": train.get("forward_backward_ms"),
        "frames_per_second_10m_1080p": frame[0]["frames_per_second"] if frame else None,
        "lego_seconds_to_33_db": result.get("lego", {}).get("seconds_to_33_db"),
        "present_ms_4k": result.get("present", {}).get("interop_ui_thread_ms"),
        "training_bytes_per_voxel": None if kept is None else kept + moved,
    }
    return {name: [wanted, got[name]] for name, wanted in TARGETS.items()}


def run_section(name: str, bench: Bench, result: dict[str, Any]) -> Any:
    """Run a section; frames are compared with the bandwidth that this run measured."""
    if name == "frames":
        return sections.frames(bench, result.get("bandwidth", {}).get("gb_per_s", float("nan")))
    if name == "march":
        return march(bench)
    return getattr(sections, name)(bench)


def main() -> None:
    """Run the sections, print a line each, write the JSON after every one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dry", action="store_true", help="check the plumbing on the CPU; numbers mean nothing"
    )
    parser.add_argument("--lego", type=Path, help="folder of the lego scene")
    parser.add_argument(
        "--only", default="ops,bandwidth,frames,training,march,present,lego", help="sections, by comma"
    )
    parser.add_argument(
        "--json", type=Path, help="where to write; by default benchmarks/results/<gpu>-<commit>.json"
    )
    arguments = parser.parse_args()
    bench = bench_of(arguments.dry, arguments.lego)
    result: dict[str, Any] = {"benchmark": "gpu", "dry": bench.dry, "machine": about(bench), "seconds": {}}
    gpu = re.sub(r"[^a-z0-9]+", "-", result["machine"].get("gpu", "dry").lower()).strip("-")
    target = arguments.json
    if target is None and not bench.dry:
        target = ROOT / "benchmarks" / "results" / f"{gpu}-{commit().rstrip('+')}.json"
    for name in arguments.only.split(","):
        begin = time.perf_counter()
        try:
            result[name] = run_section(name, bench, result)
        except (
            Exception
        ) as error:  # a section that fails must not cost the others, and the failure is a result
            traceback.print_exc()
            result[name] = {"failed": f"{type(error).__name__}: {error}"}
        result["seconds"][name] = round(time.perf_counter() - begin, 1)
        print(json.dumps({name: result[name]}), flush=True)
        result["targets"] = against_targets(result)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, (wanted, measured) in result["targets"].items():
        print(
            f"{name}: target {wanted:g}, {'not measured' if measured is None else f'measured {measured:g}'}"
        )
    if any(isinstance(result[name], dict) and "failed" in result[name] for name in arguments.only.split(",")):
        sys.exit(1)


if __name__ == "__main__":
    main()
