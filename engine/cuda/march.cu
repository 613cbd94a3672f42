// SPDX-License-Identifier: MIT
// Rays marched through a sparse grid of densities and colour coefficients, and the way back: see include/march.cuh.
//
// Parallel over: rays, a warp each. Every kernel walks its rays from the first sample on; the way back walks them again with
// the colour that came out, so that no more than a colour and log T is kept per ray.
#include "march.cuh"

constexpr int RAYS = 4;  // of a block: a warp each

DEVICE int ray_of_thread() { return blockIdx.x * RAYS + threadIdx.x / WARP; }

// rgb [N,3] = sum w c, without what is behind; log_trans [N]; depth [N] = sum w t in world units along the ray; live [N]: how
// many samples had density.
extern "C" __global__ void __launch_bounds__(128) march_rays(
    int n_rays, const float *rays_o, const float *rays_d, const double *frame, int nx, int ny, int nz, const int *links,
    const float *density, const float *sh, int stride, int degree, const float *march, float *rgb, float *log_trans,
    float *depth, int *live
) {
    const int number = ray_of_thread(), lane = threadIdx.x % WARP;
    if (number >= n_rays) return;
    const float *d = rays_d + 3 * static_cast<int64_t>(number);
    const Lattice grid = {nx, ny, nz, links};
    const GridRay ray = grid_ray(grid, frame, rays_o + 3 * static_cast<int64_t>(number), d, march);
    const Coefficients mine = coefficients_of_lane(d, degree, lane);
    float light = 0.0f, far = 0.0f, colour[3] = {0.0f, 0.0f, 0.0f};
    int count = 0;
    for (int first = 0, next; first < ray.n && light >= march[MARCH_STOP]; first = next) {
        const Sample s = samples_from(first, lane, grid, ray, density, march, &light, &next);
        far += s.weight * (ray.t + (first + lane) * march[MARCH_STEP]) * ray.unit;
        const unsigned with_density = __ballot_sync(ALL_LANES, s.live);
        count += __popc(with_density);
        for (unsigned rest = with_density; rest != 0; rest &= rest - 1) {
            const int source = __ffs(rest) - 1;
            const float weight = __shfl_sync(ALL_LANES, s.weight, source);
            const Cell cell = cell_of(grid, ray, (first + source) * march[MARCH_STEP]);
            float raw[3];
            colour_of_cell(grid, cell, sh, stride, mine, lane, raw);
            for (int c = 0; c < 3; ++c) colour[c] = fmaf(weight, fmaxf(raw[c], 0.0f), colour[c]);
        }
    }
    far = warp_sum(far);
    if (lane != 0) return;
    for (int c = 0; c < 3; ++c) rgb[3 * static_cast<int64_t>(number) + c] = colour[c];
    log_trans[number] = light;
    depth[number] = far;
    live[number] = count;
}

// Gradients of what march_rays gave, added to v_rows [rows, stride] with atomics, in an order left to chance: coefficients
// as in sh, then the density's. `touched` [ceil(rows / 32)] gets the bits of the rows that a sample with density lies between.
//
// With g = dL/drgb and A = rgb . g + dL/dlog T (T background . g is a part of that): at each sample s = c . g; A -= w s; dL/dsigma = step unit (s T_after - A);
// dL/dsh = w g_c Y_k where c is above its clamp. Samples with density also pay cauchy log(1 + 2 sigma^2) + l1 sigma.
extern "C" __global__ void __launch_bounds__(128) march_rays_backward(
    int n_rays, const float *rays_o, const float *rays_d, const double *frame, int nx, int ny, int nz, const int *links,
    const float *density, const float *sh, int stride, int degree, const float *march, const float *rgb, const float *v_rgb,
    const float *v_log_trans, float *v_rows, int *touched
) {
    const int number = ray_of_thread(), lane = threadIdx.x % WARP;
    if (number >= n_rays) return;
    const int64_t at = 3 * static_cast<int64_t>(number);
    const Lattice grid = {nx, ny, nz, links};
    const GridRay ray = grid_ray(grid, frame, rays_o + at, rays_d + at, march);
    const Coefficients mine = coefficients_of_lane(rays_d + at, degree, lane);
    const float g[3] = {v_rgb[at], v_rgb[at + 1], v_rgb[at + 2]}, step = march[MARCH_STEP];
    float light = 0.0f, ahead = v_log_trans[number];
    for (int c = 0; c < 3; ++c) ahead = fmaf(rgb[at + c], g[c], ahead);
    for (int first = 0, next; first < ray.n && light >= march[MARCH_STOP]; first = next) {
        const Sample s = samples_from(first, lane, grid, ray, density, march, &light, &next);
        float along_g = 0.0f;  // c . g of this lane's sample
        for (unsigned rest = __ballot_sync(ALL_LANES, s.live); rest != 0; rest &= rest - 1) {
            const int source = __ffs(rest) - 1;
            const float weight = __shfl_sync(ALL_LANES, s.weight, source);
            const Cell cell = cell_of(grid, ray, (first + source) * step);
            float raw[3], v_raw[3];
            colour_of_cell(grid, cell, sh, stride, mine, lane, raw);
            float seen = 0.0f;
            for (int c = 0; c < 3; ++c) {
                seen = fmaf(fmaxf(raw[c], 0.0f), g[c], seen);
                v_raw[c] = raw[c] > 0.0f ? g[c] : 0.0f;
            }
            colour_of_cell_backward(grid, cell, weight, v_raw, stride, mine, lane, v_rows);
            if (lane == source) along_g = seen;
        }
        const float passed = warp_scan(s.weight * along_g, lane);
        if (s.live) {
            const float slope = 4.0f * s.sigma / (1.0f + 2.0f * s.sigma * s.sigma);
            const float v_sigma = step * ray.unit * (along_g * expf(s.log_after) - (ahead - passed));
            const float v = fmaf(march[MARCH_CAUCHY], slope, v_sigma + march[MARCH_L1]);
            for (int c = 0; c < 8; ++c) {
                const int row = corner_row(grid, s.cell, c);
                if (row < 0) continue;
                atomicAdd(v_rows + static_cast<int64_t>(row) * stride + mine.count, v * corner_weight(s.cell, c));
                touch(touched, row);
            }
        }
        ahead -= __shfl_sync(ALL_LANES, passed, WARP - 1);
    }
}

// heaviest [rows], zero before the first view: raised to the largest weight of the samples that a voxel is a corner of.
// What a grid of densities alone says about its voxels; march[MARCH_STOP] is how far a ray is believed.
extern "C" __global__ void __launch_bounds__(128) march_weights(
    int n_rays, const float *rays_o, const float *rays_d, const double *frame, int nx, int ny, int nz, const int *links,
    const float *density, const float *march, float *heaviest
) {
    const int number = ray_of_thread(), lane = threadIdx.x % WARP;
    if (number >= n_rays) return;
    const int64_t at = 3 * static_cast<int64_t>(number);
    const Lattice grid = {nx, ny, nz, links};
    const GridRay ray = grid_ray(grid, frame, rays_o + at, rays_d + at, march);
    float light = 0.0f;
    for (int first = 0, next; first < ray.n && light >= march[MARCH_STOP]; first = next) {
        const Sample s = samples_from(first, lane, grid, ray, density, march, &light, &next);
        if (s.live) {
            for (int c = 0; c < 8; ++c) {
                const int row = corner_row(grid, s.cell, c);
                if (row >= 0) atomic_max_positive(heaviest + row, s.weight);
            }
        }
    }
}
