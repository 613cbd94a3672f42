// SPDX-License-Identifier: MIT
// Interleaved lattice coordinates and the camera's front-to-back key. The twin, with the proof, is engine/morton.py.
#pragma once
#include "math.cuh"

// The low 16 bits of value from positions 0, 3, 6 ... side by side.
DEVICE int gather_bits(int64_t value) {
    value &= 0x249249249249;
    value = (value | (value >> 2)) & 0x0C30C30C30C3;
    value = (value | (value >> 4)) & 0x00F00F00F00F;
    value = (value | (value >> 8)) & 0x0000FF0000FF;
    return static_cast<int>((value | (value >> 16)) & 0xFFFF);
}

// Every bit, per axis, below a set bit is set too: 16 digits, so four doublings.
DEVICE int64_t smear(int64_t bits) {
    bits |= bits >> 3;
    bits |= bits >> 6;
    bits |= bits >> 12;
    return bits | (bits >> 24);
}

// The key of a path for a camera given by order_code [4]: its interleaved cell, then masks of the axes on which the
// camera is within, below and above the lattice.
DEVICE int64_t order_key(int64_t path, const int64_t *code) {
    const int64_t at_or_below_top = smear(path ^ code[0]);
    const int64_t below_top = at_or_below_top >> 3;
    const int64_t top = at_or_below_top ^ below_top;
    const int64_t voxel_above = smear(path & top) >> 3;
    const int64_t key = top | (below_top & ~(path ^ voxel_above));
    return (key & code[1]) | (path & code[2]) | (~path & code[3]);
}
