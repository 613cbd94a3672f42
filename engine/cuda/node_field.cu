// SPDX-License-Identifier: MIT
// The hash grids of nodes' fields at samples, and the way back: see include/node_grid.cuh.
//
// Computes, per level, feature_f = sum over corners of weight table[slot, first + entry, f], two features an entry.
// Parallel over: samples along x of the grid, levels along y, so that a level's entries stay in the second-level cache.
#include "node_grid.cuh"

// features [L, M, 2] of places [M,3] in [0,1]; slots [M]; tables [S, entries, 2]; levels [L,3]: first entry, cells, mask.
extern "C" __global__ void __launch_bounds__(256) node_encode(
    int n, int entries, const int *levels, const int *slots, const float *places, const float *tables, float *features
) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const GridLevel level = grid_level(levels, blockIdx.y);
    const GridCell cell = grid_cell(places + 3 * static_cast<int64_t>(i), level.cells);
    const float *table = tables + 2 * (static_cast<int64_t>(slots[i]) * entries + level.first);
    float total[2] = {0.0f, 0.0f};
    for (int corner = 0; corner < 8; ++corner) {
        const float *pair = table + 2 * static_cast<int64_t>(grid_entry(level, cell, corner));
        const float weight = grid_weight(cell, corner);
        total[0] = fmaf(weight, pair[0], total[0]);
        total[1] = fmaf(weight, pair[1], total[1]);
    }
    const int64_t at = 2 * (static_cast<int64_t>(blockIdx.y) * n + i);
    features[at] = total[0];
    features[at + 1] = total[1];
}

// Adds the gradients of features [L, M, 2] to v_tables [S, entries, 2] with atomics, in an order left to chance.
extern "C" __global__ void __launch_bounds__(256) node_encode_backward(
    int n, int entries, const int *levels, const int *slots, const float *places, const float *v_features, float *v_tables
) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const int64_t at = 2 * (static_cast<int64_t>(blockIdx.y) * n + i);
    const float v[2] = {v_features[at], v_features[at + 1]};
    if (v[0] == 0.0f && v[1] == 0.0f) return;
    const GridLevel level = grid_level(levels, blockIdx.y);
    const GridCell cell = grid_cell(places + 3 * static_cast<int64_t>(i), level.cells);
    float *table = v_tables + 2 * (static_cast<int64_t>(slots[i]) * entries + level.first);
    for (int corner = 0; corner < 8; ++corner) {
        float *pair = table + 2 * static_cast<int64_t>(grid_entry(level, cell, corner));
        const float weight = grid_weight(cell, corner);
        atomicAdd(pair, weight * v[0]);
        atomicAdd(pair + 1, weight * v[1]);
    }
}
