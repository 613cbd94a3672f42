# SPDX-License-Identifier: MIT
"""The nodes of a tree on the disk: a folder with a manifest and one file per node, updated without ever being mixed.

    model.nodes/
        manifest.safetensors          the tree, the shape of the fields, which file holds each node
        nodes/3-5-2-1.g4.safetensors  depth 3, cell (5, 2, 1), written by update 4

An update (a generation) writes the nodes that changed under new names and then the manifest, each whole or not at all
(`files.py`); files that the manifest before it did not name either are deleted last. So whoever is killed, and when,
the manifest names a complete generation: a reader has all of the old nodes or all of the new ones. A node's file says
which node, generation and step it is of, and the manifest knows a digest of its numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import checkpoint
from engine.errors import CheckpointError
from engine.node_fields import FieldShape
from engine.node_tree import NodeTree

FORMAT_VERSION = 1
MANIFEST = "manifest.safetensors"
_NODES = "nodes"
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Row:
    """What a node has of one array: its shape and type."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of a node's row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Update:
    """What an update of a store did: nodes written, nodes left as they were, bytes written."""

    generation: int
    written: int
    kept: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class NodeStore:
    """One complete generation of a store, as its manifest names it; node files are read when asked for.

    `layout` says which arrays a node has a row of; `options` is whatever the writer wants to know again.
    """

    folder: Path
    tree: NodeTree
    shape: FieldShape
    layout: dict[str, Row]
    generation: int
    step: int
    options: dict[str, Any]
    written: np.ndarray  # int64 [N], the generation that wrote each node's file
    digest: np.ndarray  # uint8 [N,16]

    @property
    def node_bytes(self) -> int:
        """Bytes of one node."""
        return sum(row.nbytes for row in self.layout.values())

    @property
    def model_bytes(self) -> int:
        """Bytes of all nodes."""
        return self.tree.nodes * self.node_bytes

    def file(self, node: int) -> Path:
        """Return where a node lies."""
        place = "-".join(str(int(n)) for n in (self.tree.depth[node], *self.tree.cell[node]))
        return self.folder / _NODES / f"{place}.g{int(self.written[node])}.safetensors"

    def read(self, node: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Return the rows of a node, all or those named, or raise CheckpointError in one sentence that names the file.

        Only all of them together can be checked against their digest.
        """
        path = self.file(node)
        try:
            rows, header = checkpoint.load(path, names)
        except CheckpointError as error:
            raise self._broken(path, "torn" if path.exists() else "missing") from error
        if (header.get("node"), header.get("generation")) != (
            _place(self.tree, node),
            int(self.written[node]),
        ):
            raise self._broken(path, "another node's")
        if {name: Row(rows[name].shape, str(rows[name].dtype)) for name in sorted(rows)} != {
            name: row for name, row in self.layout.items() if names is None or name in names
        }:
            raise self._broken(path, "of another shape")
        if names is None and not np.array_equal(_digest(rows), self.digest[node]):
            raise self._broken(path, "damaged")
        return rows

    def read_all(self) -> dict[str, np.ndarray]:
        """Return the rows of all nodes, [N, ...] by name."""
        whole = {name: np.empty((self.tree.nodes, *r.shape), r.dtype) for name, r in self.layout.items()}
        for node in range(self.tree.nodes):
            for name, row in self.read(node).items():
                whole[name][node] = row
        return whole

    def _broken(self, path: Path, what: str) -> CheckpointError:
        return CheckpointError(
            f"Cannot read the node file {path}: it is {what}. Write the store {self.folder} again."
        )


def open_store(folder: str | Path) -> NodeStore:
    """Return the complete generation that a folder holds, or raise CheckpointError in one sentence."""
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise CheckpointError(
            f"There is no store of nodes in {folder}: it has no {MANIFEST}. Write one first."
        )
    tensors, header = checkpoint.load(folder / MANIFEST)
    if header.get("kind") != "nodes" or header.get("store_version", 0) > FORMAT_VERSION:
        raise CheckpointError(
            f"{folder / MANIFEST} is no manifest of nodes that this nerfviewer reads. Update nerfviewer, or write it again."
        )
    try:
        tree = NodeTree.of(
            tensors["centre"], header["half"], header["root_gsd"], tensors["depth"], tensors["cell"]
        )
        return NodeStore(
            folder,
            tree,
            FieldShape(**header["shape"]),
            {name: Row(tuple(shape), dtype) for name, (shape, dtype) in sorted(header["layout"].items())},
            int(header["generation"]),
            int(header["step"]),
            header["options"],
            tensors["written"],
            tensors["digest"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"Cannot read {folder / MANIFEST}: {error}. Write the store again.") from error


def write_store(
    folder: str | Path,
    tree: NodeTree,
    shape: FieldShape,
    rows: Mapping[str, np.ndarray],  # name -> [N, ...]
    *,
    step: int = 0,
    options: dict[str, Any] | None = None,
) -> tuple[NodeStore, Update]:
    """Write the nodes of a tree, or those that changed since the store in the folder was written; return both.

    A store of another layout is replaced by a whole new generation. Raises CheckpointError where the disk refuses.
    """
    folder = Path(folder)
    solid = {name: np.ascontiguousarray(rows[name]) for name in sorted(rows)}
    for name, array in solid.items():
        if len(array) != tree.nodes:
            raise ValueError(
                f"write_store(): {name} must have {tree.nodes} rows, one a node, got {len(array)}."
            )
    layout = {name: Row(array.shape[1:], str(array.dtype)) for name, array in solid.items()}
    digest = np.stack([_digest({name: a[n] for name, a in solid.items()}) for n in range(tree.nodes)])
    before = open_store(folder) if (folder / MANIFEST).is_file() else None
    known = (
        _known(before, tree) if before is not None and before.layout == layout else np.full(tree.nodes, -1)
    )
    generation = 1 if before is None else before.generation + 1
    written = np.full(tree.nodes, generation, dtype=np.int64)
    for node in np.flatnonzero(known >= 0):
        if np.array_equal(before.digest[known[node]], digest[node]):
            written[node] = before.written[known[node]]
    store = NodeStore(folder, tree, shape, layout, generation, step, options or {}, written, digest)
    changed = np.flatnonzero(written == generation)
    _make(folder / _NODES)
    for node in changed:
        header = {"kind": "node", "node": _place(tree, node), "generation": generation, "step": step}
        checkpoint.save(store.file(node), {name: a[node] for name, a in solid.items()}, header)
    _write_manifest(store)
    _tidy(store, before)
    return store, Update(generation, len(changed), tree.nodes - len(changed), len(changed) * store.node_bytes)


def _write_manifest(store: NodeStore) -> None:
    tree = store.tree
    tensors = {
        "centre": tree.centre, "depth": tree.depth, "cell": tree.cell, "written": store.written, "digest": store.digest,
    }  # fmt: skip
    header = {
        "kind": "nodes",
        "store_version": FORMAT_VERSION,
        "generation": store.generation,
        "step": store.step,
        "half": tree.half,
        "root_gsd": tree.root_gsd,
        "shape": dataclasses.asdict(store.shape),
        "layout": {name: [list(row.shape), row.dtype] for name, row in store.layout.items()},
        "options": store.options,
    }
    checkpoint.save(store.folder / MANIFEST, tensors, header)


def _tidy(store: NodeStore, before: NodeStore | None) -> None:
    """Delete files of neither this generation nor the one before, which somebody may still be reading."""
    named = {store.file(node).name for node in range(store.tree.nodes)}
    if before is not None:
        named |= {before.file(node).name for node in range(before.tree.nodes)}
    stale = [path for path in (store.folder / _NODES).iterdir() if path.name not in named]
    for pattern in checkpoint.UNFINISHED:
        stale += store.folder.glob(pattern)
    for path in stale:
        with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after the next update
            path.unlink()


def _known(before: NodeStore, tree: NodeTree) -> np.ndarray:
    """Return the node of the store before at each of a tree's cells, int64 [N], -1 where there is none."""
    same = (before.tree.half, before.tree.root_gsd) == (tree.half, tree.root_gsd)
    found = np.full(tree.nodes, -1, dtype=np.int64)
    if same and np.array_equal(before.tree.centre, tree.centre):
        for depth in range(tree.levels):
            first, last = tree.level_start[depth : depth + 2]
            found[first:last] = before.tree.find(depth, tree.cell[first:last])
    return found


def _place(tree: NodeTree, node: int) -> list[int]:
    return [int(tree.depth[node]), *(int(c) for c in tree.cell[node])]


def _digest(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return uint8 [16] that tells the rows of a node from any others."""
    made = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for name in sorted(rows):
        made.update(np.ascontiguousarray(rows[name]).data)
    return np.frombuffer(made.digest(), dtype=np.uint8)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"Cannot create {folder}: {error.strerror}. Choose another folder.") from error
