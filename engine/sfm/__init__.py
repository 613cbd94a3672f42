# SPDX-License-Identifier: MIT
"""Structure from motion: from plain photos or a video to a COLMAP scene, through pycolmap.

options.py   what can be chosen               colmap.py    the calls into pycolmap
photos.py    finding and placing photos       pipeline.py  the stages, resumable
frames.py    sharp frames of a video          state.py     what is finished, in the scene folder
pairs.py     which photos are compared        report.py    the outcome in numbers and sentences
child.py     the process it runs in
"""
