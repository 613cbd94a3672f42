# SPDX-License-Identifier: MIT
"""From files to a `Scene`: `load_scene` finds the reader, readers make shots, `assemble` makes the scene.

options.py    what can be chosen              scene.py       the result: views, images, splits
load.py       which reader a path needs       shots.py       a photo with lens and pose; the held-out split
recognise.py  what a path holds               signatures.py  what a file is, by its first bytes
blender.py    synthetic RGBA scenes           checks.py      every refusal of a bad file
transforms.py instant-ngp and nerfstudio      transforms_lens.py  the lens of one of their frames
colmap*.py    COLMAP models                   llff.py        forward-facing captures; ndc.py their coordinates
demo*.py      the built-in still life         city*.py       the built-in square kilometre
rendered.py   what these two have in common   beside.py      shrunk photos and masks beside the photos
ply.py npy.py strict readers of arrays        images.py      the bounded cache; photo_*.py files and pixels
assemble.py   shots -> scene, engine units    distortion.py  bent photos, straightened
box.py        the cube where one wants it     normalise.py   foreground cube and up from cameras
"""

from engine.datasets.load import load_scene
from engine.datasets.options import SceneOptions
from engine.datasets.recognise import NotASceneError, Recognised, recognise
from engine.datasets.scene import ImageSource, Scene, Split, View

__all__ = [
    "ImageSource",
    "NotASceneError",
    "Recognised",
    "Scene",
    "SceneOptions",
    "Split",
    "View",
    "load_scene",
    "recognise",
]
