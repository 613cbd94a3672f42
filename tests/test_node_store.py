# SPDX-License-Identifier: MIT
"""Nodes on the disk: what is written comes back, only changes are written, and a kill at any moment leaves whole nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import checkpoint
from engine.errors import CheckpointError
from engine.node_store import MANIFEST, NodeStore, open_store, write_store
from engine.node_tree import NodeTree
from tests.nodes import SMALL, marked_rows, quadtree

ROOT = Path(__file__).resolve().parent.parent

# Writes generation 2, every node of it changed, and kills itself at the k-th renaming, before or after it.
_KILLED = """
import os, signal, sys
from pathlib import Path
import engine.files
from engine.node_store import write_store
from tests.nodes import SMALL, marked_rows, quadtree
folder, k, after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"
renamed, replace = [0], engine.files.replace
def counted(source, target):
    renamed[0] += 1
    if renamed[0] == k and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if renamed[0] == k and after:
        os.kill(os.getpid(), signal.SIGKILL)
engine.files.replace = counted
write_store(folder, quadtree(), SMALL, marked_rows(quadtree(), 200.0), step=2)
"""


def written(folder: Path, value: float = 100.0, tree: NodeTree | None = None, step: int = 1) -> NodeStore:
    tree = tree or quadtree()
    return write_store(folder, tree, SMALL, marked_rows(tree, value), step=step, options={"a.b": 3})[0]


def test_a_store_comes_back_with_its_tree_shape_options_and_every_number(tmp_path: Path) -> None:
    tree = quadtree()
    written(tmp_path, step=17)
    store = open_store(tmp_path)
    assert (store.step, store.generation, store.options, store.shape) == (17, 1, {"a.b": 3}, SMALL)
    for name in ("centre", "depth", "cell", "parent", "children"):
        assert np.array_equal(getattr(store.tree, name), getattr(tree, name))
    assert (store.tree.half, store.tree.root_gsd) == (tree.half, tree.root_gsd)
    rows = marked_rows(tree, 100.0)
    for name, array in store.read_all().items():
        assert array.dtype == rows[name].dtype and np.array_equal(array, rows[name])
    assert store.node_bytes == sum(array[0].nbytes for array in rows.values())
    assert store.model_bytes == 21 * store.node_bytes


def test_an_update_writes_only_the_nodes_that_changed(tmp_path: Path) -> None:
    tree, rows = quadtree(), marked_rows(quadtree(), 100.0)
    write_store(tmp_path, tree, SMALL, rows, step=1)
    rows["tables"][3, 5, 1] += 1.0
    rows["free"][7, 2] = 0
    store, update = write_store(tmp_path, tree, SMALL, rows, step=2)
    assert (update.generation, update.written, update.kept) == (2, 2, 19)
    assert update.nbytes == 2 * store.node_bytes
    assert np.flatnonzero(store.written == 2).tolist() == [3, 7]
    for name, array in open_store(tmp_path).read_all().items():
        assert np.array_equal(array, rows[name])
    assert (
        checkpoint.read_header(store.file(3))["step"] == 2
        and checkpoint.read_header(store.file(4))["step"] == 1
    )


def test_a_tree_that_grew_keeps_the_files_of_its_old_nodes(tmp_path: Path) -> None:
    small, large = quadtree(2), quadtree(3)
    rows = marked_rows(large, 0.0)
    old = {
        name: array[: small.nodes] for name, array in rows.items()
    }  # the first levels have the same numbers here
    write_store(tmp_path, small, SMALL, old)
    store, update = write_store(tmp_path, large, SMALL, rows)
    assert (update.written, update.kept) == (16, 5)
    assert np.array_equal(store.read_all()["mlp"], rows["mlp"])


def test_files_of_two_updates_ago_are_gone_and_those_of_the_last_are_not(tmp_path: Path) -> None:
    first, second = written(tmp_path, 1.0), written(tmp_path, 2.0)
    assert first.file(4).exists() and first.read(4)["mlp"][0] == 5.0  # who has it open goes on reading
    (tmp_path / "nodes" / "x.safetensors.123.tmp").write_bytes(b"left by a kill")
    third = written(tmp_path, 3.0)
    assert not first.file(4).exists() and second.file(4).exists() and third.file(4).exists()
    assert len(list((tmp_path / "nodes").iterdir())) == 42


@pytest.mark.parametrize(
    ("at", "when"), [(1, "before"), (9, "after"), (21, "after"), (22, "before"), (22, "after")]
)
def test_a_kill_at_any_moment_leaves_one_whole_generation(tmp_path: Path, at: int, when: str) -> None:
    written(tmp_path, 100.0)
    child = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), str(at), when], cwd=ROOT, timeout=100
    )
    if os.name != "nt":
        assert child.returncode == -signal.SIGKILL
    complete = 2 if (at, when) == (22, "after") else 1  # 21 nodes, then the manifest
    store = open_store(tmp_path)
    assert (store.generation, store.step) == (complete, complete)
    for name, array in store.read_all().items():
        assert np.array_equal(array, marked_rows(quadtree(), 100.0 * complete)[name])
    again = written(tmp_path, 300.0, step=3)  # and the next update gets through, over whatever was left
    assert np.array_equal(open_store(tmp_path).read_all()["mlp"], marked_rows(quadtree(), 300.0)["mlp"])
    assert not list(tmp_path.rglob("*.tmp")) and again.generation == complete + 1


@pytest.mark.parametrize(
    ("damage", "what"),
    [("cut", "torn"), ("gone", "missing"), ("flipped", "damaged"), ("swapped", "another node's")],
)
def test_a_bad_node_file_is_refused_by_name(tmp_path: Path, damage: str, what: str) -> None:
    store = written(tmp_path)
    path = store.file(6)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "gone":
        path.unlink()
    elif damage == "flipped":
        data[-3] ^= 0xFF
        path.write_bytes(data)
    else:
        path.write_bytes(store.file(7).read_bytes())
    with pytest.raises(CheckpointError, match=what) as refusal:
        store.read(6)
    assert path.name in str(refusal.value) and store.read(5)["mlp"][0] == 105.0


def test_a_file_of_an_update_that_was_never_finished_is_not_mixed_in(tmp_path: Path) -> None:
    store = written(tmp_path, 100.0)
    newer = written(tmp_path / "other", 100.0)
    newer = written(tmp_path / "other", 200.0)
    store.file(2).write_bytes(newer.file(2).read_bytes())  # of generation 2, under the name of generation 1
    with pytest.raises(CheckpointError, match="another node's"):
        store.read(2)


def test_a_folder_without_a_store_or_with_a_torn_manifest_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"no {MANIFEST}"):
        open_store(tmp_path)
    written(tmp_path)
    (tmp_path / MANIFEST).write_bytes((tmp_path / MANIFEST).read_bytes()[:50])
    with pytest.raises(CheckpointError, match="torn"):
        open_store(tmp_path)
    checkpoint.save(tmp_path / MANIFEST, {}, {"kind": "svraster"})
    with pytest.raises(CheckpointError, match="no manifest of nodes"):
        open_store(tmp_path)


def test_rows_that_do_not_fit_the_tree_are_a_mistake_of_ours(tmp_path: Path) -> None:
    rows = marked_rows(quadtree(), 0.0)
    with pytest.raises(ValueError, match="21 rows"):
        write_store(tmp_path, quadtree(), SMALL, {**rows, "mlp": rows["mlp"][:3]})
