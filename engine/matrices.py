# SPDX-License-Identifier: MIT
"""Camera matrices and intrinsics, as the document's calls take them, to the engine's cameras and back to scene units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.shapes import check_shapes

_TURNED = 1e-3  # rotations may be off orthonormal by float32 rounding and a little more


@dataclass(frozen=True)
class Frame:
    """Where the engine's cube lies: `extent` scene units wide, around `center`."""

    extent: float
    center: tuple[float, float, float]

    def pose(self, camera_matrix: Tensor) -> Tensor:
        """Return the pose [4,4] in engine units of one in scene units, differentiably."""
        center = camera_matrix.new_tensor(self.center)
        position = (camera_matrix[:3, 3] - center) / self.extent
        upper = torch.cat([camera_matrix[:3, :3], position[:, None]], dim=1)
        return torch.cat([upper, camera_matrix.new_tensor([[0.0, 0.0, 0.0, 1.0]])])

    def points(self, points: Tensor) -> Tensor:
        """Return points [...,3] in engine units."""
        return (points - points.new_tensor(self.center)) / self.extent


def floating(caller: str, camera_matrix: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as floating-point tensors, or raise ValueError saying what is wrong with them.

    `camera_matrix [4,4]` leads from the camera to the world, OpenCV axes: x right, y down, z forward. `intrinsics [3,3]`
    has fx, fy, cx, cy in pixels, whole numbers as well, pixel centres at + 0.5.
    """
    camera_matrix, intrinsics = (torch.as_tensor(m) for m in (camera_matrix, intrinsics))
    check_shapes(caller, camera_matrix=(camera_matrix, "4 4"), intrinsics=(intrinsics, "3 3"))
    if not camera_matrix.is_floating_point():
        camera_matrix = camera_matrix.float()
    turn = camera_matrix.detach()[:3, :3].double()
    if not (turn @ turn.T - torch.eye(3, device=turn.device)).abs().max() < _TURNED or torch.det(turn) < 0.0:
        raise ValueError(
            f"{caller}(): camera_matrix must lead from the camera to the world and its upper left 3 x 3 must be a rotation; "
            "remove scale and mirroring from it."
        )
    lens = intrinsics.detach().double()
    if not (lens[0, 0] > 0.0 and lens[1, 1] > 0.0 and bool(torch.isfinite(lens).all())):
        raise ValueError(
            f"{caller}(): intrinsics must have focal lengths above 0, got {lens[0, 0]:g} and {lens[1, 1]:g}."
        )
    return camera_matrix, intrinsics


def camera_of(pose: Tensor, intrinsics: Tensor, width: int, height: int) -> Camera:
    """Return the camera of a pose [4,4] in engine units and intrinsics [3,3] that belong to this size."""
    lens = intrinsics.detach().double().cpu().numpy()
    world_from_cam = pose.detach().double().cpu().numpy()
    return Camera(width, height, lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2], world_from_cam)


def resized_intrinsics(
    intrinsics: Tensor, size: tuple[int, int], new_size: tuple[int, int]
) -> Tensor:  # sizes are (height, width)
    """Return intrinsics [3,3] of a picture of another size: both rows scale with their side."""
    scale = torch.tensor([new_size[1] / size[1], new_size[0] / size[0], 1.0], dtype=torch.float64)
    scaled = intrinsics.double() * scale[:, None].to(intrinsics.device)
    return scaled.to(intrinsics.dtype if intrinsics.is_floating_point() else torch.float32)


def matrices_of(camera: Camera, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return (camera_matrix [4,4] in scene units, intrinsics [3,3]), float32, of a camera in engine units."""
    pose = np.array(camera.world_from_cam)
    pose[:3, 3] = pose[:3, 3] * frame.extent + np.asarray(frame.center)
    lens = np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])
    return torch.from_numpy(pose).float(), torch.from_numpy(lens).float()
