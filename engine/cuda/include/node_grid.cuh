// SPDX-License-Identifier: MIT
// The hash grid of a node's field: where the eight corners around a place have their entries, and their trilinear weights.
#pragma once
#include "math.cuh"

// A level of a grid: its first entry among a slot's, its cells an axis, and the mask of its hash, 0 where it is dense.
struct GridLevel {
    int first, cells;
    unsigned mask;
};

DEVICE GridLevel grid_level(const int *levels, int level) {
    return {levels[3 * level], levels[3 * level + 1], static_cast<unsigned>(levels[3 * level + 2])};
}

// The cell of a place in [0,1]^3 and where in it; 1 belongs to the last cell.
struct GridCell {
    unsigned low[3];
    float part[3];
};

DEVICE GridCell grid_cell(const float *place, int cells) {
    GridCell cell;
    for (int axis = 0; axis < 3; ++axis) {
        const float scaled = place[axis] * cells;
        const float low = fminf(floorf(scaled), cells - 1.0f);
        cell.low[axis] = static_cast<unsigned>(low);
        cell.part[axis] = scaled - low;
    }
    return cell;
}

// The entry of corner 4 cx + 2 cy + cz in its level. In 32 bits without a sign products wrap, which the mask does not see.
DEVICE unsigned grid_entry(const GridLevel &level, const GridCell &cell, int corner) {
    const unsigned x = cell.low[0] + (corner >> 2), y = cell.low[1] + ((corner >> 1) & 1), z = cell.low[2] + (corner & 1);
    const unsigned side = level.cells + 1;
    if (level.mask == 0) return x + side * (y + side * z);
    return (x ^ (y * HASH_Y) ^ (z * HASH_Z)) & level.mask;
}

DEVICE float grid_weight(const GridCell &cell, int corner) {
    const float x = corner >> 2 ? cell.part[0] : 1.0f - cell.part[0];
    const float y = (corner >> 1) & 1 ? cell.part[1] : 1.0f - cell.part[1];
    const float z = corner & 1 ? cell.part[2] : 1.0f - cell.part[2];
    return x * y * z;
}
