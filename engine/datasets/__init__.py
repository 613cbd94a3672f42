# SPDX-License-Identifier: MIT
"""From files to a `Scene`: `load_scene` finds the reader, readers make shots, `assemble` makes the scene.

options.py    what can be chosen              scene.py       the result: views, images, splits
load.py       which reader a path needs       shots.py       a photo with lens and pose; the held-out split
blender.py    synthetic RGBA scenes           checks.py      every refusal of a bad file
transforms.py instant-ngp and nerfstudio      images.py      decoding, shrinking, the bounded cache
demo.py       the built-in still life         distortion.py  bent photos, straightened
assemble.py   shots -> scene, engine units    normalise.py   foreground cube and up from cameras
"""

from engine.datasets.load import load_scene
from engine.datasets.options import SceneOptions
from engine.datasets.scene import ImageSource, Scene, Split, View

__all__ = ["ImageSource", "Scene", "SceneOptions", "Split", "View", "load_scene"]
