# SPDX-License-Identifier: MIT
"""The settings of the export panel: labels, ranges, choices and what people are told of each."""

from __future__ import annotations

from app.jobs.orders import FORMATS, MEANWHILE, MODELS
from app.view.presets import PRESETS
from engine.export.layers import DEPTHS
from engine.export.quality import QUALITIES
from engine.methods.common import VIEW_MODES
from engine.shots import MOST_MOMENTS, PROJECTIONS

KINDS = ("path", *PRESETS)
CUSTOM = "custom"
SIZES = {
    f"{w} x {h}": (w, h)
    for w, h in ((640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
}
MODES = tuple(mode for mode in VIEW_MODES if mode != "error")
STEREO = PROJECTIONS[1:3]
# name: label, lowest, highest, tooltip
NUMBERS: dict[str, tuple[str, float, float, str]] = {
    "radius": ("Radius", 0.05, 100.0, "Distance from the axis, in scene cubes; the photos' own distance at first."),
    "height": ("Height", -100.0, 100.0, "Height above the middle of the scene, in scene cubes."),
    "turns": ("Turns", 0.1, 20.0, "Times the camera goes round."),
    "frames": ("Frames", 2, 100_000, "Pictures that the path is made of."),
    "fps": ("Frames / s", 1, 120, "Speed at which the film plays; a camera path of your own gets so many each second."),
    "supersample": ("Rays a side", 1, 3, "Rays a pixel side that are averaged: 2 smooths edges and takes four times as long."),
    "moments": ("Blur moments", 1, MOST_MOMENTS, "Moments that each picture averages, for motion blur; 1 for none."),
    "shutter": ("Shutter", 0.05, 1.0, "Share of a frame's time that the shutter is open; film cameras have 0.5."),
    "eye_distance": ("Eye distance", 0.0, 1.0, "Distance of the two eyes, in scene cubes."),
    "focus": ("Screen at", 0.0, 100.0, "What is this far, in scene cubes, lies in the screen's plane; 0: eyes look in parallel."),
}  # fmt: skip
CHOICES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "kind": ("Path", KINDS, "The camera path of the timeline, or a ready-made one round the scene."),
    "format": ("Format", tuple(FORMATS), "A video, an animation that loops, or a folder of pictures that can be resumed."),
    "quality": ("Quality", tuple(QUALITIES), "How good the pictures are, and how large the file becomes."),
    "mode": ("Show", MODES, "The view mode that is recorded."),
    "projection": ("Projection", PROJECTIONS, "One picture, one for each eye, or the whole sphere twice as wide as high."),
    "depth": ("Depth", DEPTHS, "Depths in the dataset's units, in a folder beside: the PNG's metadata holds their scale."),
    "meanwhile": ("Training", MEANWHILE, "It continues with two thirds of the time, or waits until this export is done."),
    "model": ("Model", MODELS, "A copy, so that all frames show one model however training goes on, or the live one."),
}  # fmt: skip
