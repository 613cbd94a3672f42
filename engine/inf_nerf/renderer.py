# SPDX-License-Identifier: MIT
"""Renders a trained model: pictures, videos, demos. Knows neither trainer nor datasets, so it can be shipped without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import OptionError
from engine.inf_nerf import trajectories
from engine.inf_nerf.fields import FieldFactory
from engine.inf_nerf.model import InfNeRF
from engine.inf_nerf.pictures import bytes_of, save_picture, video_writer
from engine.inf_nerf.settings import InfNeRFRendererConfig
from engine.matrices import floating, resized_intrinsics

_OF_THIS_SIZE = 0.1  # a principal point so near to the middle belongs to a picture of the renderer's size
_DEMO_RADIUS, _DEMO_FOV = 2.0, 0.7  # half edges of the root's cube; focal length is height / (2 tan(fov / 2))


class InfNeRFRenderer:
    """Makes pictures of a model. `model` and `config` are public, and may be changed between two pictures.

    `resident` bool [nodes], where set, says which nodes may be asked besides the root; their ancestors stand in for others.
    """

    def __init__(self, model: InfNeRF, config: InfNeRFRendererConfig | None = None) -> None:
        self.model = model
        self.config = config or InfNeRFRendererConfig()
        self.resident: Tensor | None = None

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        renderer_config: InfNeRFRendererConfig | None = None,
        field_factory: FieldFactory | None = None,
        device: torch.device | str = "cpu",
    ) -> InfNeRFRenderer:
        """Return a renderer of a checkpoint: the library's (.pth), the app's (.safetensors), or a run folder of the app.

        Nothing but tensors and plain values is read from it. Raises CheckpointError in one sentence.
        """
        return cls(InfNeRF.load(path, field_factory).to(device), renderer_config)

    # --- one picture ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def render_image(
        self,
        camera_pose: Tensor,  # [4,4] from the camera to the world, OpenCV axes, scene units
        intrinsics: Tensor,  # [3,3] pixels
        intrinsics_size: tuple[int, int] | None = None,
        *,
        photo: int | None = None,
        output_path: str | Path | None = None,
    ) -> dict[str, Any]:
        """Return `rgb [H,W,3]`, `depth [H,W]` (z in scene units, 0 where nothing is), `alpha`, `level` [H,W], and `stats`.

        `intrinsics_size` (height, width) is that of the picture that the intrinsics belong to; None: what their principal
        point is the middle of, unless that is about the renderer's own size. They are brought to the size of the
        configuration, because a pixel's width decides which nodes are asked. `level` is the mean of the levels seen.

        `stats` has `touched_nodes` (their numbers), `touched_bytes`, `model_bytes`, their quotient `share`, `samples`, and
        `touched_per_level`. With an `output_path` the picture is written there too, see the configuration.
        """
        pose, lens = self._camera(camera_pose, intrinsics, intrinsics_size)
        height, width = self.config.size
        parts: dict[str, list[Tensor]] = {"rgb": [], "depth": [], "alpha": [], "level": []}
        touched = torch.zeros(self.model.tree.nodes, dtype=torch.int64, device=self.model.device)
        was_training = self.model.training
        self.model.eval()
        try:
            for rays_o, rays_d in self._rays(pose, lens):
                for out in self._marched(rays_o, rays_d, lens, photo):
                    seen = torch.where(out["acc"] > 0.0, out["acc"], 1.0)
                    parts["rgb"].append(out["rgb"].cpu())
                    parts["depth"].append(out["depth"].cpu())
                    parts["alpha"].append(out["acc"].cpu())
                    parts["level"].append(((out["weights"] * out["level"]).sum(dim=1) / seen).cpu())
                    asked = out["node_ids"][out["deltas"] > 0.0]
                    touched += torch.bincount(asked, minlength=len(touched))
        finally:
            self.model.train(was_training)
        result: dict[str, Any] = {
            name: torch.cat(chunks).reshape(height, width, *chunks[0].shape[1:]) for name, chunks in parts.items()
        }  # fmt: skip
        result["stats"] = self._stats(touched.cpu())
        if output_path is not None:
            save_picture(result, output_path, self.config.save_depth, self.config.save_alpha)
        return result

    def _camera(
        self, camera_pose: Tensor, intrinsics: Tensor, size: tuple[int, int] | None
    ) -> tuple[Tensor, Tensor]:
        pose, lens = floating("InfNeRFRenderer.render_image", camera_pose, intrinsics)
        wanted = self.config.size
        if size is None:
            size = (round(2.0 * float(lens[1, 2])), round(2.0 * float(lens[0, 2])))
            if min(size) < 1:
                raise OptionError(
                    "InfNeRFRenderer.render_image() cannot tell the size of the picture that the intrinsics belong to; give "
                    "intrinsics_size=(height, width)."
                )
            if all(abs(s - w) <= _OF_THIS_SIZE * w for s, w in zip(size, wanted)):
                size = wanted
        lens = resized_intrinsics(lens.double(), size, wanted)
        return pose.to(self.model.device, torch.float64), lens.to(self.model.device)

    def _rays(self, pose: Tensor, lens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield origins and directions of the picture's rays, row after row, z component 1 in the camera."""
        height, width = self.config.size
        for pixels in torch.arange(height * width, device=pose.device).split(self.config.max_rays_per_batch):
            x = ((pixels % width).double() + 0.5 - lens[0, 2]) / lens[0, 0]
            y = ((pixels // width).double() + 0.5 - lens[1, 2]) / lens[1, 1]
            rays_d = (torch.stack([x, y, torch.ones_like(x)], dim=-1) @ pose[:3, :3].T).float()
            yield pose[:3, 3].float().expand_as(rays_d), rays_d

    def _marched(
        self, rays_o: Tensor, rays_d: Tensor, lens: Tensor, photo: int | None
    ) -> Iterator[dict[str, Tensor]]:
        config, chunk = self.model.config, self.config.render_chunk_size
        focal = torch.sqrt(lens[0, 0] * lens[1, 1]).float()
        near, far = (plane * config.scene_bound for plane in (config.near_plane, config.far_plane))
        resident = None if self.resident is None else self.resident.to(rays_o.device)
        for o, d in zip(rays_o.split(chunk), rays_d.split(chunk)):
            own = None if photo is None else torch.full((len(o),), photo, device=o.device)
            yield self.model(o, d, near, far, focal, photo=own, resident=resident)

    def _stats(self, touched: Tensor) -> dict[str, Any]:
        nodes = torch.nonzero(touched)[:, 0]
        depth = torch.from_numpy(self.model.tree.depth)[nodes].long()
        whole, used = self.model.tree.nodes, len(nodes) * self.model.fields.node_bytes
        return {
            "touched_nodes": nodes, "touched_bytes": used, "model_bytes": self.model.model_bytes(),
            "share": len(nodes) / whole, "samples": int(touched.sum()),
            "touched_per_level": torch.bincount(depth, minlength=self.model.tree.levels).tolist(),
        }  # fmt: skip

    # --- many pictures --------------------------------------------------------------------------------------------

    def render_video(
        self,
        camera_trajectory: Any,
        intrinsics: Tensor,
        output_path: str | Path,
        intrinsics_size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> Path:
        """Render poses [N,4,4], or any iterable of [4,4], into a video; return where it is.

        .mp4, .mov and .mkv become videos, through imageio; a name without a suffix becomes a folder of PNG pictures, as does
        a video where imageio is missing. Videos lose a last odd row and column. Whole or not at all.
        """
        writer = video_writer(output_path, self.config.fps if fps is None else fps)
        frames = 0
        try:
            for pose in camera_trajectory:
                rgb = bytes_of(self.render_image(torch.as_tensor(pose), intrinsics, intrinsics_size)["rgb"])
                if writer.path.suffix:
                    rgb = rgb[: len(rgb) // 2 * 2, : rgb.shape[1] // 2 * 2]
                writer.write(frames, rgb.copy())
                frames += 1
            if not frames:
                raise OptionError("InfNeRFRenderer.render_video() needs at least one pose, got none.")
            writer.finish()
        except BaseException:
            writer.discard()
            raise
        return writer.path

    def render_spiral_video(
        self,
        center: Any,
        radius: float,
        num_frames: int,
        intrinsics: Tensor,
        output_path: str | Path,
        height: float = 0.5,
        turns: float = 2.0,
        up: Any = trajectories.UP,
        fps: float | None = None,
    ) -> Path:
        """Render a spiral about `center [3]`, `radius` scene units away, into a video; see `trajectories.spiral`."""
        poses = trajectories.spiral(center, radius, num_frames, height, up, turns)
        return self.render_video(poses, intrinsics, output_path, fps=fps)


def render_demo_images(
    renderer: InfNeRFRenderer,
    num_views: int = 8,
    output_dir: str | Path = "demo_renders",
    intrinsics: Tensor | None = None,
    radius: float | None = None,
    up: Any = trajectories.UP,
) -> list[Path]:
    """Write pictures from all around the scene's middle as `view_000.png` and so on; return the files.

    `radius` None is two half edges of the root's cube; `intrinsics` None a normal lens of the renderer's size.
    """
    config = renderer.model.config
    radius = _DEMO_RADIUS * config.scene_bound if radius is None else radius
    height, width = renderer.config.size
    if intrinsics is None:
        focal = 0.5 * height / torch.tan(torch.tensor(0.5 * _DEMO_FOV))
        intrinsics = torch.tensor([[focal, 0.0, 0.5 * width], [0.0, focal, 0.5 * height], [0.0, 0.0, 1.0]])
    files = []
    for i, pose in enumerate(trajectories.orbit(config.scene_center, radius, num_views, up=up)):
        files.append(Path(output_dir) / f"view_{i:03d}.png")
        renderer.render_image(pose, intrinsics, output_path=files[-1])
    return files
