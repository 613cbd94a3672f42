// SPDX-License-Identifier: MIT
// Counts of a structure for the panels: leaves per level, and how many of them were seen and carry weight.
#include "math.cuh"

constexpr int LEVELS = MAX_LEVEL + 1, COLUMNS = 3;

// counts [17,3], zero before: leaves of each level; those of them seen by a view (footprint below infinity); those whose
// heaviest weight reaches `threshold`. Parallel over: voxels, in blocks that count for themselves first.
extern "C" __global__ void __launch_bounds__(256) count_levels(
    int n_voxels, const int8_t *level, const float *footprint, const float *heaviest, float threshold, int *counts
) {
    SHARED(int, own, LEVELS *COLUMNS);
    for (int i = threadIdx.x; i < LEVELS * COLUMNS; i += blockDim.x) own[i] = 0;
    __syncthreads();
    for (int voxel = blockIdx.x * blockDim.x + threadIdx.x; voxel < n_voxels; voxel += gridDim.x * blockDim.x) {
        int *row = own + COLUMNS * level[voxel];
        atomicAdd(row, 1);
        if (footprint[voxel] < 3.0e38f) atomicAdd(row + 1, 1);
        if (heaviest[voxel] >= threshold) atomicAdd(row + 2, 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < LEVELS * COLUMNS; i += blockDim.x)
        if (own[i] != 0) atomicAdd(counts + i, own[i]);
}
