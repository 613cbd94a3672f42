# SPDX-License-Identifier: MIT
"""The options that steer how a structure changes, as rows of the structure panel; a method without one has no row for it."""

from __future__ import annotations

# Dotted option -> (label, lowest, highest, format).
SLIDERS = {
    "adapt.prune_threshold": ("Prune below", 0.0, 0.3, "%.4f"),
    "adapt.subdivide_share": ("Split share", 0.0, 0.5, "%.3f"),
    "adapt.opacity": ("Drop below", 0.0, 0.5, "%.4f"),
    "prune.weight": ("Prune below", 0.0, 4.0, "%.3f / side"),
    "prune.density": ("Thin below", 0.0, 100.0, "%.1f"),
}
INTEGERS = {
    "adapt.every_steps": ("Every (steps)", 1, 100_000),
    "adapt.until_step": ("Until step", 0, 10_000_000),
    "adapt.max_voxels": ("Most voxels", 1_000, 20_000_000),
    "adapt.max_nodes": ("Most nodes", 1, 10_000_000),
    "adapt.splits": ("Split at once", 1, 100_000),
    "prune.max_cells": ("Most voxels", 1_000, 400_000_000),
}
HELP = {
    "adapt.prune_threshold": "Voxels whose heaviest blending weight in any view is below this are dropped.",
    "adapt.subdivide_share": "Share of the voxels that is split at each structure change.",
    "adapt.opacity": "Leaves are dropped if a pixel's width of their densest place stops less light than this.",
    "adapt.every_steps": "Steps between structure changes.",
    "adapt.until_step": "The structure stays as it is after this step.",
    "adapt.max_voxels": "Voxels are not split beyond this number.",
    "adapt.max_nodes": "Nodes are not split beyond this number.",
    "adapt.splits": "Leaves that the button below splits, those first that were asked for finer detail most.",
    "prune.weight": "Voxels whose heaviest blending weight in any view, times the voxels of a side, is below this are "
    "dropped, if pruning goes by weight.",
    "prune.density": "Voxels of less density are dropped, if pruning goes by density.",
    "prune.max_cells": "No more voxels than this: the lightest go first.",
}
