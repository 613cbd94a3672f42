# SPDX-License-Identifier: MIT
"""How much memory the open model holds, a smaller model to fit a target, and the mode in which it only shows itself.

In inference mode training rests: what only training needs was written to the run's checkpoint and dropped from memory; any
command that needs it brings it back from there first.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine import memory, worker_structure
from engine import messages as m
from engine.errors import CheckpointError, UserError
from engine.messages import TrainState
from engine.methods.common import AdaptReport, NodeUse, method_title
from engine.metrics import psnr
from engine.options import describe, flatten
from engine.training import Training

if TYPE_CHECKING:
    from engine.worker_core import Core

COMPARED = 4  # views whose PSNR is measured before and after
TRIES = 4  # to meet a target: what is not of the voxels' number does not shrink with it
LEAST_VOXELS = 1_000
NODES = "nodes"  # a run's folder of what inference mode reads


def parts_of(training: Training) -> tuple[tuple[str, int], ...]:
    """Return (name, bytes) of what a model holds."""
    read, scene = getattr(training.method, "memory", None), training.scene
    parts = {"model": training.method.structure().bytes} if read is None else read()
    decoded = scene.train.images.nbytes() + scene.test.images.nbytes()
    undo = training.ring.nbytes
    return (*parts.items(), ("decoded photos", decoded), *([("undo buffers", undo)] if undo else []))


def node_use(training: Training) -> NodeUse | None:
    """Return what the last view needed of a model of nodes, None of any other."""
    read = getattr(training.method, "node_use", None)
    return None if read is None else read()


def loads(training: Training) -> bool:
    """Whether nodes that the last view needed are still on their way from the disk."""
    use = node_use(training)
    return use is not None and use.loading > 0


def model_bytes(training: Training) -> int:
    """Return the bytes of a model itself, which grow with its voxels; buffers come and go with what is drawn."""
    return sum(count for name, count in parts_of(training) if not name.endswith(m.PASSING))


def fit_memory(core: Core, command: m.FitMemory) -> None:
    """Make the open model smaller until it holds no more than a target, and tell what that has cost."""
    training = core.training
    prune_to = getattr(training.method, "prune_to", None)
    if prune_to is None or training.method.card:
        where = " on a graphics card" if training.method.card else ""
        raise UserError(
            f"{method_title(training.method.name)} cannot be pruned to a target{where}; lower the largest number of voxels and "
            "prune instead."
        )
    before, voxels = model_bytes(training), training.method.structure().voxels
    quality = mean_psnr(training)

    def shrink() -> AdaptReport | None:
        report = None
        for _ in range(TRIES):
            held, count = model_bytes(training), training.method.structure().voxels
            if held <= command.target_bytes or count <= LEAST_VOXELS:
                break
            report = prune_to(max(LEAST_VOXELS, int(0.98 * count * command.target_bytes / held)))
        if report is None:
            return None
        _cap(core, training.method.structure().voxels)
        return replace(report, before=voxels, pruned=voxels - training.method.structure().voxels)

    report = worker_structure.edit(core, "Fit to memory", shrink)
    after = training.method.structure().voxels
    if report is not None:
        worker_structure.changed(core, report)
    core.emit(
        m.MemoryFitted(
            command.target_bytes,
            before,
            model_bytes(training),
            voxels,
            after,
            quality,
            mean_psnr(training),
            training.key,
        )
    )
    core.publish()


def _cap(core: Core, voxels: int) -> None:
    """Keep training from growing back."""
    config = core.training.method.config
    for info in describe(config):
        if info.name == "adapt.max_voxels" and flatten(config)[info.name] > voxels:
            core.training.method.set_options({info.name: max(int(info.minimum), voxels)})
            core.emit(m.OptionsChanged(core.training.opened().values))


def mean_psnr(training: Training) -> float:
    """Return the mean PSNR of a few held-out views, of training views where there are none."""
    scene = training.scene
    split = scene.test if len(scene.test) else scene.train
    chosen = range(0, len(split), max(1, len(split) // COMPARED))[:COMPARED]
    found = [psnr(training.method.render(split.views[i].camera).rgb, split.images.load(i)) for i in chosen]
    return float(sum(found) / len(found))


# --- modes --------------------------------------------------------------------------------------------------------


def set_mode(core: Core, command: m.SetMode) -> None:
    """Let the open model only show itself, or let it be trained again."""
    if command.inference == core.training.resting:
        core.emit(m.ModeChanged(command.inference, 0, core.training.key))
    elif command.inference:
        _rest(core)
    else:
        wake(core)


def _rest(core: Core) -> None:
    training = core.training
    rest = getattr(training.method, "rest", None)
    if hasattr(training.method, "rest_in"):  # what it shows comes from a folder, too
        rest = partial(training.method.rest_in, training.run.path / NODES)
    if rest is None or training.method.card:
        where = " on a graphics card" if training.method.card else ""
        raise UserError(
            f"{method_title(training.method.name)} has no inference mode{where}; pause training instead."
        )
    if training.method.step == 0:
        raise UserError("Nothing is trained yet; train before you switch to inference mode.")
    if core.state is TrainState.TRAINING:
        core.pause("Training rests in inference mode.")
    core.save(asked=True)
    if training.unsaved:
        raise CheckpointError(
            "What training needs could not be saved, so it stays in memory. Make room on the disk."
        )
    before = _own_bytes(training)
    worker_structure.forget(core)  # it holds more than the model itself
    rest()
    training.resting = True
    memory.free_caches()
    core.emit(m.ModeChanged(True, before - _own_bytes(training), training.key))
    core.publish()


def wake(core: Core) -> None:
    """Bring back what training needs, if it was put away."""
    training = core.training
    if not training.resting:
        return
    resumed = training.run.newest()
    if resumed is None or resumed.header["step"] != training.method.step:
        raise CheckpointError(
            f"The checkpoint of step {training.method.step:,} in {training.run.path} is gone, so training cannot go on from it. "
            "Put it back, or reset."
        )
    training.method.load_state(resumed.tensors, resumed.header["state"])
    training.resting = False
    core.emit(m.ModeChanged(False, 0, training.key))
    core.publish()


def set_cache_budget(core: Core, command: m.SetCacheBudget) -> None:
    """Let the open model's nodes take so much memory in inference mode."""
    take = getattr(core.training.method, "set_cache_budget", None)
    if take is None:
        raise UserError(
            f"{method_title(core.training.method.name)} is in memory as a whole; only the nodes of InfNeRF have a cache."
        )
    take(command.bytes)
    core.inbox.nudge()
    core.publish()


def _own_bytes(training: Training) -> int:
    """Return the bytes of a model and of the photos that it has shrunk for itself."""
    return sum(count for name, count in parts_of(training) if name != "decoded photos")
