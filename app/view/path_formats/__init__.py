# SPDX-License-Identifier: MIT
"""Camera paths as other programs write them, one module per format.

Each reads JSON (or text) into a `FilePath` and makes JSON of one. Poses are OpenCV's in the coordinates of the
dataset; a format's own axes and frame are dealt with in its module and nowhere else.
"""
