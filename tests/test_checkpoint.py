# SPDX-License-Identifier: MIT
"""A checkpoint is there whole or not at all, and says in a sentence what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine import checkpoint
from engine.errors import CheckpointError


def some_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "density": rng.random((5, 8), dtype=np.float32),
        "path": np.arange(7, dtype=np.int64),
        "age": np.arange(3, dtype=np.uint16),
        "level": np.arange(4, dtype=np.int8),
        "one": np.array(2.5),
        "mask": np.array([True, False]),
        "turned": rng.random((4, 3)).T,
        "empty": np.zeros((0, 3), np.float32),
    }


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = some_tensors()
    header = {"step": 12, "values": {"rates.density": 0.1}, "rng": [1, 2**70]}
    checkpoint.save(tmp_path / "a.safetensors", tensors, header)
    loaded, read = checkpoint.load(tmp_path / "a.safetensors")
    assert set(loaded) == set(tensors)
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype, name
        assert loaded[name].shape == array.shape, name
        np.testing.assert_array_equal(loaded[name], array)
    assert read == {"format_version": checkpoint.FORMAT_VERSION, **header}
    assert checkpoint.read_header(tmp_path / "a.safetensors") == read


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.99])
def test_a_torn_file_is_refused_in_a_sentence(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, some_tensors(), {"step": 1})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    for read in (checkpoint.load, checkpoint.read_header):
        with pytest.raises(CheckpointError, match=r"Cannot read .*a\.safetensors.*torn"):
            read(path)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="another program"):
        checkpoint.load(tmp_path / "other.safetensors")


def test_a_newer_format_asks_for_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 99)
    checkpoint.save(tmp_path / "a.safetensors", {}, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"format 99.*Update nerfviewer"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .*gone\.safetensors"):
        checkpoint.load(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"x": np.zeros(3)}, {"step": 1})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoint.save(path, {"x": np.ones(3)}, {"step": 2})
    monkeypatch.undo()
    assert checkpoint.read_header(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Cannot write .*Free some space or choose another folder"):
        checkpoint.save(tmp_path / "gone" / "a.safetensors", {"x": np.zeros(3)}, {})


def test_the_data_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b))[1])
    checkpoint.save(tmp_path / "a.safetensors", {"x": np.zeros(3)}, {})
    assert order == ["fsync", "replace", "fsync"]  # the file, the name, the folder that holds the name
