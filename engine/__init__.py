# SPDX-License-Identifier: MIT
"""The radiance-field engine: scenes, voxels, rasteriser, trainers. No window, no OpenGL.

datasets/   posed photos -> Scene                 methods/  what trains and renders (SVRaster, ...)
octree.py   the adaptive voxel structure          render/   public ops: validate, pick a backend, differentiate
worker.py   the one thread that owns the model    cpu/ cuda/ reference/  the same ops, three times
"""

from engine.caches import use_kernel_cache

use_kernel_cache()
