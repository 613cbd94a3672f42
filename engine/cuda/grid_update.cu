// SPDX-License-Identifier: MIT
// A grid's total variation, and its fields' steps: only rows that this step touched, as published for Plenoxels.
//
// A row of gradients, and of what the optimiser remembers, has the coefficients as in `sh` and behind them, in `column`, the
// density. `touched` has a bit per row. Whoever adds to a row's gradient sets it; the step goes through the words, takes the
// rows whose bits are set, and clears gradients and bits behind it: what nobody touched costs a bit.
#include "march.cuh"

// --- total variation ------------------------------------------------------------------------------------------------
// Of a cell with forward differences D_k to its neighbours:  scale_k D_k / sqrt(sum D^2 + eps) is added to the gradient of
// the neighbour and taken from its own, as published: the norm is of differences without their scales. No difference at the
// border of the grid; eps protects flat spots.

// The cells start, start + 1 ... (mod the grid's size) of a run, and where their neighbours along x, y, z are; -1: none.
DEVICE int64_t cell_of_run(const Lattice &g, int64_t start, int64_t i, int64_t *neighbour) {
    const int64_t flat = (start + i) % (static_cast<int64_t>(g.nx) * g.ny * g.nz);
    const int64_t row = flat / g.nz;
    neighbour[0] = row / g.ny + 1 < g.nx ? flat + static_cast<int64_t>(g.ny) * g.nz : -1;
    neighbour[1] = row % g.ny + 1 < g.ny ? flat + g.nz : -1;
    neighbour[2] = flat % g.nz + 1 < g.nz ? flat + 1 : -1;
    return flat;
}

// Adds to `column` of v_rows. Where there is no voxel the density is 0. scale [3]: weight / cells * the axis' scale.
// Parallel over: cells of the run.
extern "C" __global__ void __launch_bounds__(256) grid_variation_of_density(
    int64_t start, int64_t n_cells, int nx, int ny, int nz, const int *links, const float *scale, float eps,
    const float *density, int stride, int column, float *v_rows, int *touched
) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n_cells) return;
    int64_t neighbour[3];
    const int here = links[cell_of_run({nx, ny, nz, links}, start, i, neighbour)];
    const float value = here >= 0 ? density[here] : 0.0f;
    float difference[3], square = eps, own = 0.0f;
    int row[3];
    for (int axis = 0; axis < 3; ++axis) {
        row[axis] = neighbour[axis] >= 0 ? links[neighbour[axis]] : -1;
        difference[axis] = neighbour[axis] >= 0 ? (row[axis] >= 0 ? density[row[axis]] : 0.0f) - value : 0.0f;
        square = fmaf(difference[axis], difference[axis], square);
    }
    const float inverse = rsqrtf(square);
    for (int axis = 0; axis < 3; ++axis) {
        const float slope = scale[axis] * difference[axis] * inverse;
        own -= slope;
        if (row[axis] < 0 || slope == 0.0f) continue;
        atomicAdd(v_rows + static_cast<int64_t>(row[axis]) * stride + column, slope);
        touch(touched, row[axis]);
    }
    if (here < 0) return;
    atomicAdd(v_rows + static_cast<int64_t>(here) * stride + column, own);
    touch(touched, here);
}

// Adds to v_rows [rows, stride], each of `count` coefficients on its own. Cells without a voxel have no colour: they are left
// out, and to a neighbour without one there is no difference. Parallel over: cells of the run, a warp each.
extern "C" __global__ void __launch_bounds__(256) grid_variation_of_sh(
    int64_t start, int64_t n_cells, int nx, int ny, int nz, const int *links, const float *scale, float eps, int stride,
    int count, const float *sh, float *v_rows, int *touched
) {
    const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / WARP;
    const int lane = threadIdx.x % WARP;
    if (i >= n_cells) return;
    int64_t neighbour[3];
    const int64_t here = links[cell_of_run({nx, ny, nz, links}, start, i, neighbour)];
    if (here < 0) return;
    int64_t row[3];
    for (int axis = 0; axis < 3; ++axis) row[axis] = neighbour[axis] >= 0 ? links[neighbour[axis]] : -1;
    for (int q = lane; q < count; q += WARP) {
        float difference[3], square = eps, own = 0.0f;
        for (int axis = 0; axis < 3; ++axis) {
            difference[axis] = row[axis] >= 0 ? sh[row[axis] * stride + q] - sh[here * stride + q] : 0.0f;
            square = fmaf(difference[axis], difference[axis], square);
        }
        const float inverse = rsqrtf(square);
        for (int axis = 0; axis < 3; ++axis) {
            if (row[axis] < 0) continue;
            const float slope = scale[axis] * difference[axis] * inverse;
            own -= slope;
            atomicAdd(v_rows + row[axis] * stride + q, slope);
        }
        atomicAdd(v_rows + here * stride + q, own);
    }
    if (lane >= 4) return;
    const int64_t other = lane == 0 ? row[0] : (lane == 1 ? row[1] : (lane == 2 ? row[2] : here));
    if (other >= 0) touch(touched, static_cast<int>(other));
}

// --- steps ----------------------------------------------------------------------------------------------------------
// v = g^2 the first time, which v = 0 stands for, else beta2 v + (1 - beta2) g^2. RMSProp: x -= rate g / (sqrt(v) + eps).
// Adam: g is blended into a mean likewise, and the mean moves x. A gradient of exactly 0 lets v shrink.

// Takes a step at every touched row; v_rows and touched are 0 afterwards. rates, eps [stride] as the rows; means: Adam's, null
// with RMSProp. Parallel over: words of 32 rows, a warp each, row after row a coefficient per lane.
extern "C" __global__ void __launch_bounds__(256) grid_step(
    int n_rows, int *touched, float beta1, float beta2, const float *rates, const float *eps, int stride, int column,
    float *v_rows, float *density, float *sh, float *squares, float *means
) {
    const int word = (blockIdx.x * blockDim.x + threadIdx.x) / WARP, lane = threadIdx.x % WARP;
    if (word >= (n_rows + WARP - 1) / WARP) return;
    const unsigned bits = static_cast<unsigned>(touched[word]);
    if (bits == 0) return;
    __syncwarp();
    if (lane == 0) touched[word] = 0;
    for (unsigned rest = bits; rest != 0; rest &= rest - 1) {
        const int64_t row = static_cast<int64_t>(word) * WARP + __ffs(rest) - 1;
        for (int q = lane; q <= column; q += WARP) {
            const int64_t at = row * stride + q;
            const float g = v_rows[at], before = squares[at];
            const bool fresh = before == 0.0f;
            const float square = fresh ? g * g : fmaf(beta2, before, (1.0f - beta2) * g * g);
            float towards = g;
            if (means != nullptr) {
                towards = fresh ? g : fmaf(beta1, means[at], (1.0f - beta1) * g);
                means[at] = towards;
            }
            squares[at] = square;
            v_rows[at] = 0.0f;
            float *x = q == column ? density + row : sh + at;
            *x -= rates[q] * towards / (sqrtf(square) + eps[q]);
        }
    }
}
