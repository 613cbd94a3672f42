# SPDX-License-Identifier: MIT
"""A step on several views goes along their mean gradient, and a clipped one is as long as it may be."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.apply_step import FieldGradients, GradientSum, gradient_norm
from engine.cpu.crew import crew, set_threads
from engine.cpu.shade import sh_rows
from engine.errors import UserError
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.options import updated
from engine.parallel import Solo
from tests.methods.test_svraster import QUICK, make_scene

FIRST_MOMENT = {
    "rates.beta1": 0.0,
    "rates.beta2": 0.0,
    "rates.density": 0.0,
    "rates.sh0": 0.0,
    "rates.shs": 0.0,
}
PLAIN = {
    "adapt.until_step": 0,
    "schedule.supersample_from": 0,
    "losses.ssim": 0.1,
    "losses.total_variation": 1e-3,
}
SCENE = make_scene(8, background="learned")


def model(**values: object) -> SVRaster:
    """A model; option names have two underscores for a dot."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    return SVRaster(SCENE, updated(SVRasterConfig(), QUICK | PLAIN | named))


def trained(steps: int = 30, **values: object) -> SVRaster:
    made = model(**values)
    for _ in range(steps):
        made.train_step()
    return made


def tensors_of(made: SVRaster) -> dict[str, np.ndarray]:
    """The tensors of a state without the lanes behind the last voxel, which hold nothing."""
    tensors, n = made.state()[0], len(made.octree)
    lanes = ("field.sh", "field.sh_m", "field.sh_v")
    return {name: sh_rows(array, n) if name in lanes else array for name, array in tensors.items()}


def gradients_on(state: tuple, views: list[int], **values: object) -> dict[str, np.ndarray]:
    """What a step on some views finds from a state: Adam's first moments where the last gradient is all it keeps."""
    made = model()
    made.load_state(*state)
    made.use(updated(made.config, FIRST_MOMENT | {name.replace("__", "."): v for name, v in values.items()}))
    made.queue = list(reversed(views))
    made.field.density_m[:], made.field.sh_m[:] = 0.0, 0.0
    made.train_step()
    return {name: tensors_of(made)[name] for name in ("field.density_m", "field.sh_m", "background")}


def test_one_view_that_is_gathered_is_the_step_that_is_always_taken() -> None:
    usual, gathered = trained(), trained(rates__clip=1e6)
    a, b = tensors_of(usual), tensors_of(gathered)
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


def test_the_gradient_of_three_views_is_the_mean_of_theirs() -> None:
    state = trained().state()
    views = [1, 5, 2]
    single = [gradients_on(state, [view]) for view in views]
    together = gradients_on(state, views, objective__views_per_step=3)
    for name, found in together.items():
        rows = slice(1, 2) if name == "background" else slice(None)  # its mean gradient
        wanted = np.mean([one[name][rows] for one in single], axis=0)
        assert np.abs(wanted).max() > 0.0
        assert np.abs(found[rows] - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_clipped_gradient_has_that_length_and_the_same_direction() -> None:
    state = trained().state()
    free, tight = (gradients_on(state, [3], rates__clip=clip) for clip in (1e6, 1e-4))
    both = [
        np.concatenate([found["field.density_m"], found["field.sh_m"].reshape(-1)]) for found in (free, tight)
    ]
    whole, short = (vector.astype(np.float64) for vector in both)
    assert np.linalg.norm(whole) > 2e-4
    assert np.linalg.norm(short) == pytest.approx(1e-4, rel=1e-4)
    assert whole @ short == pytest.approx(np.linalg.norm(whole) * np.linalg.norm(short), rel=1e-5)


def test_a_gradient_that_is_not_finite_changes_nothing_where_it_is_clipped() -> None:
    made = trained(rates__clip=1.0)
    made.field.sh[:, 0] = np.inf  # as a step that went wrong would leave it
    made.queue, before = [0], made.field.density.copy()
    made.train_step()
    assert np.array_equal(made.field.density, before)


def test_a_round_of_batches_takes_every_view_once_and_counts_each() -> None:
    made = model(objective__views_per_step=4)
    reports = [made.train_step() for _ in range(2)]
    taken = [view for r in reports for view in (r.view, *(view for view, _ in r.others))]
    assert sorted(taken) == list(range(8)) and made.window_views == 8 and made.step == 2


def test_batches_learn_and_give_the_same_bits_with_any_number_of_threads() -> None:
    threads, made = crew().n, []
    for n in (1, 2):
        set_threads(n)
        made.append(trained(25, objective__views_per_step=2, rates__clip=0.1))
    set_threads(threads)
    a, b = (tensors_of(one) for one in made)
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []
    assert np.mean([made[0].train_step().psnr for _ in range(4)]) > model().train_step().psnr + 3.0


def test_several_processes_refuse_batches_in_a_sentence() -> None:
    made = model(objective__views_per_step=2)
    made.join(Solo())
    with pytest.raises(UserError, match=r"objective\.views_per_step cannot be used by several processes"):
        made.train_step()


def test_sums_hold_every_view_where_only_some_saw_a_voxel() -> None:
    rng = np.random.default_rng(0)

    def part(groups: list[int]) -> FieldGradients:
        seen = np.zeros((2, 48), np.float32)
        seen[1] = -np.inf
        for group in groups:
            seen[:, 16 * group] = rng.random(), -rng.random()
        coefficients = rng.random((len(groups), 4, 16)).astype(np.float32)
        return FieldGradients(
            np.array(groups, np.int32), coefficients, rng.random(5).astype(np.float32), seen
        )

    a, b = part([0, 2]), part([2])
    wanted = np.stack([a.coefficients[0], a.coefficients[1] + b.coefficients[0]])
    v_density, seen = a.v_density + b.v_density, np.maximum(a.seen, b.seen)
    gathered = GradientSum()
    gathered.add(a)
    gathered.add(b)
    total = gathered.total()
    assert list(total.groups) == [0, 2] and np.array_equal(total.seen, seen)
    assert np.array_equal(total.coefficients, wanted) and np.array_equal(total.v_density, v_density)
    everything = np.concatenate([wanted[:, :3].reshape(-1), v_density])
    assert gradient_norm(total) == pytest.approx(np.linalg.norm(everything), rel=1e-6)
