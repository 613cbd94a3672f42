# SPDX-License-Identifier: MIT
import threading
import time

import numpy as np

from app.gui.photos import KEPT, PhotoCache


def wait_for(cache: PhotoCache, index: int) -> np.ndarray | None:
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        photo = cache.get(index)
        if photo is not None or not cache.busy:
            return photo
        time.sleep(0.001)
    raise AssertionError("the photo never came")


def test_a_photo_arrives_in_bytes_and_is_loaded_once():
    asked = []

    def load(index: int) -> np.ndarray:
        asked.append(index)
        return np.full((2, 3, 3), 0.5, np.float32)

    cache = PhotoCache(load)
    assert cache.get(4) is None
    assert wait_for(cache, 4).tolist() == np.full((2, 3, 3), 128).tolist()
    cache.get(4)
    assert asked == [4]


def test_asking_never_waits_for_a_slow_disk():
    gate = threading.Event()
    cache = PhotoCache(lambda index: gate.wait(5) and np.zeros((1, 1, 3), np.float32))
    began = time.monotonic()
    assert cache.get(0) is None
    assert time.monotonic() - began < 1.0
    gate.set()
    assert wait_for(cache, 0) is not None


def test_an_unreadable_photo_is_a_line_in_the_log(caplog):
    def load(index: int) -> np.ndarray:
        raise OSError("truncated")

    cache = PhotoCache(load)
    cache.get(1)
    assert wait_for(cache, 1) is None
    assert "truncated" in caplog.text


def test_only_the_last_few_are_kept():
    asked = []
    cache = PhotoCache(lambda index: asked.append(index) or np.zeros((1, 1, 3), np.float32))
    for index in range(KEPT + 1):
        wait_for(cache, index)
    wait_for(cache, KEPT)
    wait_for(cache, 0)
    assert asked == [*range(KEPT + 1), 0]


def test_a_photo_of_the_scene_before_is_not_shown():
    gate = threading.Event()
    cache = PhotoCache(lambda index: gate.wait(5) and np.zeros((1, 1, 3), np.float32))
    cache.get(0)
    cache.clear()
    gate.set()
    time.sleep(0.05)
    assert cache.get(0) is None
