# SPDX-License-Identifier: MIT
"""An InfNeRF run as sparse voxels: a folder NAME.voxels that is a run of SVRaster, which every part of the app opens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine import options, training
from engine.errors import UserError
from engine.runs import RunFolder, RunSpec, is_run, open_run

if TYPE_CHECKING:
    from engine.datasets.scene import Scene
    from engine.methods.infnerf.bake import Baked, BakeOptions
    from engine.methods.svraster.model import SVRaster

NAME = "infnerf"
SUFFIX = ".voxels"

Progress = Callable[[str, int, int], None]


def export_run(
    run: str | Path,
    output: str | Path,
    bake_options: BakeOptions | None = None,
    progress: Progress | None = None,
) -> Baked:
    """Bake the newest checkpoint of a run into the folder `output`; return what was written. Raises UserError."""
    from engine.methods.infnerf.bake import bake

    output = Path(output)
    if output.suffix.lower() != SUFFIX:
        raise UserError(f"Cannot export to {output}: its name must end in {SUFFIX}.")
    if is_run(output):
        raise UserError(f"{output} already holds a run; delete it or choose another name.")
    report = progress or (lambda stage, done, total: None)
    opened = open_infnerf(run, report)
    baked = bake(opened.method, bake_options, report)
    write(baked, opened.scene, opened.run.spec, output)
    return baked


def open_infnerf(run: str | Path, report: Progress) -> training.Training:
    """Return the newest checkpoint of an InfNeRF run on its scene, or raise UserError in one sentence."""
    folder = open_run(run)
    if folder.spec.method != NAME:
        raise UserError(f"{run} holds a {folder.spec.method} run, and only {NAME} runs can be exported so.")
    if not folder.checkpoints():
        raise UserError(f"{run} has no checkpoint yet; train it first.")
    return training.open_trained(folder.path, report)


def voxels_of(baked: Baked, scene: Scene, seed: int = 0) -> SVRaster:
    """Return the voxels as a model of the voxel method."""
    from engine.methods.svraster.model import SVRaster

    degree = round(baked.sh.shape[1] ** 0.5) - 1
    values = {"model.sh_degree": degree, "model.initial_level": 1}
    values |= {f"schedule.sh{d}_from": 0 for d in (1, 2, 3)}
    model = SVRaster(scene, options.build(SVRaster.Config, values), seed)
    model.show(baked.octree, baked.density, baked.sh)
    return model


def write(baked: Baked, scene: Scene, spec: RunSpec, output: Path) -> None:
    """Write voxels as a run of the scene that `spec` names, with one checkpoint."""
    model = voxels_of(baked, scene, spec.seed)
    new = dataclasses.replace(spec, method=model.name, values=options.flatten(model.config))
    training.Training(scene, model, RunFolder(output, new, exists=False)).save()
