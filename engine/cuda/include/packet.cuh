// SPDX-License-Identifier: MIT
// What the rasterisers read of a visible voxel: 64 bytes, written once per view, two memory sectors per (voxel, tile) pair.
//
// Packets are numbered by `slot`: visible voxels in the order of their numbers. A batch of packets is staged in shared
// memory by all threads of a tile, and every thread then reads the same packet at the same time: a broadcast.
#pragma once
#include "warp.cuh"
#include "rays.cuh"

constexpr int PACKET = 16;  // floats: low corner relative to the camera, edge, eight terms, r, g, b, the voxel's number
constexpr int PACKET_QUADS = 4;  // the same as vectors of four
constexpr int BATCH = 64;  // packets staged at a time: one vector per thread
constexpr int TILE_THREADS = 256;  // one per pixel
constexpr int TILE_WARPS = 8;  // each has 8 x 4 pixels of the tile
constexpr int COLOUR_TERMS = 24;  // floats per slot with eight colours a voxel: eight terms for r, for g, for b

struct Packet {
    float low_x, low_y, low_z, size;
    float terms[8];
    float r, g, b;
    int voxel;
};

DEVICE void geometry_of(const float4 *staged, int k, Packet *p) {
    const float4 box = staged[PACKET_QUADS * k];
    p->low_x = box.x;
    p->low_y = box.y;
    p->low_z = box.z;
    p->size = box.w;
}

DEVICE void content_of(const float4 *staged, int k, Packet *p) {
    const float4 low = staged[PACKET_QUADS * k + 1], high = staged[PACKET_QUADS * k + 2];
    const float4 rest = staged[PACKET_QUADS * k + 3];
    p->terms[0] = low.x;
    p->terms[1] = low.y;
    p->terms[2] = low.z;
    p->terms[3] = low.w;
    p->terms[4] = high.x;
    p->terms[5] = high.y;
    p->terms[6] = high.z;
    p->terms[7] = high.w;
    p->r = rest.x;
    p->g = rest.y;
    p->b = rest.z;
    p->voxel = __float_as_int(rest.w);
}

// Copies the packets of pairs [first, first + n), and their voxels' rectangles, into shared memory. n <= BATCH.
DEVICE void stage(
    int first, int n, const int *pair_slot, const float *packets, const uint16_t *rect, float4 *staged, uint2 *rects
) {
    const int k = threadIdx.x / PACKET_QUADS, part = threadIdx.x % PACKET_QUADS;
    if (k >= n) return;
    const int64_t at = static_cast<int64_t>(pair_slot[first + k]) * PACKET_QUADS + part;
    const float4 quad = reinterpret_cast<const float4 *>(packets)[at];
    staged[PACKET_QUADS * k + part] = quad;
    if (part == PACKET_QUADS - 1) rects[k] = reinterpret_cast<const uint2 *>(rect)[__float_as_int(quad.w)];
}

// The pixel of a thread: warps cover blocks of 8 x 4 pixels, so that small voxels keep few warps busy, and four lanes
// (l, l ^ 1, l ^ 8, l ^ 9) are a square of 2 x 2.
struct Pixel {
    int x, y;            // in the image
    int block_x, block_y;  // the warp's corner
};

DEVICE Pixel pixel_of_thread(int tile, int tiles_x) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    Pixel p;
    p.block_x = (tile % tiles_x) * TILE_PX + (warp & 1) * 8;
    p.block_y = (tile / tiles_x) * TILE_PX + (warp >> 1) * 4;
    p.x = p.block_x + (lane & 7);
    p.y = p.block_y + (lane >> 3);
    return p;
}

// Whether a voxel's rectangle (x0, y0, x1, y1 as four uint16) touches the block of a warp: the same for all its lanes.
DEVICE bool touches(uint2 rect, const Pixel &p) {
    const int x0 = rect.x & 0xffff, y0 = rect.x >> 16, x1 = rect.y & 0xffff, y1 = rect.y >> 16;
    return x0 < p.block_x + 8 && x1 >= p.block_x && y0 < p.block_y + 4 && y1 >= p.block_y;
}

// Which of the staged pairs [from, min(n, from + 32)) touch the block of a warp, as bits, the nearest lowest: each lane looks at
// one, so a warp pays once for 32 voxels that miss it. Every lane must call it.
DEVICE unsigned touching(const uint2 *rects, int from, int n, const Pixel &p) {
    const int k = from + static_cast<int>(threadIdx.x % WARP);
    return __ballot_sync(ALL_LANES, k < n && touches(rects[k], p));
}

// --- one segment ----------------------------------------------------------------------------------------------------
// I = DENSITY_SCALE length (t_out - t_in) / K sum_k exp_linear(f(q_k)),  alpha = min(MAX_ALPHA, 1 - exp(-I)),
// alpha below MIN_ALPHA counts as 0. q_k: middles of K equal parts, the activation after the interpolation.

// A point of a segment: where it lies in the cell, its raw density and the activated one.
struct Sample {
    float x, y, z, raw, sigma;
};

DEVICE Sample sample_at(const Ray &ray, const Segment &s, float inverse_size, const float *terms, float t) {
    Sample q;
    cell_position(ray, s, inverse_size, t, &q.x, &q.y, &q.z);
    q.raw = trilinear(terms, q.x, q.y, q.z);
    q.sigma = exp_linear(q.raw);
    return q;
}

// `first` is the first sample: the only one with K = 1, and then the way back need not find it again.
DEVICE float optical_depth(
    const Ray &ray, const Segment &s, float inverse_size, const float *terms, int samples, Sample *first
) {
    const float step = (s.t_out - s.t_in) / samples;
    *first = sample_at(ray, s, inverse_size, terms, fmaf(step, 0.5f, s.t_in));
    float total = first->sigma;
    for (int k = 1; k < samples; ++k)
        total += sample_at(ray, s, inverse_size, terms, fmaf(step, k + 0.5f, s.t_in)).sigma;
    return total * step * ray.length * DENSITY_SCALE;
}

// Adds dI/dterms * v_depth to v_terms.
DEVICE void optical_depth_backward(
    float v_depth, const Ray &ray, const Segment &s, float inverse_size, const float *terms, int samples,
    const Sample &first, float *v_terms
) {
    const float step = (s.t_out - s.t_in) / samples;
    const float v_sigma = v_depth * step * ray.length * DENSITY_SCALE;
    trilinear_backward(v_sigma * exp_linear_slope(first.raw, first.sigma), first.x, first.y, first.z, v_terms);
    for (int k = 1; k < samples; ++k) {
        const Sample q = sample_at(ray, s, inverse_size, terms, fmaf(step, k + 0.5f, s.t_in));
        trilinear_backward(v_sigma * exp_linear_slope(q.raw, q.sigma), q.x, q.y, q.z, v_terms);
    }
}

DEVICE float alpha_of(float depth) {
    const float alpha = fminf(1.0f - expf(-depth), MAX_ALPHA);
    return alpha >= MIN_ALPHA ? alpha : 0.0f;
}

// The mean of the eight colours' trilinear field over the segment's sample points; terms [24] of a slot.
DEVICE void mean_colour(
    const Ray &ray, const Segment &s, float inverse_size, const float *terms, int samples, float *rgb
) {
    const float step = (s.t_out - s.t_in) / samples;
    rgb[0] = rgb[1] = rgb[2] = 0.0f;
    for (int k = 0; k < samples; ++k) {
        float x, y, z;
        cell_position(ray, s, inverse_size, fmaf(step, k + 0.5f, s.t_in), &x, &y, &z);
        for (int c = 0; c < 3; ++c) rgb[c] += trilinear(terms + 8 * c, x, y, z) / samples;
    }
}

// Adds the gradients of the 24 terms; w_rgb is the gradient of the mean colour.
DEVICE void mean_colour_backward(
    const float *w_rgb, const Ray &ray, const Segment &s, float inverse_size, int samples, float *v_terms
) {
    const float step = (s.t_out - s.t_in) / samples;
    for (int k = 0; k < samples; ++k) {
        float x, y, z;
        cell_position(ray, s, inverse_size, fmaf(step, k + 0.5f, s.t_in), &x, &y, &z);
#pragma unroll
        for (int c = 0; c < 3; ++c) trilinear_backward(w_rgb[c] / samples, x, y, z, v_terms + 8 * c);
    }
}
