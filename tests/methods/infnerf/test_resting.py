# SPDX-License-Identifier: MIT
"""Inference mode: fields lie on the disk, pictures stay as they were, training goes on as if nothing had been."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import Interrupted, UserError
from engine.methods.infnerf import InfNeRF, resting
from engine.methods.infnerf.rays import rays_of
from engine.methods.infnerf.view import node_colours
from tests.methods.infnerf.plane import plane_scene
from tests.methods.infnerf.test_stored import model_of

SCENE = plane_scene(32, 6, 2)
CAMERA = SCENE.test.views[0].camera
ALL = frozenset({"depth_z", "node", "level"})


@pytest.fixture
def model() -> Iterator[InfNeRF]:
    made = model_of(SCENE)
    made.train_step()
    yield made
    resting.wake(made)


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("rgb", "trans", *ALL))


def test_pictures_are_the_same_and_memory_is_what_the_budget_says(model: InfNeRF, tmp_path: Path) -> None:
    before, held = model.render(CAMERA, ALL), model.memory()
    needed = model.node_use()
    assert needed.resident_bytes == needed.model_bytes > needed.touched_bytes > 0 == needed.budget_bytes
    model.rest_in(tmp_path)
    assert same(model.render(CAMERA, ALL), before)
    assert model.memory()["optimiser"] == model.memory()["photos"] == 0 < held["optimiser"]
    model.set_cache_budget(int(0.9 * needed.model_bytes))
    assert same(model.render(CAMERA, ALL), before)
    use = model.node_use()
    assert use.per_level == needed.per_level and use.resident_bytes <= use.budget_bytes < use.model_bytes
    assert use.misses == sum(use.per_level[1:]), "all but the root were read"
    assert model.memory()["fields"] < held["fields"]


def test_a_budget_below_what_a_picture_needs_is_refused_with_the_number(
    model: InfNeRF, tmp_path: Path
) -> None:
    model.rest_in(tmp_path)
    with pytest.raises(UserError, match="Give it at least"):
        model.set_cache_budget(1000)
    with pytest.raises(UserError, match="positive number, or 0"):
        model.set_cache_budget(-1)
    assert model.cache_budget == 0 and model.render(CAMERA).rgb.any()
    model.set_cache_budget(model.node_use().model_bytes // 2)
    with pytest.raises(UserError, match="nodes of this view"):
        model.render(CAMERA)


def test_somebody_who_looks_around_does_not_wait_for_the_disk(model: InfNeRF, tmp_path: Path) -> None:
    before = model.render(CAMERA, ALL)
    model.rest_in(tmp_path)
    model.interrupt = lambda: False
    first = model.render(CAMERA, ALL)
    assert not same(first, before) and first.rgb.any() and model.node_use().loading > 0
    model.resting.stored.cache.wait()
    assert same(model.render(CAMERA, ALL), before) and model.node_use().loading == 0


def test_training_goes_on_to_the_bit(model: InfNeRF, tmp_path: Path) -> None:
    tensors, header = model.state()
    tensors = {name: np.array(array) for name, array in tensors.items()}
    model.rest_in(tmp_path)
    model.render(CAMERA)
    model.load_state(tensors, header)
    other = model_of(SCENE)
    other.load_state(tensors, header)
    for one in (model, other):
        one.train_step()
    a, b = model.state()[0], other.state()[0]
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []
    model.render(CAMERA)
    assert model.node_use().misses == 0, "no cache any more"


def test_a_picture_is_given_up_when_something_newer_is_wanted(model: InfNeRF, tmp_path: Path) -> None:
    asked = []
    model.interrupt = lambda: len(asked) >= 1 or asked.append(1)
    model.set_options({"schedule.view_rays": 256})
    with pytest.raises(Interrupted):
        model.render(CAMERA)
    model.rest_in(tmp_path)
    asked.clear()
    with pytest.raises(Interrupted):
        model.render(CAMERA)


def test_nodes_have_colours_that_tell_neighbours_apart(model: InfNeRF) -> None:
    colours = node_colours(model.tree)
    assert colours.min() >= 0.0 and colours.max() <= 1.0
    for octants in model.tree.children:
        family = colours[octants[octants >= 0]]
        apart = np.abs(family[:, None] - family[None]).sum(axis=2) + np.eye(len(family))
        assert apart.min(initial=1.0) > 0.1
    seen, rays = model.render(CAMERA, ALL), rays_of(CAMERA, model.tree)
    marched = model.march(rays.rays_o, rays.rays_d, rays.footprint)
    expected = 0.2 * (1.0 - marched["trans"])[:, None] * marched["rgb"]
    np.add.at(expected, marched["ray"], 0.8 * marched["weights"][:, None] * colours[marched["node"]])
    assert np.allclose(seen.node.reshape(-1, 3), expected, atol=1e-3) and expected.max() > 0.2


def test_what_a_picture_needed_is_forgotten_with_the_tree_that_it_was_of(model: InfNeRF) -> None:
    model.render(CAMERA)
    model.set_options({"adapt.opacity": 1.0})
    assert model.prune_now().pruned > 0 and model.node_use() is None
    model.render(CAMERA)
    assert sum(model.node_use().per_level) <= model.tree.nodes


def readers() -> set[threading.Thread]:
    """The threads that read nodes."""
    return {thread for thread in threading.enumerate() if thread.name == "node-cache"}


def test_a_model_that_is_let_go_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = readers()
    made = model_of(SCENE)
    made.train_step()
    made.rest_in(tmp_path)
    made.render(CAMERA)
    made.set_cache_budget(2 * made.node_use().model_bytes)
    made.render(CAMERA)
    assert len(readers() - before) == 1
    del made
    gc.collect()
    assert not readers() - before
