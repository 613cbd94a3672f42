# SPDX-License-Identifier: MIT
"""The part of a store that is in memory: as many nodes as a byte budget allows, the longest unused ones given up first.

What says where something is, the nodes' coarse grids of densities, lies in a file of its own that the system maps into memory
page by page as rays read it, and gives up when memory is short: the map. The fields have slots, whose arrays are made once.
One thread reads node files into slots that nothing uses; they come into use only when the renderer's own thread calls
`adopt`, `request` or `wait`. So a frame never waits for a node, never sees one change under it, and needs no lock around its
reads. Until a node is there, its nearest resident ancestor renders in its place: the root always is.

The budget counts a resident node with all that it has, its part of the map included.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from engine.errors import CheckpointError, UserError, cause_chain
from engine.node_fields import NodeFields
from engine.node_occupancy import UNSEEN
from engine.node_store import NodeStore

FIELDS = ("tables", "mlp")  # what has slots
_NOWHERE = -1
_IN_FLIGHT = 1  # nodes that the reading thread holds beside the slots, counted in the budget


@dataclass(frozen=True)
class CacheCounters:
    """What a cache did so far: `hits` and `misses` of wanted nodes, over all frames; `touched` is of the last frame.

    Bytes are those of all that nodes have, fields and grids; `map_bytes` those of the file that holds the grids of all nodes.
    """

    hits: int
    misses: int
    evictions: int
    failed: int
    resident_nodes: int
    resident_bytes: int
    map_bytes: int
    touched_nodes: int
    touched_bytes: int
    budget_bytes: int
    model_bytes: int


class NodeCache:
    """Nodes of a store in memory. All calls but those of its own reading thread come from one thread.

    `fields` are those of the slots, `map` every other array of the store's layout by name, [N, ...], of all nodes.
    `resident` bool [N] says which nodes' fields may be used, `slot_of` int32 [N] where they are, -1 elsewhere.
    `problems` are the sentences about nodes that could not be read; those are not tried again.
    """

    def __init__(self, store: NodeStore, budget_bytes: int) -> None:
        self.store = store
        self.budget_bytes = int(budget_bytes)
        self._map_layout = {name: row for name, row in store.layout.items() if name not in FIELDS}
        self.map_bytes = store.tree.nodes * sum(row.nbytes for row in self._map_layout.values())
        self.slots = min(self.budget_bytes // store.node_bytes - _IN_FLIGHT, store.tree.nodes)
        if self.slots < 1:
            raise UserError(self._refusal(1))
        tables, mlp = (np.zeros((self.slots, *store.layout[n].shape), store.layout[n].dtype) for n in FIELDS)
        self.fields = NodeFields(store.shape, tables, mlp)
        self.resident = np.zeros(store.tree.nodes, dtype=bool)
        self.slot_of = np.full(store.tree.nodes, _NOWHERE, dtype=np.int32)
        self.problems: dict[int, str] = {}
        self._hits = self._misses = self._evictions = 0
        self._wanted = np.zeros(1, dtype=np.int64)
        self._node_in = np.full(self.slots, _NOWHERE, dtype=np.int64)
        self._used = np.zeros(self.slots, dtype=np.int64)  # the frame that wanted a slot's node last
        self._frame = 0
        self._free = list(range(self.slots))[::-1]
        self._claimed: dict[int, int] = {}  # node -> slot: to be read, or being read
        self._changed = threading.Condition()  # guards what follows
        self._jobs: deque[tuple[int, int]] = deque()
        self._done: deque[tuple[int, int, str]] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.map = self._read_map()
        slot = self._free.pop()
        self._read_into(0, slot)  # the root, at once: every other node falls back on it
        self._install(0, slot)

    def __enter__(self) -> NodeCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reading thread, after the node that it is reading. What is resident stays usable."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    # --- asking for nodes -----------------------------------------------------------------------------------------

    def request(self, nodes: np.ndarray) -> bool:
        """Say which nodes the coming frame would use if all were there; return whether they are (failed ones aside).

        Those that are not are read in the background, coarse ones first; what was asked for before and not begun is
        dropped. Raises UserError, and changes nothing, where the budget is smaller than what these nodes need.
        """
        wanted = np.union1d(np.asarray(nodes, dtype=np.int64), [0])
        if len(wanted) > self.slots:
            raise UserError(self._refusal(len(wanted)))
        self.adopt()
        self._frame += 1
        self._wanted = wanted
        there = self.resident[wanted]
        self._hits += int(there.sum())
        self._misses += int((~there).sum())
        self._used[self.slot_of[wanted[there]]] = self._frame
        self._drop_unwanted()
        return self._claim()

    def adopt(self) -> int:
        """Take nodes into use that have been read meanwhile; return how many."""
        with self._changed:
            done = list(self._done)
            self._done.clear()
        for node, slot, problem in done:
            del self._claimed[node]
            if problem:
                self.problems[node] = problem
                self._free.append(slot)
            else:
                self._install(node, slot)
        return len(done)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every wanted node is resident or has failed; return False where that took too long."""
        while not self._claim():
            if self._closed:
                return False
            with self._changed:
                if not self._changed.wait_for(lambda: bool(self._done), timeout_s):
                    return False
            self.adopt()
        return True

    def nearest_resident(self, nodes: np.ndarray) -> np.ndarray:
        """Return the deepest resident ancestor-or-self int32 of each node; at worst the root."""
        at = np.array(nodes, dtype=np.int32)
        while not (there := self.resident[at]).all():
            at[~there] = self.store.tree.parent[at[~there]]
        return at

    def counters(self) -> CacheCounters:
        """Return what the cache did so far."""
        there, touched = int(self.resident.sum()), len(self._wanted)
        return CacheCounters(
            self._hits, self._misses, self._evictions, len(self.problems), there,
            there * self.store.node_bytes, self.map_bytes, touched, touched * self.store.node_bytes,
            self.budget_bytes, self.store.model_bytes,
        )  # fmt: skip

    def _refusal(self, nodes: int) -> str:
        needed = (nodes + _IN_FLIGHT) * self.store.node_bytes
        what = "the root" if nodes == 1 else f"the {nodes} nodes of this view"
        return (
            f"The cache of nodes may take {self.budget_bytes:,} bytes, and {what} and one more being read take "
            f"{needed:,}. Give it at least {needed:,} bytes."
        )

    # --- slots ----------------------------------------------------------------------------------------------------

    def _claim(self) -> bool:
        """Find slots for wanted nodes and have them read; return whether nothing wanted is missing."""
        missing = [int(n) for n in self._wanted[~self.resident[self._wanted]] if int(n) not in self.problems]
        jobs = []
        for node in missing:
            if node in self._claimed:
                continue
            slot = self._free.pop() if self._free else self._evict()
            if slot is None:  # held by a node that is just being read and no longer wanted: it is free soon
                break
            self._claimed[node] = slot
            jobs.append((node, slot))
        if jobs:
            with self._changed:
                self._jobs.extend(jobs)
                self._changed.notify_all()
            self._start()
        return not missing

    def _evict(self) -> int | None:
        """Give up the node that was not used for the longest time, and is not wanted now; return its slot."""
        age = self._used.copy()
        age[self._node_in < 0] = self._frame  # being read
        age[self.slot_of[0]] = self._frame
        slot = int(np.argmin(age))
        if age[slot] >= self._frame:
            return None
        node = self._node_in[slot]
        self.resident[node], self.slot_of[node] = False, _NOWHERE
        self._node_in[slot] = _NOWHERE
        self._evictions += 1
        return slot

    def _install(self, node: int, slot: int) -> None:
        self.resident[node], self.slot_of[node] = True, slot
        self._node_in[slot] = node
        self._used[slot] = self._frame if node in self._wanted else self._frame - 1

    def _drop_unwanted(self) -> None:
        """Take back jobs that nobody waits for any more and that were not begun."""
        with self._changed:
            kept = [job for job in self._jobs if job[0] in self._wanted]
            dropped = [job for job in self._jobs if job[0] not in self._wanted]
            self._jobs = deque(kept)
        for node, slot in dropped:
            del self._claimed[node]
            self._free.append(slot)

    # --- reading --------------------------------------------------------------------------------------------------

    def _read_into(self, node: int, slot: int) -> None:
        rows = self.store.read(node)
        self.fields.tables[slot], self.fields.mlp[slot] = (rows[name] for name in FIELDS)

    def _read_map(self) -> dict[str, np.ndarray]:
        """Return the arrays of all nodes that are no fields; those of a node that cannot be read say that nobody looked."""
        names, n = tuple(self._map_layout), self.store.tree.nodes
        nobody = {name: np.zeros(row.shape, row.dtype) for name, row in self._map_layout.items()}
        if "density" in nobody:
            nobody["density"][:] = UNSEEN
        with contextlib.ExitStack() as stack:
            try:
                files = {name: stack.enter_context(tempfile.TemporaryFile()) for name in names}
                for node in range(n if names else 0):
                    rows = self._map_rows(node, nobody)
                    for name, file in files.items():
                        file.write(rows[name].tobytes())
                for file in files.values():
                    file.flush()
            except OSError as error:
                why = error.strerror or error
                raise UserError(
                    f"Cannot keep {self.map_bytes:,} bytes in {tempfile.gettempdir()}: {why}. Free some space or set TMPDIR."
                ) from error
            # Copy-on-write and not read-only, which would be another kind of array to compiled kernels.
            layout = self._map_layout.items()
            return {
                name: np.asarray(np.memmap(files[name], row.dtype, "c", shape=(n, *row.shape)))
                for name, row in layout
            }

    def _map_rows(self, node: int, nobody: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self.store.read(node, tuple(nobody))
        except CheckpointError as error:
            if node == 0:
                raise
            self.problems[node] = str(error)
            return nobody

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="node-cache", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._jobs))
                if self._closed:
                    return
                node, slot = self._jobs.popleft()
            problem = ""
            try:
                self._read_into(node, slot)
            except Exception as error:  # a thread that dies would leave the renderer waiting for good
                problem = cause_chain(error)[0]
            with self._changed:
                self._done.append((node, slot, problem))
                self._changed.notify_all()
