# SPDX-License-Identifier: MIT
"""What can be asked for when a trained scene is written for other programs or as a small file."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.options import option


@dataclass(frozen=True)
class CompactOptions:
    """How exactly a compact file keeps what was learned."""

    colour_step: float = option(
        1.0, "Colours are kept to so many grey levels of 255.", minimum=0.1, maximum=16.0
    )
    density_bits: int = option(8, "Bits that a density is kept in.", minimum=6, maximum=16)


@dataclass(frozen=True)
class VoxelOptions:
    """Which voxels are written as points or cubes."""

    opacity: float = option(
        0.1, "Leave out voxels that hide less than this share of what is behind.", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class FusionOptions:
    """The pictures that points and meshes are made of."""

    views: int = option(80, "How many capture views are drawn, evenly chosen.", minimum=0, maximum=2_000)
    orbit: int = option(0, "How many views around the scene are drawn besides.", minimum=0, maximum=2_000)
    picture: int = option(
        640, "Longest side of these pictures at most.", minimum=32, maximum=4_096, unit="px"
    )
    depth: str = option(
        "median", "Where a pixel's surface is taken to be along its ray.", choices=("median", "mean")
    )
    foreground: bool = option(True, "Keep only what is in the foreground box of the scene.")


@dataclass(frozen=True)
class PointOptions:
    """Surface points."""

    resolution: int = option(
        512, "Cells along an edge of the box; a cell becomes one point.", minimum=16, maximum=8_192
    )


@dataclass(frozen=True)
class MeshOptions:
    """A mesh of the fused surface."""

    resolution: int = option(256, "Cells along an edge of the box.", minimum=16, maximum=2_048)
    truncation: float = option(
        4.0, "How far from a surface distances are averaged.", minimum=1.5, maximum=32.0, unit="cells"
    )
    pieces: float = option(
        0.01,
        "Drop loose pieces with less than this share of the largest one's triangles.",
        minimum=0.0,
        maximum=1.0,
    )
    triangles: int = option(
        0, "Simplify to so many triangles; 0 keeps all of them.", minimum=0, maximum=10**9
    )


@dataclass(frozen=True)
class ExportOptions:
    """Options of scene export, in groups."""

    compact: CompactOptions = field(default_factory=CompactOptions)
    voxels: VoxelOptions = field(default_factory=VoxelOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    points: PointOptions = field(default_factory=PointOptions)
    mesh: MeshOptions = field(default_factory=MeshOptions)
