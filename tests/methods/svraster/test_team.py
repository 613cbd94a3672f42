# SPDX-License-Identifier: MIT
"""Two processes train one model: the same bits in both, the steps of averaged gradients, and checkpoints that either reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cpu.shade import sh_rows
from engine.methods.svraster import SVRaster, schedule
from engine.parallel import Solo
from tests import two_ranks
from tests.two_ranks import EARLY, LATE, N_TRAIN, NEXT

GONE = {"rates.beta1": 0.0, "rates.beta2": 0.0, "rates.density": 0.0, "rates.sh0": 0.0, "rates.shs": 0.0}
GONE |= {"rates.background": 0.0}  # Adam whose first moment is the gradient, and which goes nowhere
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where two ranks wrote what they held."""
    out = tmp_path_factory.mktemp("ranks")
    processes = two_ranks.start("tests.two_ranks", out / "meet", str(out))
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return out


def arrays_of(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of a state without the lanes behind the last voxel, which hold nothing."""
    groups, n = ("field.sh", "field.sh_m", "field.sh_v"), len(tensors["octree.path"])
    return {name: sh_rows(array, n) if name in groups else array for name, array in tensors.items()}


def test_both_ranks_hold_the_same_bits_after_prunes_and_splits(trained: Path) -> None:
    for step in (EARLY, NEXT, LATE):
        (a, header_a), (b, header_b) = (two_ranks.read(trained / f"{step}-{rank}.npz") for rank in (0, 1))
        assert header_a == header_b and header_a["step"] == step
        assert [name for name in a if not np.array_equal(a[name], b[name])] == []
    reports = json.loads((trained / "0.json").read_text())
    adapted = [r[3] for r in reports if r[3] is not None]
    assert len(adapted) == 5 and sum(a[0] for a in adapted) > 0 and sum(a[1] for a in adapted) > 100


def test_each_rank_takes_its_own_view_of_one_shuffled_round(trained: Path) -> None:
    first, second = (json.loads((trained / f"{rank}.json").read_text()) for rank in (0, 1))
    taken = [view for a, b in zip(first, second) for view in (a[0], b[0])]
    for begin in range(0, len(taken) - N_TRAIN, N_TRAIN):
        assert sorted(taken[begin : begin + N_TRAIN]) == list(range(N_TRAIN))
    alone = two_ranks.model()
    assert taken[: 2 * N_TRAIN] == [alone._next_view() for _ in range(2 * N_TRAIN)]
    for a, b in zip(first, second):
        for mine, others in ((a, b[2]), (b, a[2])):
            assert others[0][0] == mine[0] and abs(others[0][1] - mine[1]) < 1e-4
    assert np.mean([r[1] for r in first[-10:]]) > np.mean([r[1] for r in first[:10]]) + 3.0, "it learns"


def test_exposures_are_fitted_by_whoever_has_the_view_and_known_to_all(trained: Path) -> None:
    for rank in (0, 1):
        rows = two_ranks.read(trained / f"{LATE}-{rank}.npz")[0]["exposure"]
        assert (rows[:, 6] >= 5).all() and not np.array_equal(rows[:, :3], np.ones((N_TRAIN, 3)))


def test_models_that_differ_stop_all_ranks_with_a_sentence(trained: Path) -> None:
    for rank in (0, 1):
        said = (trained / f"differs-{rank}").read_text()
        assert said.startswith(
            "ParallelError: The 2 processes do not have the same voxels: process 2 differs"
        )


def gradients_on(state: tuple[dict[str, np.ndarray], dict[str, Any]], view: int) -> SVRaster:
    """Return a model that took one step on a view and holds its gradients where the first moments were."""
    tensors, header = state
    cleared = {n: np.zeros_like(a) if n.endswith(("_m", "_v", "_age")) else a for n, a in tensors.items()}
    probe = two_ranks.model()
    probe.load_state(cleared, header | {"options": header["options"] | GONE})
    probe.backdrop._mean[:] = 0.0
    probe.queue = [view]
    probe.train_step()
    return probe


def adam(
    state: dict[str, np.ndarray], name: str, parts: list[np.ndarray], seen: np.ndarray, rate: Any
) -> np.ndarray:
    """Take Adam's step in float64 by the mean of the parts on the rows that were seen; their age was raised before.

    Returns how far the last bits of the parts, which differ between kernels, may move each value: where parts
    cancel, or where a row is seen for the first time, the step has the sign of what is left and its full length.
    """
    m, v, age = (state[f"field.{name}{end}"] for end in ("_m", "_v", "_age"))
    wide = (slice(None), *[None] * (parts[0].ndim - 1))
    rounds = age[wide].astype(float)
    gradient = sum(part.astype(float) for part in parts) / len(parts)
    sizes = sum(np.abs(part.astype(float)) for part in parts)
    doubt = 16 * np.finfo(np.float32).eps * (sizes + sizes[seen].mean())  # each is a sum that may cancel, too

    def step(gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        new_m, new_v = 0.5 * m + 0.5 * gradient, 0.99 * v + 0.01 * gradient**2
        with np.errstate(divide="ignore", invalid="ignore"):
            way = new_m / (1 - 0.5**rounds) / (np.sqrt(new_v / (1 - 0.99**rounds)) + 1e-15)
        return np.where(seen[wide], rate * way, 0.0), new_m, new_v

    way, new_m, new_v = step(gradient)
    for key, value in (("", state[f"field.{name}"] - way), ("_m", new_m), ("_v", new_v)):
        state[f"field.{name}{key}"] = np.where(seen[wide], value, state[f"field.{name}{key}"])
    return np.abs(step(gradient + doubt)[0] - step(gradient - doubt)[0])


def test_two_ranks_take_the_step_of_the_mean_of_both_views_gradients(trained: Path) -> None:
    before = two_ranks.read(trained / f"{EARLY}-0.npz")
    alone = two_ranks.model()
    alone.load_state(*before)
    probes = [gradients_on(before, view) for view in (alone._next_view(), alone._next_view())]
    exact, share, rates = (
        arrays_of(before[0]),
        np.float32(0.5),
        schedule.adam_values(alone.active, EARLY, 48 * 48),
    )
    seen = np.maximum(*[p.field.sh_age for p in probes]) > 0
    rows = [sh_rows(p.field.sh_m, len(seen)) for p in probes]
    densities = [p.field.density_m for p in probes]
    moved = sum(densities) != 0
    assert seen.any() and not seen.all() and np.abs(rows[0][:, 8]).max() > 0.0
    exact["field.sh_age"] = exact["field.sh_age"] + seen.astype(np.uint16)
    exact["field.density_age"] = exact["field.density_age"] + moved.astype(np.uint16)
    room = {
        "field.sh": adam(exact, "sh", rows, seen, np.array([rates[4], *[rates[5]] * 8])[:, None]),
        "field.density": adam(exact, "density", densities, moved, rates[3]),
    }
    assert all((wide < TOLERANCE).mean() > 0.95 for wide in room.values()), "the bits hardly ever decide"
    exact["field.priority"] = sum(p.field.priority for p in probes) - exact["field.priority"]
    exact["field.heaviest"] = np.maximum(*[p.field.heaviest for p in probes])
    exact["field.footprint"] = np.minimum(*[p.field.footprint for p in probes])
    alone.step += 1
    alone._update_background(sum(p.backdrop._mean for p in probes) * share)
    exact["background"] = alone.backdrop.rows()
    got = arrays_of(two_ranks.read(trained / f"{NEXT}-0.npz")[0])
    for name in (n for n in exact if n.startswith("field.") or n == "background"):
        finite = np.isfinite(exact[name])
        assert got[name].shape == exact[name].shape and np.array_equal(finite, np.isfinite(got[name])), name
        excess = (
            np.abs(got[name][finite] - exact[name][finite]) - room.get(name, np.zeros(finite.shape))[finite]
        )
        far = excess[excess >= TOLERANCE]  # pixels that cancel inside one part are beyond what its size tells
        assert len(far) <= (4 if name in room else 0) and far.max(initial=0.0) < 10 * TOLERANCE, name
        moved = not np.array_equal(got[name], arrays_of(before[0])[name])
        assert moved or name == "field.footprint", f"{name} stood still"


def test_a_single_rank_takes_the_very_steps_of_a_model_without_ranks() -> None:
    fused, shared = two_ranks.model(), two_ranks.model()
    shared.join(Solo())
    for _ in range(40):
        assert fused.train_step() == shared.train_step()
    (a, header_a), (b, header_b) = fused.state(), shared.state()
    a, b = arrays_of(a), arrays_of(b)
    assert header_a == header_b
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


def test_one_process_continues_what_two_began(trained: Path) -> None:
    tensors, header = two_ranks.read(trained / f"{LATE}-1.npz")
    alone, other = two_ranks.model(), two_ranks.model()
    for method in (alone, other):
        method.load_state(tensors, header)
    assert alone.step == LATE and alone.window_views > 0
    other.join(Solo())
    reports = [(alone.train_step(), other.train_step()) for _ in range(8)]
    assert all(a == b for a, b in reports)
    assert np.mean([a.psnr for a, _ in reports]) > 20.0


def test_pruning_waits_until_every_view_was_seen_however_many_a_step_takes() -> None:
    method = two_ranks.model()
    tensors, header = method.state()
    old = {name: value for name, value in header.items() if name != "window_views"} | {
        "step": 9,
        "window_start": 4,
    }
    method.load_state(tensors, old)
    assert method.window_views == 5, "checkpoints of earlier versions tell the step at which counting began"
