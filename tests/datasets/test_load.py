# SPDX-License-Identifier: MIT
from __future__ import annotations

import sys
import types
from dataclasses import replace

from engine.datasets import SceneOptions, load_scene
from engine.options import build, describe


def test_demo_goes_to_the_demo_with_its_options(monkeypatch):
    demo = types.ModuleType("engine.datasets.demo")
    demo.load_demo = lambda options, progress: (options, progress)
    monkeypatch.setitem(sys.modules, "engine.datasets.demo", demo)
    options = SceneOptions(downscale=2)
    assert load_scene("demo", options, print) == (options, print)
    assert load_scene("demo") == (SceneOptions(), None)


def test_every_option_has_help_and_accepts_its_default():
    infos = {info.name: info for info in describe(SceneOptions)}
    names = "downscale max_size background scene_scale outside_levels cache_mb allow_outside"
    assert set(infos) >= set(names.split())
    for info in infos.values():
        assert info.help.endswith(".") and info.check(info.default) == info.default
    assert build(SceneOptions, {"downscale": "4"}) == replace(SceneOptions(), downscale=4)
