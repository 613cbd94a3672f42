# SPDX-License-Identifier: MIT
"""The part of a store in memory: what is resident, what is given up, and that nothing is ever read half."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.node_cache import NodeCache
from engine.node_occupancy import UNSEEN
from engine.node_store import NodeStore, write_store
from tests.nodes import SMALL, marked_rows, quadtree


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return write_store(tmp_path, quadtree(), SMALL, marked_rows(quadtree(), 100.0))[0]


def cache_of(store: NodeStore, slots: int) -> NodeCache:
    return NodeCache(store, budget(store, slots))


def budget(store: NodeStore, slots: int) -> int:
    """Return what so many nodes and one being read take."""
    return (slots + 1) * store.node_bytes


def assert_whole(cache: NodeCache) -> None:
    """Every resident node's slot holds that node's fields, all of them; no slot has two nodes. The map has all nodes."""
    nodes = np.flatnonzero(cache.resident)
    slots = cache.slot_of[nodes]
    assert len(np.unique(slots)) == len(nodes) and (slots >= 0).all() and (slots < cache.slots).all()
    expected = marked_rows(cache.store.tree, 100.0)
    for name, array in (("tables", cache.fields.tables), ("mlp", cache.fields.mlp)):
        assert np.array_equal(array[slots], expected[name][nodes])
    assert sorted(cache.map) == ["density", "free"]
    readable = [node for node in range(cache.store.tree.nodes) if node not in cache.problems]
    for name, array in cache.map.items():
        assert np.array_equal(array[readable], expected[name][readable])
    assert (cache.slot_of[~cache.resident] == -1).all()


def test_a_new_cache_has_the_root_and_nothing_else(store: NodeStore) -> None:
    with cache_of(store, 4) as cache:
        assert np.flatnonzero(cache.resident).tolist() == [0] and cache.slots == 4
        assert_whole(cache)


def test_what_was_asked_for_is_there_after_waiting(store: NodeStore) -> None:
    with cache_of(store, 8) as cache:
        assert not cache.request(np.array([7, 3, 7, 12]))
        assert cache.wait()
        assert np.flatnonzero(cache.resident).tolist() == [0, 3, 7, 12]
        assert_whole(cache)
        assert cache.request(np.array([3, 12]))
        counters = cache.counters()
        # the root counts each time: 1 hit and 3 misses, then 3 hits
        assert (counters.hits, counters.misses, counters.evictions) == (4, 3, 0)
        assert (counters.touched_nodes, counters.resident_nodes) == (3, 4)
        assert counters.resident_bytes == 4 * store.node_bytes
        assert counters.map_bytes == 21 * (store.node_bytes - 4 * SMALL.parameters)
        assert counters.touched_bytes == 3 * store.node_bytes


def test_the_nodes_unused_for_longest_go_first_and_the_root_never(store: NodeStore) -> None:
    with cache_of(store, 4) as cache:
        for nodes in ([1], [2], [3], [1], [4]):
            cache.request(np.array(nodes))
            cache.wait()
        assert np.flatnonzero(cache.resident).tolist() == [0, 1, 3, 4]  # 2 is the oldest: 1 was used again
        assert cache.counters().evictions == 1
        assert_whole(cache)
        for first in range(1, 18):
            cache.request(np.arange(first, first + 3))
            cache.wait()
            assert cache.resident[0] and cache.resident[first : first + 3].all()
            assert_whole(cache)


def test_until_a_node_is_there_its_nearest_resident_ancestor_stands_in(store: NodeStore) -> None:
    tree = store.tree
    with cache_of(store, 8) as cache:
        leaf = 20
        above = int(tree.parent[leaf])
        assert cache.nearest_resident(np.array([leaf, above, 0])).tolist() == [0, 0, 0]
        cache.request(np.array([above]))
        cache.wait()
        assert cache.nearest_resident(np.array([leaf, 5])).tolist() == [
            above,
            0 if tree.parent[5] != above else above,
        ]
        cache.request(np.array([leaf]))
        cache.wait()
        assert cache.nearest_resident(np.array([leaf])).tolist() == [leaf]


def test_nothing_changes_under_a_frame_until_it_is_adopted(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cache_of(store, 4) as cache:
        cache.request(np.array([5, 6]))
        with cache._changed:  # the reading thread has put both into their slots
            assert cache._changed.wait_for(lambda: len(cache._done) == 2, timeout=60.0)
        assert np.flatnonzero(cache.resident).tolist() == [0]
        assert cache.adopt() == 2
        assert np.flatnonzero(cache.resident).tolist() == [0, 5, 6]


def test_a_slot_in_use_is_never_read_into(store: NodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, read = threading.Event(), NodeStore.read

    def slow(self: NodeStore, node: int, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        if node and threading.current_thread() is not threading.main_thread():
            assert gate.wait(60.0)
        return read(self, node, names)

    monkeypatch.setattr(NodeStore, "read", slow)
    with cache_of(store, 3) as cache:
        cache.request(np.array([1, 2]))  # 1 is being read, 2 waits
        with cache._changed:
            assert cache._changed.wait_for(lambda: len(cache._jobs) <= 1, timeout=60.0) or True
        cache.request(np.array([3, 4]))  # 2 is dropped; one of these has no slot before 1 is through
        assert_whole(cache)
        gate.set()
        assert cache.wait()
        assert cache.resident[[0, 3, 4]].all() and not cache.resident[2]
        assert_whole(cache)


def test_a_budget_below_what_a_frame_needs_is_refused_with_the_number(store: NodeStore) -> None:
    with cache_of(store, 4) as cache:
        cache.request(np.array([1, 2, 3]))
        cache.wait()
        before = cache.counters()
        with pytest.raises(UserError, match=f"{budget(store, 5):,} bytes") as refusal:
            cache.request(np.array([1, 2, 3, 4]))  # and the root, and the one being read
        assert f"{cache.budget_bytes:,}" in str(refusal.value)
        assert cache.counters() == before
    with pytest.raises(UserError, match=f"{budget(store, 1):,} bytes"):
        NodeCache(store, budget(store, 1) - 1)
    with cache_of(store, 5) as enough:
        enough.request(np.array([1, 2, 3, 4]))
        assert enough.wait()


def test_memory_stays_within_the_budget(store: NodeStore) -> None:
    for slots in (1, 3, 7, 30):
        cache = cache_of(store, slots)
        held = cache.fields.nbytes() + cache.slots * cache.map_bytes // store.tree.nodes
        assert held + store.node_bytes <= cache.budget_bytes
        assert cache.slots == min(slots, store.tree.nodes)


def test_a_broken_node_file_gives_one_sentence_and_the_parent_stays(store: NodeStore) -> None:
    store.file(20).unlink()
    with cache_of(store, 8) as cache:
        cache.request(np.array([20, 19]))
        assert cache.wait()
        assert list(cache.problems) == [20] and store.file(20).name in cache.problems[20]
        assert cache.problems[20].startswith("Cannot read the node file") and "missing" in cache.problems[20]
        assert cache.nearest_resident(np.array([20]))[0] == 0 and cache.resident[19]
        assert (cache.map["density"][20] == UNSEEN).all() and (cache.map["free"][20] == 0).all()
        assert cache.request(np.array([20, 19])) and cache.counters().failed == 1  # not tried again
        assert_whole(cache)


def test_a_store_without_its_root_cannot_be_opened(store: NodeStore) -> None:
    store.file(0).unlink()
    with pytest.raises(UserError, match="missing"):
        cache_of(store, 4)


def readers() -> set[threading.Thread]:
    """The threads that read nodes, of other tests too."""
    return {thread for thread in threading.enumerate() if thread.name == "node-cache"}


def test_closing_ends_the_thread_and_waiting(store: NodeStore) -> None:
    before = readers()
    cache = cache_of(store, 4)
    cache.request(np.array([1]))
    cache.wait()
    assert readers() > before
    cache.close()
    assert not readers() - before
    assert not cache.request(np.array([2])) and not cache.wait()
    assert cache.resident[1]
