# SPDX-License-Identifier: MIT
"""The settings by the document's names: aliases, checks whenever one is set, there and back as a dictionary."""

from __future__ import annotations

import json

import pytest
import torch

import engine
from engine.errors import OptionError, SceneError


def test_the_documents_defaults_hold():
    config = engine.PlenoxelConfig()
    assert config.grid_resolution == (256, 256, 256)
    assert config.scene_bounds == (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
    assert config.coarse_resolutions == [(64, 64, 64), (128, 128, 128), (256, 256, 256)]
    assert (config.sh_degree, config.tv_lambda, config.l1_lambda) == (2, 1e-6, 1e-8)
    assert engine.PlenoxelTrainerConfig().max_epochs == 10000
    assert engine.PlenoxelDatasetConfig().num_rays_train == 1024


def test_both_halves_of_the_document_make_the_same_settings():
    assert engine.PlenoxelsConfig is engine.PlenoxelConfig
    config = engine.PlenoxelsConfig(
        grid_shape=[32, 16, 8], bbox_min=torch.tensor([-2, -2, -2]), bbox_max=torch.tensor([3, 3, 3]),
        max_rays_per_batch=10, max_samples_per_ray=20,
    )  # fmt: skip
    assert config.grid_resolution == config.grid_shape == (32, 16, 8)
    assert config.scene_bounds == (-2.0, -2.0, -2.0, 3.0, 3.0, 3.0)
    config.grid_shape = (4, 4, 4)
    assert config.grid_resolution == (4, 4, 4)
    assert config.bbox_max == (3.0, 3.0, 3.0)


def test_epochs_are_iterations_by_both_names():
    trainer = engine.PlenoxelTrainerConfig(max_iterations=7)
    assert trainer.max_epochs == 7
    trainer.max_epochs = 9
    assert trainer.max_iterations == 9
    assert engine.PlenoxelConfig(coarse_iterations=[1, 2, 3]).coarse_epochs == [1, 2, 3]


def test_the_grid_grows_at_the_coarse_epochs_and_never_beyond_its_resolution():
    config = engine.PlenoxelConfig()
    sides = [config.resolution_at(i)[0] for i in (0, 1999, 2000, 4999, 5000, 10**6)]
    assert sides == [64, 64, 128, 128, 256, 256]
    config.grid_resolution = (100, 100, 100)
    assert [config.resolution_at(i)[0] for i in (0, 2000, 10**6)] == [64, 100, 100]
    config.use_coarse_to_fine = False
    assert config.resolution_at(0) == (100, 100, 100)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sh_degree": 4}, "0 to 3, got 4"),
        ({"sh_degree": 1.5}, "a whole number"),
        ({"grid_resolution": (0, 4, 4)}, "voxels along X, Y, Z"),
        ({"scene_bounds": (1, 1, 1, -1, -1, -1)}, "lowest, then of the highest"),
        ({"scene_bounds": (1, 2)}, "6 finite numbers"),
        ({"near_plane": 5.0, "far_plane": 2.0}, "below far_plane"),
        ({"coarse_epochs": [1]}, "coarse_epochs must say when"),
        ({"tv_lamda": 1.0}, "Did you mean tv_lambda"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(values, said):
    with pytest.raises(OptionError, match=said):
        engine.PlenoxelConfig(**values)


def test_a_value_that_is_refused_later_leaves_what_was_there():
    config = engine.PlenoxelTrainerConfig()
    with pytest.raises(OptionError, match="at least 0, got -1"):
        config.learning_rate = -1
    assert config.learning_rate == 0.1
    config.learning_rate = 0.2
    assert config.learning_rate == 0.2


def test_settings_go_through_json_and_back():
    config = engine.PlenoxelConfig(grid_shape=(8, 9, 10), tv_lambda=0.5)
    assert (
        engine.PlenoxelConfig.from_dict(json.loads(json.dumps(config.to_dict()))).to_dict()
        == config.to_dict()
    )


def test_a_scene_of_another_type_and_a_folder_that_is_none_are_refused(tmp_path):
    with pytest.raises(OptionError, match="must be one of blender"):
        engine.PlenoxelDatasetConfig(dataset_type="dtu")
    with pytest.raises(SceneError):
        engine.PlenoxelDatasetConfig(data_dir=tmp_path / "missing").load()
    with pytest.raises(SceneError, match="type demo, not llff"):
        engine.PlenoxelDatasetConfig(data_dir="demo", dataset_type="llff").load()
