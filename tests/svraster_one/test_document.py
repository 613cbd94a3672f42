# SPDX-License-Identifier: MIT
"""The owner's documents, in their own spelling: each of their examples that calls something of ours does what it says."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from engine.svraster_one import (
    CombinedLoss,
    MemoryManager,
    PerformanceProfiler,
    RenderingConfig,
    SVRasterOne,
    SVRasterOneConfig,
    SVRasterOneTrainer,
    TrainingConfig,
    VoxelConfig,
    switch_to_inference_mode,
    switch_to_training_mode,
)
from tests.svraster_one.small import small_model, view

DOCUMENTED = {  # names and defaults as the document lists them
    VoxelConfig: dict(
        grid_resolution=256, voxel_size=0.01, max_voxels=1000000, sparsity_threshold=0.01,
        adaptive_subdivision=True, subdivision_threshold=0.1, use_morton_ordering=True,
    ),
    RenderingConfig: dict(
        image_width=800, image_height=600, soft_rasterization=True, temperature=0.1, sigma=1.0,
        depth_sorting="back_to_front", use_soft_sorting=True, alpha_blending=True,
    ),
    TrainingConfig: dict(
        rgb_loss_weight=1.0, depth_loss_weight=0.1, density_reg_weight=0.01, sparsity_weight=0.001,
        learning_rate=1e-3, batch_size=4096, use_amp=True, grad_clip=1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOCUMENTED, ids=lambda kind: kind.__name__)
def test_the_configuration_has_the_documents_names_and_defaults(kind):
    made, names = kind(), [f.name for f in dataclasses.fields(kind)]
    for name, value in DOCUMENTED[kind].items():
        assert name in names
        assert getattr(made, name) == value
        assert type(getattr(made, name)) is type(value)


def test_basic_use():
    # 创建配置
    config = SVRasterOneConfig()
    config.rendering.image_width = 800
    config.rendering.image_height = 600
    config.voxel.grid_resolution = 256
    config.voxel.max_voxels = 1000000

    # 创建模型
    model = SVRasterOne(config)

    # 渲染
    camera_matrix = torch.eye(4)  # 相机变换矩阵
    intrinsics = torch.tensor([[800, 0, 400], [0, 800, 300], [0, 0, 1]])  # 相机内参

    rendered_output = model.forward(camera_matrix, intrinsics, mode="inference")
    rgb_image = rendered_output["rgb"]
    depth_map = rendered_output["depth"]
    assert rgb_image.shape == (600, 800, 3)
    assert depth_map.shape == (600, 800)
    # from the middle of a cube 2.56 wide, faintly filled: what is seen lies half an edge away on average
    assert float(depth_map.mean()) == pytest.approx(0.64, abs=0.15)
    assert 0.0 < float(rendered_output["alpha"].mean()) < 0.5


def test_gradients_reach_the_structure():
    model = small_model()
    camera_matrix, intrinsics, target_data = view(model)

    # 前向传播
    rendered_output = model.forward(camera_matrix, intrinsics, mode="training")

    # 计算损失
    losses = model.compute_loss(rendered_output, target_data)

    # 反向传播（梯度自动传播到体素参数）
    losses["total_loss"].backward()

    # 自适应优化
    gradient_magnitudes = torch.abs(model.voxel_grid.voxel_features.grad[:, 0])
    before = len(model.voxel_grid)
    counts = model.adaptive_optimization(gradient_magnitudes)
    assert counts["subdivided"] > 0
    assert len(model.voxel_grid) == before + 7 * counts["subdivided"] - counts["pruned"] == counts["voxels"]


def test_training():
    model = small_model()
    config = model.config
    camera_matrix, intrinsics, target_data = view(model)
    train_loader = [dict(image=target_data["rgb"], camera_matrix=camera_matrix, intrinsics=intrinsics)] * 3
    val_loader = train_loader[:1]
    trainer = SVRasterOneTrainer(model, config)

    # 训练
    history = trainer.train(train_loader=train_loader, val_loader=val_loader, num_epochs=3, save_dir=None)
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert history[-1]["rgb_loss"] < history[0]["rgb_loss"]
    assert history[-1]["psnr"] > history[0]["psnr"]


def test_a_loop_of_ones_own_adapts_every_hundred_steps():
    model = small_model()
    camera_matrix, intrinsics, target_data = view(model)
    adapted = 0
    for step in range(0, 201, 100):
        # 前向传播和反向传播
        result = model.training_step_forward(camera_matrix, intrinsics, target_data)
        result["total_loss"].backward()

        # 自适应优化（每100步）
        if step % 100 == 0:
            gradient_magnitudes = torch.abs(model.voxel_grid.voxel_features.grad[:, 0])
            model.adaptive_optimization(gradient_magnitudes)
            adapted += 1
    assert adapted == 3
    assert len(model.voxel_grid) > 64


def test_memory():
    model = small_model()
    # 获取内存使用情况
    memory_usage = model.get_memory_usage()
    print(f"内存使用: {memory_usage['total_memory_mb']:.2f} MB")

    # 优化内存使用
    report = model.optimize_memory(target_memory_mb=1000.0)
    assert report["pruned_voxels"] == 0
    assert not report["quantised"]


def test_both_modes_make_pictures():
    model = small_model()
    camera_matrix, intrinsics, _ = view(model)
    # 推理模式（硬光栅化）
    hard = model.forward(camera_matrix, intrinsics, mode="inference")
    # 训练模式（软光栅化）
    soft = model.forward(camera_matrix, intrinsics, mode="training")
    assert not hard["rgb"].requires_grad
    assert soft["rgb"].requires_grad
    assert (hard["rgb"] - soft["rgb"]).abs().max() > 0.01  # footprints are wider


def test_the_grid_adapts_by_itself():
    model = small_model()
    gradient_magnitudes = torch.rand(len(model.voxel_grid))
    # 基于梯度幅度的体素细分
    assert model.voxel_grid.adaptive_subdivision(gradient_magnitudes) > 0

    # 基于密度的体素剪枝
    model.voxel_grid.adaptive_pruning()

    # Morton 排序优化
    order = model.voxel_grid.sort_by_morton()
    assert torch.equal(order, torch.arange(len(model.voxel_grid)))


def test_combined_loss():
    from engine.svraster_one.losses import CombinedLoss as TheSame

    model = small_model()
    config = model.config
    camera_matrix, intrinsics, target_data = view(model)
    rendered_output = model.forward(camera_matrix, intrinsics, mode="training")
    voxel_data = model.voxel_grid.voxel_data()
    # 组合损失函数
    combined_loss = CombinedLoss(config)
    combined_loss.use_ssim = True

    losses = combined_loss(rendered_output, target_data, voxel_data)
    assert TheSame is CombinedLoss
    assert {
        "rgb_loss",
        "density_reg_loss",
        "sparsity_loss",
        "spatial_loss",
        "grad_penalty",
        "ssim_loss",
    } < set(losses)
    total = losses.pop("total_loss")
    assert float(total.detach()) == pytest.approx(sum(float(v.detach()) for v in losses.values()), rel=1e-5)


def test_sequences():
    model = small_model()
    cam1, intrinsics, _ = view(model)
    cam2, cam3 = cam1.clone(), cam1.clone()
    cam2[0, 3] += 0.3
    cam3[1, 3] += 0.3
    # 渲染相机序列
    camera_matrices = torch.stack([cam1, cam2, cam3])  # [N, 4, 4]
    sequence_output = model.render_sequence(camera_matrices, intrinsics)
    assert sequence_output["rgb"].shape == (3, 24, 32, 3)
    for i, camera in enumerate(camera_matrices):
        alone = model.forward(camera, intrinsics, mode="inference")
        assert torch.equal(sequence_output["rgb"][i], alone["rgb"])


def test_voxels_leave_and_come_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = small_model()
    camera_matrix, intrinsics, _ = view(model)
    before = model.forward(camera_matrix, intrinsics, mode="inference")["rgb"]
    # 导出体素数据
    model.export_voxels("voxels.pth")

    # 导入体素数据
    other = SVRasterOne(SVRasterOneConfig(rendering=model.config.rendering))
    other.import_voxels("voxels.pth")
    assert torch.equal(other.forward(camera_matrix, intrinsics, mode="inference")["rgb"], before)


def test_tuning_holds_at_once():
    model = small_model()
    config = model.config
    camera_matrix, intrinsics, _ = view(model)
    # 减少体素数量
    config.voxel.max_voxels = 100000

    # 降低图像分辨率
    config.rendering.image_width = 16
    config.rendering.image_height = 12
    intrinsics = torch.tensor([[20.0, 0, 8], [0, 20, 6], [0, 0, 1]])
    before = model.forward(camera_matrix, intrinsics, mode="training")
    assert before["rgb"].shape == (12, 16, 3)

    # 调整软光栅化参数
    config.rendering.temperature = 0.05
    config.rendering.sigma = 0.25
    after = model.forward(camera_matrix, intrinsics, mode="training")
    assert (after["rgb"] - before["rgb"]).abs().max() > 0.01
    config.voxel.max_voxels = len(model.voxel_grid)
    assert model.voxel_grid.adaptive_subdivision(torch.rand(len(model.voxel_grid))) == 0


def test_modes_switch():
    model = small_model()
    switch_to_inference_mode(model)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    switch_to_training_mode(model)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_the_profiler_compares_the_modes():
    model = small_model()
    camera_matrix, intrinsics, target_data = view(model)
    test_data = dict(image=target_data["rgb"], camera_matrix=camera_matrix, intrinsics=intrinsics)
    results = PerformanceProfiler(repeats=1).profile_training_vs_inference(model, test_data)
    for mode in ("training", "inference"):
        assert results[mode]["time"] > 0.0
        assert results[mode]["memory"] > 0.0
    assert results["comparison"]["speed_ratio"] == results["training"]["time"] / results["inference"]["time"]
    assert (
        results["comparison"]["memory_ratio"]
        == results["training"]["memory"] / results["inference"]["memory"]
    )
    assert results["training"]["loss"] > 0.0
    assert results["inference"]["psnr"] > 0.0
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_the_memory_manager_switches_and_watches():
    manager = MemoryManager(small_model())
    training = manager.optimize_memory_for_mode("training")
    inference = manager.optimize_memory_for_mode("inference")
    assert training["parameters_mb"] > 0.0 == inference["parameters_mb"]
    seen = manager.monitor_memory_usage()
    assert seen["utilization"] == pytest.approx(seen["allocated_gb"] / seen["reserved_gb"])
    assert seen["allocated_gb"] * 1e9 == pytest.approx(inference["total_memory_mb"] * 2**20)
