// SPDX-License-Identifier: MIT
// Colours of voxels from spherical harmonics, and back: the twin of engine/cpu/shade.py, see sh.cuh.
#include "sh.cuh"

DEVICE void basis_of_voxel(const float *view, const float *center, int degree, float *basis) {
    float direction[3], offset[3];
    for (int axis = 0; axis < 3; ++axis) offset[axis] = (center[axis] - view[VIEW_POS + axis]) - view[VIEW_POS_LOW + axis];
    direction_to(view, offset[0], offset[1], offset[2], direction);
    sh_basis(direction, degree, basis);
}

// rgb [V,3] = max(0, 0.5 + SH) of coefficients in groups of n_rows rows, seen along the line to center [V,3].
// Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) shade_voxels(
    int n_voxels, const float *center, const float *view, const float *sh, int n_rows, int degree, float *rgb
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels) return;
    float basis[SH_MAX], colour[3];
    basis_of_voxel(view, center + 3 * static_cast<int64_t>(voxel), degree, basis);
    colour_from_sh(sh, n_rows, voxel, degree, basis, colour);
    for (int c = 0; c < 3; ++c) rgb[3 * static_cast<int64_t>(voxel) + c] = colour[c];
}

// v_sh, grouped like sh, = basis * v_rgb below the clamp: rgb [V,3] is what shade_voxels gave. Rows of higher degrees are
// left alone. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) shade_voxels_backward(
    int n_voxels, const float *center, const float *view, const float *rgb, const float *v_rgb, int n_rows, int degree,
    float *v_sh
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels) return;
    float basis[SH_MAX], v[3];
    basis_of_voxel(view, center + 3 * static_cast<int64_t>(voxel), degree, basis);
    for (int c = 0; c < 3; ++c) {
        const int64_t at = 3 * static_cast<int64_t>(voxel) + c;
        v[c] = clamped_colour_backward(rgb[at], v_rgb[at]);
    }
    const int n = (degree + 1) * (degree + 1);
#pragma unroll
    for (int k = 0; k < SH_MAX; ++k) {
        if (k >= n) break;
        for (int c = 0; c < 3; ++c) v_sh[sh_index(voxel, n_rows, 3 * k + c)] = basis[k] * v[c];
    }
}
