// SPDX-License-Identifier: MIT
// Real spherical harmonics to degree 3, order and signs of engine/sh.py, and the colours made of them.
//
// colour_c = max(0, 0.5 + sum_k basis_k(direction) sh[k, c]). Coefficients stand in groups of sixteen voxels, one run of
// sixteen floats per coefficient (engine/cpu/shade.py): neighbouring threads read neighbouring memory.
#pragma once
#include "rays.cuh"

constexpr int SH_GROUP = 16;
constexpr int SH_MAX = 16;

// Where coefficient row `row` (3 k + channel) of a voxel stands in an array of n_rows rows a group.
DEVICE long long sh_index(int voxel, int n_rows, int row) {
    return (static_cast<long long>(voxel / SH_GROUP) * n_rows + row) * SH_GROUP + voxel % SH_GROUP;
}

DEVICE void sh_basis(const float *direction, int degree, float *basis) {
    basis[0] = SH_C0;
#pragma unroll
    for (int k = 1; k < SH_MAX; ++k) basis[k] = 0.0f;
    if (degree < 1) return;
    const float x = direction[0], y = direction[1], z = direction[2];
    basis[1] = -SH_C1 * y;
    basis[2] = SH_C1 * z;
    basis[3] = -SH_C1 * x;
    if (degree < 2) return;
    const float xx = x * x, yy = y * y, zz = z * z;
    basis[4] = SH_C2[0] * x * y;
    basis[5] = SH_C2[1] * y * z;
    basis[6] = SH_C2[2] * (2.0f * zz - xx - yy);
    basis[7] = SH_C2[3] * x * z;
    basis[8] = SH_C2[4] * (xx - yy);
    if (degree < 3) return;
    basis[9] = SH_C3[0] * y * (3.0f * xx - yy);
    basis[10] = SH_C3[1] * x * y * z;
    basis[11] = SH_C3[2] * y * (4.0f * zz - xx - yy);
    basis[12] = SH_C3[3] * z * (2.0f * zz - 3.0f * xx - 3.0f * yy);
    basis[13] = SH_C3[4] * x * (4.0f * zz - xx - yy);
    basis[14] = SH_C3[5] * z * (xx - yy);
    basis[15] = SH_C3[6] * x * (xx - 3.0f * yy);
}

DEVICE void colour_from_sh(const float *sh, int n_rows, int voxel, int degree, const float *basis, float *rgb) {
    float r = 0.5f, g = 0.5f, b = 0.5f;
    const int n = (degree + 1) * (degree + 1);
#pragma unroll
    for (int k = 0; k < SH_MAX; ++k) {
        if (k >= n) break;
        const long long at = sh_index(voxel, n_rows, 3 * k);
        r = fmaf(basis[k], sh[at], r);
        g = fmaf(basis[k], sh[at + SH_GROUP], g);
        b = fmaf(basis[k], sh[at + 2 * SH_GROUP], b);
    }
    rgb[0] = fmaxf(r, 0.0f);
    rgb[1] = fmaxf(g, 0.0f);
    rgb[2] = fmaxf(b, 0.0f);
}

// The gradient of the sum below the clamp: a colour clamped at 0 hears only gradients that would raise it. Then
// d colour_c / d sh[k, c] = basis_k.
DEVICE float clamped_colour_backward(float colour, float v_colour) {
    return colour > 0.0f || v_colour < 0.0f ? v_colour : 0.0f;
}
