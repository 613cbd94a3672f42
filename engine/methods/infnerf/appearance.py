# SPDX-License-Identifier: MIT
"""A vector for each photo, learned with the fields, that says in what light it was taken. All scales of a photo share it."""

from __future__ import annotations

import numpy as np

from engine.methods.infnerf.config import RateOptions


class Appearance:
    """`rows [P,A]` float32, zero at first, and Adam's moments; A may be 0."""

    def __init__(self, photos: int, size: int) -> None:
        self.rows = np.zeros((photos, size), dtype=np.float32)
        self.means, self.squares = np.zeros_like(self.rows), np.zeros_like(self.rows)
        self.ages = np.zeros(photos, dtype=np.int64)

    @property
    def on(self) -> bool:
        """Whether there is anything to learn."""
        return self.rows.shape[1] > 0

    @property
    def nbytes(self) -> int:
        """The bytes held."""
        return 3 * self.rows.nbytes + self.ages.nbytes

    def of_rays(self, view: np.ndarray) -> np.ndarray | None:
        """Return the rows [Q,A] of rays that come from photos view [Q], None without any."""
        return self.rows[view] if self.on else None

    def usual(self, rays: int) -> np.ndarray | None:
        """Return the mean of the photos for each of so many rays, [Q,A]: for a view that no photo shows."""
        return np.broadcast_to(self.rows.mean(axis=0), (rays, self.rows.shape[1])) if self.on else None

    def step(self, view: np.ndarray, v_rays: np.ndarray, rates: RateOptions, rate: float) -> None:
        """Move the rows of photos that had rays, view [Q], along the rays' gradients [Q,A], by Adam."""
        gradient = np.zeros_like(self.rows)
        np.add.at(gradient, view, v_rays)
        some = np.unique(view)
        self.ages[some] += 1
        age = self.ages[some, None]
        for moments, new, beta in (
            (self.means, gradient, rates.beta1), (self.squares, np.square(gradient), rates.beta2),
        ):  # fmt: skip
            moments[some] = beta * moments[some] + (1.0 - beta) * new[some]
        mean, square = (
            self.means[some] / (1.0 - rates.beta1**age),
            self.squares[some] / (1.0 - rates.beta2**age),
        )
        self.rows[some] -= (rate * mean / (np.sqrt(square) + max(rates.epsilon, 1e-12))).astype(np.float32)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint holds of it."""
        return {f"appearance.{name}": array for name, array in vars(self).items()} if self.on else {}

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what `tensors` returned."""
        if self.on:
            for name in vars(self):
                setattr(self, name, np.array(tensors[f"appearance.{name}"]))
