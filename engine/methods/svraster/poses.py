# SPDX-License-Identifier: MIT
"""Camera poses that are refined while training, each step of a view moving its own camera a little (`poses.refine`).

A pose is a rotation R [3,3] and a position p [3], world from camera. Turning a camera a little and moving it sideways change its
picture almost alike, so a step is taken along motions that differ more: turning in place about the camera's x, y and z, circling
about the point P that it looks at (x, y: P stays where it is in the picture), and moving nearer. Adam weighs the four
kinds by themselves. Turning all cameras and the scene together changes no picture, so what all poses have in common against
their starts is taken out after every round: the scene stays where it was.
"""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera
from engine.methods.svraster.config import PoseOptions

_BETA1, _BETA2, _EPSILON = 0.9, 0.99, 1e-15
_SMALL_ANGLE = 1e-12
_LEAST_DISTANCE = 0.25  # engine units from a camera to what it is taken to look at
_KINDS = ([0, 1], [2], [3, 4], [5])  # of the six motions: turn x y, roll, circle x y, nearer
_KIND_OF = np.array([0, 0, 1, 2, 2, 3])


class Poses:
    """`pose [C,3,4]` float64 of the training views as they are now, `start` as the capture has them."""

    def __init__(self, cameras: list[Camera]) -> None:
        self.start = np.array([camera.world_from_cam[:3] for camera in cameras]).reshape(-1, 3, 4)
        self.pose = self.start.copy()
        self._mean, self._square = np.zeros((len(cameras), 6)), np.zeros((len(cameras), 6))
        self._age = np.zeros(len(cameras), dtype=np.int64)
        self.moved = False

    def camera(self, view: int, camera: Camera) -> Camera:
        """Return a camera of a training view, of any resolution, at the view's refined pose."""
        if not self.moved:
            return camera
        matrix = np.eye(4)
        matrix[:3] = self.pose[view]
        return camera.moved(matrix)

    def update(self, view: int, gradient: np.ndarray, step: int, options: PoseOptions) -> None:
        """Move a view along the gradient [3,4] of its pose; after a round of all views take the common motion out."""
        pose = self.pose[view]
        pivot = point_looked_at(pose)
        slopes = slopes_of(pose, pivot, gradient)
        self._age[view] += 1
        self._mean[view] = _BETA1 * self._mean[view] + (1.0 - _BETA1) * slopes
        self._square[view] = _BETA2 * self._square[view] + (1.0 - _BETA2) * slopes**2
        age = self._age[view]
        mean, square = self._mean[view] / (1.0 - _BETA1**age), self._square[view] / (1.0 - _BETA2**age)
        size = np.sqrt([square[kind].mean() for kind in _KINDS])[_KIND_OF] + _EPSILON
        turn, move = rates(options, step)
        rate = np.array([turn, turn, move / np.linalg.norm(pivot - pose[:, 3]), move])[_KIND_OF]
        self.pose[view] = moved(pose, pivot, -rate * mean / size)
        self.moved = True
        if self._age.sum() % max(1, len(self.pose)) == 0:
            self.hold_still()

    def hold_still(self) -> None:
        """Take out the rotation and shift that all poses have in common against their starts."""
        turn, shift = common_motion(self.start, self.pose)
        self.pose[:, :, :3] = turn.T @ self.pose[:, :, :3]
        self.pose[:, :, 3] = (self.pose[:, :, 3] - shift) @ turn

    def angles_deg(self) -> np.ndarray:
        """Return by how many degrees each view [C] was turned so far."""
        return np.degrees(angles_between(self.start[:, :, :3], self.pose[:, :, :3]))

    def rows(self) -> np.ndarray:
        """Return everything but the starts as [C,25] for a checkpoint."""
        n = len(self.pose)
        return np.concatenate(
            [self.pose.reshape(n, 12), self._mean, self._square, self._age[:, None]], axis=1
        )

    def load_rows(self, rows: np.ndarray) -> None:
        """Take over what `rows` returned."""
        self.pose = rows[:, :12].reshape(-1, 3, 4).copy()
        self._mean, self._square = rows[:, 12:18].copy(), rows[:, 18:24].copy()
        self._age = rows[:, 24].astype(np.int64)
        self.moved = bool(self._age.any())


def point_looked_at(pose: np.ndarray) -> np.ndarray:
    """Return the point [3] on a pose's axis that is nearest to the scene's centre, in front of the camera."""
    forward = pose[:, 2]
    return pose[:, 3] + forward * max(-float(forward @ pose[:, 3]), _LEAST_DISTANCE)


def slopes_of(pose: np.ndarray, pivot: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the slopes [6] along the motions of `moved`, from the gradient [3,4] of a pose [3,4]."""
    rotation = pose[:, :3]
    along = rotation.T @ gradient[:, :3]  # <dL/dR, R [e]x> for the three axes e
    turn = np.array([along[2, 1] - along[1, 2], along[0, 2] - along[2, 0], along[1, 0] - along[0, 1]])
    circle = turn + rotation.T @ np.cross(pose[:, 3] - pivot, gradient[:, 3])
    return np.array([*turn, *circle[:2], rotation[:, 2] @ gradient[:, 3]])


def moved(pose: np.ndarray, pivot: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Return a pose [3,4] after a motion [6]: turned about x, y, z, circled about the pivot by x, y (rad), moved forward."""
    rotation, position = pose[:, :3], pose[:, 3]
    circle = rotation @ rotation_of(np.array([motion[3], motion[4], 0.0])) @ rotation.T
    position = pivot + circle @ (position - pivot) + rotation[:, 2] * motion[5]
    turned = nearest_rotation(
        circle @ rotation @ rotation_of(motion[:3])
    )  # rounding would add up over many steps
    return np.concatenate([turned, position[:, None]], axis=1)


def rates(options: PoseOptions, step: int) -> np.ndarray:
    """Return the learning rates [2] of rotations in radians and of positions in engine units at a step."""
    share = min(1.0, step / options.until)
    return np.array([np.radians(options.rotation_rate), options.position_rate]) * options.last_share**share


def rotation_of(vector: np.ndarray) -> np.ndarray:
    """Return the rotation [3,3] about a vector [3] by its length in radians."""
    angle = float(np.linalg.norm(vector))
    if angle < _SMALL_ANGLE:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation [3,3] that is nearest to a matrix [3,3]."""
    u, _, v = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v


def angles_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles [C] in radians between rotations [C,3,3]; exact for small ones, too."""
    half = np.linalg.norm(a - b, axis=(1, 2)) / np.sqrt(8.0)
    return 2.0 * np.arcsin(np.clip(half, 0.0, 1.0))


def common_motion(start: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation [3,3] and shift [3] that lead poses [C,3,4] from their starts to where they are, in the mean."""
    turn = nearest_rotation((pose[:, :, :3] @ start[:, :, :3].transpose(0, 2, 1)).sum(axis=0))
    return turn, (pose[:, :, 3] - start[:, :, 3] @ turn.T).mean(axis=0)
