// SPDX-License-Identifier: MIT
// Values at grid points to values at voxel corners, and gradients back; sums of gradient rows in a fixed order.
#include "math.cuh"

// corners [V,8] = values[corner_idx]. Parallel over: corners.
extern "C" __global__ void __launch_bounds__(256) gather_corners(
    int64_t n_corners, const int *corner_idx, const float *values, float *corners
) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n_corners) corners[i] = values[corner_idx[i]];
}

// v_values [G] += the gradients of the corners that meet in each point. Parallel over: corners; order left to chance.
extern "C" __global__ void __launch_bounds__(256) scatter_corners(
    int64_t n_corners, const int *corner_idx, const float *v_corners, float *v_values
) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n_corners && v_corners[i] != 0.0f) atomicAdd(v_values + corner_idx[i], v_corners[i]);
}

// The same in a fixed order: owners [8 V], from owner_start [G+1] on, are the corners that meet in a point.
// Parallel over: points.
extern "C" __global__ void __launch_bounds__(256) sum_owners(
    int n_points, const int *owner_start, const int *owners, const float *v_corners, float *v_values
) {
    const int point = blockIdx.x * blockDim.x + threadIdx.x;
    if (point >= n_points) return;
    float total = 0.0f;
    for (int k = owner_start[point]; k < owner_start[point + 1]; ++k) total += v_corners[owners[k]];
    v_values[point] = total;
}

// Adds up a voxel's rows [P,16] of raster_rows, which end at pair_end[voxel]: v_corners [V,8] (0 where unseen), v_slot
// [S,4] (r, g, b, heaviest weight), priority [V] += unless null. Parallel over: voxels x 16 columns.
extern "C" __global__ void __launch_bounds__(256) sum_rows(
    int n_voxels, const int *n_tiles, const int *pair_end, const int *slot_end, const float *rows, float *v_corners,
    float *v_slot, float *priority
) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int64_t voxel = i / 16;
    const int k = static_cast<int>(i % 16);
    if (voxel >= n_voxels) return;
    const int n = n_tiles[voxel];
    float total = 0.0f;
    for (int64_t row = pair_end[voxel] - n; row < pair_end[voxel]; ++row) {
        const float value = rows[16 * row + k];
        total = k == 12 ? fmaxf(total, value) : total + value;
    }
    if (k < 8) v_corners[8 * voxel + k] = total;
    if (n == 0 || k < 8) return;
    const int64_t slot = slot_end[voxel] - 1;
    if (k < 11) v_slot[4 * slot + k - 8] = total;
    if (k == 11 && priority != nullptr) priority[voxel] += total;
    if (k == 12) v_slot[4 * slot + 3] = total;
}

// Adds up colour rows [P,24], channel by channel: v_colours [V,8,3]. Parallel over: voxels x 24 columns.
extern "C" __global__ void __launch_bounds__(256) sum_colour_rows(
    int n_voxels, const int *n_tiles, const int *pair_end, const float *colour_rows, float *v_colours
) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int64_t voxel = i / 24;
    const int k = static_cast<int>(i % 24);
    if (voxel >= n_voxels) return;
    float total = 0.0f;
    for (int64_t row = pair_end[voxel] - n_tiles[voxel]; row < pair_end[voxel]; ++row) total += colour_rows[24 * row + k];
    v_colours[24 * voxel + 3 * (k % 8) + k / 8] = total;
}
