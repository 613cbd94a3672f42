# SPDX-License-Identifier: MIT
"""The owner's document, in its own spelling: each of its examples does what it says."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
from torch import nn

from engine.errors import OptionError
from engine.inf_nerf import (
    InfNeRF,
    InfNeRFConfig,
    InfNeRFRenderer,
    InfNeRFRendererConfig,
    InfNeRFTrainer,
    InfNeRFTrainerConfig,
    VolumeRenderer,
    VolumeRendererConfig,
    render_demo_images,
)
from tests.inf_nerf.small import SMALL, scene, small_config

DOCUMENTED = {  # names and values as the document's examples have them
    InfNeRFConfig: dict(max_depth=8, hidden_dim=64, num_samples=64),
    InfNeRFTrainerConfig: dict(num_epochs=100, lr_init=1e-2, rays_batch_size=4096),
    InfNeRFRendererConfig: dict(image_width=800, image_height=600),
    VolumeRendererConfig: dict(lambda_rgb=1.0, lambda_depth=0.1),
}


@pytest.mark.parametrize("kind", DOCUMENTED, ids=lambda kind: kind.__name__)
def test_the_documents_values_are_the_defaults(kind):
    made = kind()
    for name, value in DOCUMENTED[kind].items():
        assert getattr(made, name) == value
        assert type(getattr(made, name)) is type(value)
    assert kind.from_dict(made.to_dict()).to_dict() == made.to_dict()


def test_settings_that_are_described_exist():
    named = {
        InfNeRFConfig: ("scene_bound",), InfNeRFTrainerConfig: ("mixed_precision", "distributed", "local_rank"),
        InfNeRFRendererConfig: ("render_chunk_size", "max_rays_per_batch", "save_depth", "save_alpha"),
        VolumeRendererConfig: ("lambda_distortion", "lambda_level", "lambda_transparency"),
    }  # fmt: skip
    for kind, names in named.items():
        assert set(names) <= {f.name for f in dataclasses.fields(kind)}


def test_basic_use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # 1. 创建模型
    config = InfNeRFConfig(
        max_depth=8,
        hidden_dim=64,
        num_samples=64
    )  # fmt: skip
    model = InfNeRF(config)
    assert isinstance(model, nn.Module) and model.tree.nodes == 1  # data decides how deep it gets
    config = InfNeRFConfig(**(SMALL | dict(max_depth=8, scene_bound=0.5)))
    model = InfNeRF(config)
    train_dataset = scene()

    # 2. 训练模型
    trainer_config = InfNeRFTrainerConfig(
        num_epochs=100,
        lr_init=1e-2,
        rays_batch_size=4096
    )  # fmt: skip
    trainer_config.rays_batch_size, trainer_config.max_steps, trainer_config.validate_views = 64, 3, 1
    trainer = InfNeRFTrainer(model, train_dataset, trainer_config)
    trainer.train()
    assert (tmp_path / "checkpoints" / "best.pth").exists()
    assert 1 < model.tree.levels < 8  # photos of 48 x 48 pixels show no more

    # 3. 渲染图像
    renderer_config = InfNeRFRendererConfig(
        image_width=800,
        image_height=600
    )  # fmt: skip
    renderer_config.image_width, renderer_config.image_height = 16, 12
    renderer = InfNeRFRenderer(model, renderer_config)
    camera_pose, intrinsics = (
        torch.eye(4),
        torch.tensor([[1000.0, 0, 400], [0, 1000, 300], [0, 0, 1]]),
    )  # of 800 x 600

    # 渲染单张图像
    result = renderer.render_image(camera_pose, intrinsics)
    assert result["rgb"].shape == (12, 16, 3)

    # 渲染视频
    renderer.render_spiral_video(
        center=torch.tensor([0, 0, 0]),
        radius=2.0,
        num_frames=3,
        intrinsics=intrinsics,
        output_path="output.mp4"
    )  # fmt: skip
    assert (tmp_path / "output.mp4").stat().st_size > 0

    # 从检查点加载渲染器
    renderer = InfNeRFRenderer.from_checkpoint(
        "checkpoints/best.pth",
        renderer_config
    )  # fmt: skip
    # 渲染演示图像
    render_demo_images(renderer, num_views=8, output_dir="demo_renders")
    assert len(list((tmp_path / "demo_renders").glob("*.png"))) == 8


def test_the_components_have_the_documents_methods():
    parameters = lambda function: list(inspect.signature(function).parameters)  # noqa: E731
    assert parameters(InfNeRF.__init__)[:2] == ["self", "config"]
    wanted = ["self", "rays_o", "rays_d", "near", "far", "focal_length", "pixel_width"]
    assert parameters(InfNeRF.forward)[:7] == wanted
    for name in ("train", "train_step", "validate"):
        assert callable(getattr(InfNeRFTrainer, name))
    assert parameters(InfNeRFTrainer.train_step) == ["self", "batch"]
    assert parameters(InfNeRFRenderer.render_image)[:3] == ["self", "camera_pose", "intrinsics"]
    assert parameters(InfNeRFRenderer.render_video)[:4] == [
        "self",
        "camera_trajectory",
        "intrinsics",
        "output_path",
    ]
    assert parameters(InfNeRFRenderer.render_spiral_video)[:4] == ["self", "center", "radius", "num_frames"]
    assert parameters(VolumeRenderer.volume_render)[:5] == ["self", "colors", "densities", "z_vals", "rays_d"]
    assert parameters(VolumeRenderer.compute_losses) == ["self", "outputs", "targets"]


def test_advanced_settings():
    # 支持多 GPU 训练
    trainer_config = InfNeRFTrainerConfig(
        distributed=True,
        local_rank=0
    )  # fmt: skip
    assert trainer_config.distributed and trainer_config.local_rank == 0

    # 在 VolumeRenderer 中自定义损失权重
    volume_config = VolumeRendererConfig(
        lambda_rgb=1.0,
        lambda_depth=0.1,
        lambda_distortion=0.01
    )  # fmt: skip
    model = InfNeRF(small_config())
    rays_o, rays_d = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    out = model(rays_o, rays_d, 0.1, 10.0, 50.0, 1.0)
    ten, one = (
        VolumeRenderer(c).compute_losses(out, {"rgb": torch.zeros(1, 3)})["distortion_loss"]
        for c in (volume_config, VolumeRendererConfig(lambda_distortion=0.001))
    )
    assert float(ten.detach()) == pytest.approx(10.0 * float(one.detach()))

    # 分块渲染以节省内存
    renderer_config = InfNeRFRendererConfig(
        render_chunk_size=1024,
        max_rays_per_batch=8192
    )  # fmt: skip
    assert renderer_config.render_chunk_size == 1024


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (InfNeRFConfig, {"max_dept": 3}, "InfNeRFConfig has no max_dept. Did you mean max_depth?"),
        (InfNeRFConfig, {"hidden_dim": 40}, "hidden_dim must be a multiple of 16, got 40"),
        (InfNeRFConfig, {"grid_size": 8}, "base_resolution must be at most grid_size"),
        (InfNeRFConfig, {"proposal_samples": (1,)}, "proposal_samples must be None or samples of each round"),
        (InfNeRFConfig, {"occupancy_cells": 5}, "occupancy_cells must be 0 or a power of two"),
        (InfNeRFConfig, {"near_plane": 200.0}, "near_plane must be below far_plane"),
        (InfNeRFTrainerConfig, {"parallel": "both"}, "parallel must be one of data, subtree, got 'both'"),
        (InfNeRFTrainerConfig, {"mixed_precision": 1}, "mixed_precision must be True or False, got 1"),
        (InfNeRFRendererConfig, {"image_width": 0}, "image_width must be 1 to 65535, got 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_a_sentence(kind, values, words):
    with pytest.raises(OptionError, match=words.replace("?", r"\?")):
        kind(**values)
