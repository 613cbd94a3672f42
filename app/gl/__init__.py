# SPDX-License-Identifier: MIT
"""OpenGL through moderngl: no window, no Dear PyGui.

    context.py   a context: the window's own, or a hidden one     programs.py   shaders/*.glsl -> programs
    present.py   picture, depth and photo -> the viewport         overlays.py   lines and voxel boxes over it

Every class here belongs to the thread of its context. Row 0 of every texture is the top row of the picture, so
clip-space y grows downwards as in the engine's cameras and nothing is ever flipped.
"""
