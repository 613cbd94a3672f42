# SPDX-License-Identifier: MIT
"""Draw the application's icon: a cube of voxels, one octant subdivided, in one accent colour.

    python tools/make_icon.py

You should see, on a dark rounded square, an isometric cube of teal blocks whose near upper corner consists of smaller
blocks with air between them.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

TARGET = Path(__file__).resolve().parent.parent / "assets" / "icon.png"
SIZE_PX = 256
OVERSAMPLE = 4  # drawn larger and scaled down, for smooth edges
GROUND = (24, 26, 30)
ACCENT = (64, 196, 190)
SHADES = {"top": 1.0, "left": 0.62, "right": 0.40}  # a light from above left

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x y z of the lowest corner, edge; the cube is [0,1]^3


def voxels() -> list[Box]:
    """Return the boxes to draw: 2 x 2 x 2 octants, the one nearest to the viewer split once more and thinned out."""
    boxes: list[Box] = []
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                if (x, y, z) != (1, 1, 1):
                    boxes.append((x / 2, y / 2, z / 2, 0.5))
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                if x + y + z < 3:
                    boxes.append((0.5 + x / 4, 0.5 + y / 4, 0.5 + z / 4, 0.25))
    return sorted(boxes, key=lambda box: sum(box[:3]) + 1.5 * box[3])  # far to near along the isometric axis


def isometric(x: float, y: float, z: float, size: float) -> Point:
    """Return the picture position of a point of the unit cube; z is up, the viewer is at (+, +, +)."""
    half = 0.36 * size
    return 0.5 * size + (x - y) * half * 0.866, 0.53 * size + (x + y - 1) * half * 0.5 - (z - 0.5) * half


def draw_box(draw: ImageDraw.ImageDraw, box: Box, size: float) -> None:
    """Draw the three visible faces of a box, a little smaller than the box so that neighbours stay apart."""
    gap = 0.022
    x, y, z = (value + gap for value in box[:3])
    edge = box[3] - 2 * gap
    far_x, far_y, far_z = x + edge, y + edge, z + edge
    faces = {
        "top": [(x, y, far_z), (far_x, y, far_z), (far_x, far_y, far_z), (x, far_y, far_z)],
        "left": [(x, far_y, z), (far_x, far_y, z), (far_x, far_y, far_z), (x, far_y, far_z)],
        "right": [(far_x, y, z), (far_x, far_y, z), (far_x, far_y, far_z), (far_x, y, far_z)],
    }
    for name, corners in faces.items():
        colour = tuple(round(channel * SHADES[name]) for channel in ACCENT)
        draw.polygon([isometric(*corner, size) for corner in corners], fill=colour)


def main() -> None:
    """Write assets/icon.png."""
    size = SIZE_PX * OVERSAMPLE
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([0, 0, size - 1, size - 1], radius=size * 0.2, fill=(*GROUND, 255))
    for box in voxels():
        draw_box(draw, box, size)
    image.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
