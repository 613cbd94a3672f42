# SPDX-License-Identifier: MIT
"""Pictures, videos, paths, checkpoints; and that a renderer needs neither trainer nor datasets."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import CheckpointError, OptionError
from engine.inf_nerf import (
    InfNeRF,
    InfNeRFRenderer,
    InfNeRFRendererConfig,
    fly_through,
    orbit,
    render_demo_images,
    spiral,
    zoom_out,
)
from engine.inf_nerf import pictures as pictures_module
from tests.inf_nerf.small import small_config, small_model, small_trainer

ROOT = Path(__file__).resolve().parent.parent.parent
LENS = torch.tensor([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]])  # of 32 x 24 pixels


def renderer(**values) -> InfNeRFRenderer:
    config = InfNeRFRendererConfig(**(dict(image_width=32, image_height=24) | values))
    return InfNeRFRenderer(small_model(), config)


def pose() -> torch.Tensor:
    return orbit([0, 0, 0], 3.0, 4)[1]


def test_a_picture_has_all_its_parts_and_says_what_it_touched():
    out = renderer().render_image(pose(), LENS)
    assert out["rgb"].shape == (24, 32, 3) and out["depth"].shape == out["alpha"].shape == out[
        "level"
    ].shape == (24, 32)
    stats, model = out["stats"], renderer().model
    assert stats["touched_bytes"] == len(stats["touched_nodes"]) * model.fields.node_bytes
    assert sum(stats["touched_per_level"]) == len(stats["touched_nodes"])
    assert 0.0 < stats["share"] <= 1.0 and stats["model_bytes"] == model.model_bytes()
    there = out["alpha"] > 0.5
    assert 1.0 < float(out["depth"][there].mean()) < 4.5  # the cube lies 2 to 4.4 units away
    assert 0.0 <= float(out["level"].min()) and float(out["level"].max()) <= 2.0


def test_chunks_change_nothing():
    whole = renderer().render_image(pose(), LENS)
    parts = renderer(render_chunk_size=100, max_rays_per_batch=333).render_image(pose(), LENS)
    assert torch.allclose(whole["rgb"], parts["rgb"], atol=1e-5)
    assert whole["stats"]["samples"] == parts["stats"]["samples"]


def test_a_picture_of_the_touched_nodes_alone_is_the_same():
    draws = renderer()
    whole = draws.render_image(pose(), LENS)
    draws.resident = torch.zeros(draws.model.tree.nodes, dtype=torch.bool)
    draws.resident[whole["stats"]["touched_nodes"]] = True
    assert torch.equal(draws.render_image(pose(), LENS)["rgb"], whole["rgb"])


def test_smaller_pictures_rescale_the_lens_and_ask_coarser_nodes():
    far = orbit([0, 0, 0], 6.0, 4)[1]
    large = LENS * torch.tensor([[8.0], [8.0], [1.0]])  # of 256 x 192: seen by its principal point
    out = renderer().render_image(far, large)
    assert torch.equal(out["rgb"], renderer().render_image(far, LENS)["rgb"])
    explicit = renderer().render_image(far, large, intrinsics_size=(192, 256))
    assert torch.equal(out["rgb"], explicit["rgb"])
    fine = renderer(image_width=256, image_height=192).render_image(far, LENS)
    assert float(fine["level"].mean()) > float(out["level"].mean()) + 0.2
    off = LENS.clone()
    off[0, 2] = 17.0  # a little beside the middle: still a lens of this size
    moved = renderer().render_image(far, off)
    assert torch.allclose(moved["rgb"][:, 1:], out["rgb"][:, :-1], atol=1e-3)
    with pytest.raises(OptionError, match="give intrinsics_size"):
        renderer().render_image(far, torch.tensor([[40.0, 0, 0], [0, 40, 0], [0, 0, 1]]))


def test_files_hold_what_was_rendered(tmp_path):
    draws = renderer(save_depth=True, save_alpha=True)
    out = draws.render_image(pose(), LENS, output_path=tmp_path / "new" / "a.png")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.png", "a_alpha.png", "a_depth.npy"]
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert np.abs(np.asarray(image) / 255.0 - out["rgb"].numpy()).max() < 0.5 / 255.0 + 1e-4
    assert np.array_equal(np.load(tmp_path / "new" / "a_depth.npy"), out["depth"].numpy())
    with Image.open(tmp_path / "new" / "a_alpha.png") as image:
        assert np.abs(np.asarray(image) / 65_535.0 - out["alpha"].numpy()).max() < 1e-4


def test_videos_are_written_whole_and_without_imageio_become_folders(tmp_path, monkeypatch):
    import imageio.v2 as imageio

    draws = renderer(image_width=33, image_height=24)
    path = draws.render_spiral_video(torch.tensor([0, 0, 0]), 3.0, 3, LENS, tmp_path / "a.mp4", fps=10)
    frames = imageio.mimread(path)
    assert len(frames) == 3 and frames[0].shape == (24, 32, 3)  # a last odd column is lost
    find = importlib.util.find_spec
    monkeypatch.setattr(
        pictures_module.importlib.util,
        "find_spec",
        lambda name: None if name == "imageio_ffmpeg" else find(name),
    )
    folder = draws.render_video(orbit([0, 0, 0], 3.0, 2), LENS, tmp_path / "b.mp4")
    assert folder == tmp_path / "b"
    assert sorted(p.name for p in folder.iterdir()) == ["frame_00000.png", "frame_00001.png"]
    with pytest.raises(OptionError, match="at least one pose"):
        draws.render_video([], LENS, tmp_path / "c")


def test_demo_images_look_from_all_around(tmp_path):
    files = render_demo_images(renderer(), num_views=3, output_dir=tmp_path / "demo")
    assert [f.name for f in files] == ["view_000.png", "view_001.png", "view_002.png"]
    found = [np.asarray(Image.open(f)) for f in files]
    assert found[0].shape == (24, 32, 3) and not np.array_equal(found[0], found[1])


# --- paths -----------------------------------------------------------------------------------------------------------


def test_every_path_is_made_of_rotations_that_look_where_they_should():
    center = torch.tensor([1.0, 2.0, 3.0])
    paths = {
        "orbit": orbit(center, 2.0, 8), "spiral": spiral(center, 2.0, 8),
        "out": zoom_out(center, 2.0, 8, factor=8.0), "fly": fly_through(orbit(center, 2.0, 4), 7),
    }  # fmt: skip
    for name, poses in paths.items():
        turn = poses[:, :3, :3]
        assert torch.allclose(turn @ turn.transpose(1, 2), torch.eye(3).expand_as(turn), atol=1e-5), name
        assert torch.allclose(torch.det(turn), torch.ones(len(turn)), atol=1e-5), name
        if name != "fly":
            ahead = torch.nn.functional.normalize(center - poses[:, :3, 3], dim=-1)
            assert torch.allclose(poses[:, :3, 2], ahead, atol=1e-5), name
    heights = paths["spiral"][:, 2, 3] - 3.0
    assert float(heights.max()) == pytest.approx(1.0) and float(heights.min()) == pytest.approx(-1.0)
    away = (paths["out"][:, :3, 3] - center).norm(dim=1)
    assert float(away[-1]) == pytest.approx(16.0) and torch.allclose(away[1:] / away[:-1], away[1] / away[0])
    assert torch.allclose(
        paths["fly"][::2], orbit(center, 2.0, 4), atol=1e-5
    )  # the given poses, and between them
    with pytest.raises(OptionError, match="two or more poses"):
        fly_through(torch.eye(4)[None], 5)
    with pytest.raises(OptionError, match="at least 1 frame"):
        orbit(center, 2.0, 0)


def test_zooming_out_moves_from_fine_to_coarse_nodes():
    draws = renderer()
    levels = []
    for camera in zoom_out([0.3, 0.3, 0.3], 1.0, 3, factor=16.0):
        out = draws.render_image(camera, LENS)
        levels.append(float(out["level"][out["alpha"] > 0.2].mean()))
    assert levels[0] > levels[1] > levels[2]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_renders_as_the_model_it_was_made_of(tmp_path):
    trainer = small_trainer(dict(occupancy_cells=4, appearance_dim=2))
    for _ in range(3):
        trainer.train_step()
    trainer.save(tmp_path / "best.pth")
    config = InfNeRFRendererConfig(image_width=32, image_height=24)
    wanted = InfNeRFRenderer(trainer.model, config).render_image(pose(), LENS)
    found = InfNeRFRenderer.from_checkpoint(tmp_path / "best.pth", config).render_image(pose(), LENS)
    assert torch.equal(found["rgb"], wanted["rgb"])
    record = torch.load(tmp_path / "best.pth", weights_only=True)  # nothing but tensors and plain values
    assert record["config"]["hidden_dim"] == 16


def test_fields_of_ones_own_are_saved_with_their_factory(tmp_path):
    from tests.inf_nerf.test_model import Plain, plain_model

    model = plain_model()
    model.save(tmp_path / "own.pth")
    again = InfNeRF.load(tmp_path / "own.pth", lambda config, node: Plain(node))
    rays = torch.zeros(1, 3) - 2.0, torch.ones(1, 3)
    assert torch.equal(again(*rays, 0.1, 9.0, 40.0)["rgb"], model(*rays, 0.1, 9.0, 40.0)["rgb"])
    with pytest.raises(CheckpointError, match="Give it the field_factory that it was trained with"):
        InfNeRF.load(tmp_path / "own.pth")


def test_what_is_no_checkpoint_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="There is no file"):
        InfNeRFRenderer.from_checkpoint(tmp_path / "none.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(CheckpointError, match="torn, or holds more than tensors"):
        InfNeRFRenderer.from_checkpoint(tmp_path / "torn.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="holds no InfNeRF"):
        InfNeRFRenderer.from_checkpoint(tmp_path / "other.pth")
    torch.save({"kind": "infnerf library model", "version": 99}, tmp_path / "new.pth")
    with pytest.raises(CheckpointError, match="version 99"):
        InfNeRFRenderer.from_checkpoint(tmp_path / "new.pth")


_RENDER = """
import sys, torch
from engine.inf_nerf.renderer import InfNeRFRenderer
from engine.inf_nerf import InfNeRFRendererConfig, orbit
draws = InfNeRFRenderer.from_checkpoint(sys.argv[1], InfNeRFRendererConfig(image_width=4, image_height=4))
draws.render_image(orbit([0, 0, 0], 3.0, 1)[0], torch.tensor([[4.0, 0, 2], [0, 4, 2], [0, 0, 1]]))
print([m for m in sys.modules if m.startswith(("engine.datasets", "engine.methods", "engine.inf_nerf.trainer", "app"))])
"""


def test_a_renderer_loads_neither_trainer_nor_datasets(tmp_path):
    InfNeRF(small_config(occupancy_cells=4)).save(tmp_path / "a.pth")
    done = subprocess.run(
        [sys.executable, "-c", _RENDER, str(tmp_path / "a.pth")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
