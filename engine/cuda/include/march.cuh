// SPDX-License-Identifier: MIT
// A ray in a grid of voxels, as published for Plenoxels: its samples, the field at a sample, and what light they let by.
//
// Voxel i of an axis has its centre at grid coordinate i; the grid covers [-0.5, n - 0.5]. Links [nx,ny,nz] are rows of
// the fields, or negative where there is no voxel: that reads as 0 in every channel. Link -1 - k says that there is none
// within k steps along any axis either.
//
// A warp walks one ray, 32 samples at a time: each lane looks up the density of its own sample, a scan over the lanes
// gives what light is left, and the samples that are not empty are then coloured one after another, a coefficient per
// lane: rows are read, and gradients added, side by side. Nothing is kept per sample.
#pragma once
#include "sh.cuh"
#include "warp.cuh"

// Layout of the options, float32 [MARCH_SIZE]; engine/cuda/march.py fills it.
enum March { MARCH_STEP, MARCH_NEAR, MARCH_FAR, MARCH_SIGMA, MARCH_STOP, MARCH_CAUCHY, MARCH_L1, MARCH_SIZE };

struct Lattice {
    int nx, ny, nz;
    const int *links;
};

DEVICE int64_t flat_index(const Lattice &g, int x, int y, int z) {
    return (static_cast<int64_t>(x) * g.ny + y) * g.nz + z;
}

// `touched` has a bit per row: set for the rows whose gradients are added to.
DEVICE void touch(int *touched, int row) { atomicOr(touched + row / WARP, static_cast<int>(1u << row % WARP)); }

// --- the ray --------------------------------------------------------------------------------------------------------
// Sample i lies at entry + i step dir: counted, not added up, so that leaping over empty space changes no sample.

struct GridRay {
    float x, y, z;     // grid coordinates of sample 0
    float dx, dy, dz;  // grid units per grid unit: of length 1
    float unit;        // world length of a grid unit along this ray
    float t;           // grid units from the origin to sample 0
    int n;             // samples; 0 where the ray misses the grid
};

// frame [6]: scale and shift of each axis, grid = world * scale + shift. In double, once per ray: the entry of a ray that
// comes from far away would be off by more than its samples are.
DEVICE GridRay grid_ray(const Lattice &g, const double *frame, const float *o, const float *d, const float *march) {
    const int size[3] = {g.nx, g.ny, g.nz};
    double from[3], along[3], square = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
        from[axis] = o[axis] * frame[axis] + frame[3 + axis];
        along[axis] = d[axis] * frame[axis];
        square += along[axis] * along[axis];
    }
    const double length = sqrt(square);
    double first = march[MARCH_NEAR] * length, last = march[MARCH_FAR] * length;
    for (int axis = 0; axis < 3; ++axis) {
        const double low = -0.5 - from[axis], high = size[axis] - 0.5 - from[axis];
        along[axis] /= length;
        if (fabs(along[axis]) < 1e-12) {  // parallel to these two faces
            if (low > 0.0 || high < 0.0) last = -1.0;
            continue;
        }
        const double a = low / along[axis], b = high / along[axis];
        first = fmax(first, fmin(a, b));
        last = fmin(last, fmax(a, b));
    }
    GridRay ray;
    ray.x = static_cast<float>(from[0] + first * along[0]);
    ray.y = static_cast<float>(from[1] + first * along[1]);
    ray.z = static_cast<float>(from[2] + first * along[2]);
    ray.dx = static_cast<float>(along[0]);
    ray.dy = static_cast<float>(along[1]);
    ray.dz = static_cast<float>(along[2]);
    ray.unit = static_cast<float>(1.0 / length);
    ray.t = static_cast<float>(first);
    ray.n = last >= first ? static_cast<int>((last - first) / march[MARCH_STEP]) + 1 : 0;
    return ray;
}

// --- the cell of a sample -------------------------------------------------------------------------------------------

struct Cell {
    int x, y, z;      // its low corner
    float u, v, w;    // where in it, each in [0, 1]
    float px, py, pz;  // the sample itself, not clamped
};

DEVICE int cell_of_axis(float p, int n, float *rest) {
    const float inside = fminf(fmaxf(p, 0.0f), n - 1.0f);
    const int low = min(static_cast<int>(inside), n - 2);
    *rest = inside - low;
    return low;
}

DEVICE Cell cell_of(const Lattice &g, const GridRay &ray, float along) {
    Cell cell;
    cell.px = fmaf(along, ray.dx, ray.x);
    cell.py = fmaf(along, ray.dy, ray.y);
    cell.pz = fmaf(along, ray.dz, ray.z);
    cell.x = cell_of_axis(cell.px, g.nx, &cell.u);
    cell.y = cell_of_axis(cell.py, g.ny, &cell.v);
    cell.z = cell_of_axis(cell.pz, g.nz, &cell.w);
    return cell;
}

// Corner c is 4 cx + 2 cy + cz: z runs fastest, as in memory.
DEVICE float corner_weight(const Cell &cell, int c) {
    return (c & 4 ? cell.u : 1.0f - cell.u) * (c & 2 ? cell.v : 1.0f - cell.v) * (c & 1 ? cell.w : 1.0f - cell.w);
}

DEVICE int corner_row(const Lattice &g, const Cell &cell, int c) {
    return g.links[flat_index(g, cell.x + (c >> 2), cell.y + ((c >> 1) & 1), cell.z + (c & 1))];
}

DEVICE float density_of_cell(const Lattice &g, const Cell &cell, const float *density) {
    float raw = 0.0f;
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        const int row = corner_row(g, cell, c);
        if (row >= 0) raw = fmaf(corner_weight(cell, c), density[row], raw);
    }
    return raw;
}

// How many samples further the ray is out of what is known to be empty, at least 1: no voxel within k steps of the cell's
// low corner has a row, so neither have the corners of a sample in [corner - k, corner + k].
DEVICE int samples_to_leave(const Cell &cell, const GridRay &ray, int k, float step) {
    const float tiny = 1e-9f, margin = 1e-3f;  // margin: rounding never leaps over a sample outside
    const float low[3] = {float(cell.x - k), float(cell.y - k), float(cell.z - k)};
    const float at[3] = {cell.px, cell.py, cell.pz}, dir[3] = {ray.dx, ray.dy, ray.dz};
    float exit = 4096.0f;  // more than any grid; a ray along an axis never leaves on the others
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float wall = dir[axis] > 0.0f ? low[axis] + 2.0f * k : low[axis];
        if (fabsf(dir[axis]) > tiny) exit = fminf(exit, (wall - at[axis]) / dir[axis]);
    }
    return max(1, static_cast<int>(ceilf((exit - margin) / step)));
}

// --- scans ----------------------------------------------------------------------------------------------------------

// The sum of the values of this lane and those below it.
DEVICE float warp_scan(float value, int lane) {
#pragma unroll
    for (int by = 1; by < WARP; by <<= 1) {
        const float below = __shfl_up_sync(ALL_LANES, value, by);
        if (lane >= by) value += below;
    }
    return value;
}

// --- 32 samples -----------------------------------------------------------------------------------------------------
// sigma = ReLU(trilinear density), ignored up to a threshold. p = sigma step unit; log T falls by p; w = T (1 - e^-p).
// A sample counts while log T before it has not fallen below the stop.

struct Sample {
    Cell cell;
    float sigma;
    float log_before, log_after;  // log T before and after it
    float weight;                 // 0 unless live
    bool live;
};

// Every lane's sample first + lane; *next becomes the first one behind these 32 that may not be empty, *log_trans what the
// last one that counts leaves.
DEVICE Sample samples_from(
    int first, int lane, const Lattice &g, const GridRay &ray, const float *density, const float *march,
    float *log_trans, int *next
) {
    const float step = march[MARCH_STEP];
    const int i = first + lane;
    Sample s;
    s.cell = cell_of(g, ray, i * step);
    s.sigma = 0.0f;
    int leap = 1;
    if (i < ray.n) {
        const int link = corner_row(g, s.cell, 0);
        if (link < -1) {
            leap = samples_to_leave(s.cell, ray, -1 - link, step);
        } else {
            s.sigma = density_of_cell(g, s.cell, density);
        }
    }
    if (!(s.sigma > march[MARCH_SIGMA])) s.sigma = 0.0f;
    const float depth = s.sigma * step * ray.unit;
    const float scanned = warp_scan(depth, lane);
    const float before = __shfl_up_sync(ALL_LANES, scanned, 1);
    s.log_after = *log_trans - scanned;
    s.log_before = lane == 0 ? *log_trans : *log_trans - before;
    const bool counts = s.log_before >= march[MARCH_STOP];  // so do the lanes below: light does not grow
    s.live = s.sigma > 0.0f && counts;
    s.weight = s.live ? -expm1f(-depth) * expf(s.log_before) : 0.0f;
    *next = __shfl_sync(ALL_LANES, i + leap, WARP - 1);
    *log_trans = __shfl_sync(ALL_LANES, s.log_after, __popc(__ballot_sync(ALL_LANES, counts)) - 1);
    return s;
}

// --- colours --------------------------------------------------------------------------------------------------------
// c = max(0, 0.5 + sum_k Y_k(dir) trilinear(sh)_k), rows of 3 B coefficients, channel after channel. A lane has
// coefficients lane and lane + 32.

constexpr int PER_LANE = 2;  // 48 of degree 3

struct Coefficients {
    int count;                // 3 B
    int channel[PER_LANE];    // 3: none
    float basis[PER_LANE];
};

DEVICE Coefficients coefficients_of_lane(const float *d, int degree, int lane) {
    const float scale = rsqrtf(fmaxf(fmaf(d[0], d[0], fmaf(d[1], d[1], d[2] * d[2])), 1e-24f));
    const float direction[3] = {d[0] * scale, d[1] * scale, d[2] * scale};
    float basis[SH_MAX];
    sh_basis(direction, degree, basis);
    const int n = (degree + 1) * (degree + 1);
    Coefficients mine;
    mine.count = 3 * n;
#pragma unroll
    for (int j = 0; j < PER_LANE; ++j) {
        const int q = lane + j * WARP;
        mine.channel[j] = q < mine.count ? q / n : 3;
        mine.basis[j] = 0.0f;
#pragma unroll
        for (int k = 0; k < SH_MAX; ++k)
            if (q < mine.count && q % n == k) mine.basis[j] = basis[k];
    }
    return mine;
}

// The sums before the clamp, the same in all lanes.
DEVICE void colour_of_cell(
    const Lattice &g, const Cell &cell, const float *sh, int stride, const Coefficients &mine, int lane, float *raw
) {
    float part[3] = {0.0f, 0.0f, 0.0f}, value[PER_LANE] = {0.0f, 0.0f};
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        const int row = corner_row(g, cell, c);
        if (row < 0) continue;
        const float weight = corner_weight(cell, c);
        const float *from = sh + static_cast<int64_t>(row) * stride;
#pragma unroll
        for (int j = 0; j < PER_LANE; ++j)
            if (lane + j * WARP < mine.count) value[j] = fmaf(weight, from[lane + j * WARP], value[j]);
    }
#pragma unroll
    for (int j = 0; j < PER_LANE; ++j) {
#pragma unroll
        for (int c = 0; c < 3; ++c)
            if (mine.channel[j] == c) part[c] = fmaf(mine.basis[j], value[j], part[c]);
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) raw[c] = 0.5f + warp_sum(part[c]);
}

// Adds the gradient w * v_rgb * Y to the rows of the eight corners; v_rgb is 0 where the clamp is.
DEVICE void colour_of_cell_backward(
    const Lattice &g, const Cell &cell, float sample_weight, const float *v_rgb, int stride, const Coefficients &mine,
    int lane, float *v_rows
) {
    float v[PER_LANE];
#pragma unroll
    for (int j = 0; j < PER_LANE; ++j) {
        const int c = mine.channel[j];
        const float v_channel = c == 0 ? v_rgb[0] : (c == 1 ? v_rgb[1] : (c == 2 ? v_rgb[2] : 0.0f));
        v[j] = sample_weight * v_channel * mine.basis[j];
    }
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        const int row = corner_row(g, cell, c);
        if (row < 0) continue;
        const float weight = corner_weight(cell, c);
        float *to = v_rows + static_cast<int64_t>(row) * stride;
#pragma unroll
        for (int j = 0; j < PER_LANE; ++j)
            if (lane + j * WARP < mine.count && v[j] != 0.0f) atomicAdd(to + lane + j * WARP, weight * v[j]);
    }
}
