// SPDX-License-Identifier: MIT
// The inference rasteriser, the twin of engine/cpu/raster.py: each tile blends its voxels front to back.
//
// Computes, per pixel, over voxels i nearest first, with T = 1 before the first:
//     w_i = T alpha_i,  rgb += w_i c_i,  T *= 1 - alpha_i     (alpha_i: see packet.cuh)
// stopping a pixel at T < STOP_TRANS.
// Inputs: range [T,2] and pair_slot [P] of project.cu; packets [S,16], rect [V,4]; with eight colours colour_terms [S,24].
// Outputs: image [H,W,4] = T, r, g, b without background; see raster_fields for the rest.
// Parallel over: a block per tile, a thread per pixel. Order of work: batches of packets through shared memory; a warp
// passes over voxels whose rectangle misses its 8 x 4 pixels.
// Early exits: a warp when its pixels have stopped, the block when all have.
#include "packet.cuh"

struct Fields {
    float depth, median, nx, ny, nz, count;
};

// The z-depth where T falls to 1/2 within a segment: T exp(-I u) = 1/2, u the share of the segment.
DEVICE float median_depth(float trans, float depth, const Segment &s) {
    const float share = logf(fminf(fmaxf(2.0f * trans, 1.0f), 2.0f)) / fmaxf(depth, 1e-12f);
    return fmaf(s.t_out - s.t_in, fminf(share, 1.0f), s.t_in);
}

enum Wanted { COLOUR, WITH_DEPTH, WITH_FIELDS };

// EIGHT: eight colours a voxel. Without, a kernel takes a third less registers.
template <Wanted WANTED, bool EIGHT>
DEVICE void raster_tile(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, const float *colour_terms, int samples, float *image, float *fields, float *heaviest
) {
    SHARED(float4, staged, BATCH * PACKET_QUADS);
    SHARED(uint2, rects, BATCH);
    const int tile = blockIdx.x, first = range[2 * tile], last = range[2 * tile + 1];
    const Pixel pixel = pixel_of_thread(tile, (width + TILE_PX - 1) / TILE_PX);
    const bool inside = pixel.x < width && pixel.y < height;
    const Ray ray = ray_of_pixel(view, pixel.x, pixel.y);
    float trans = inside ? 1.0f : 0.0f, r = 0.0f, g = 0.0f, b = 0.0f;
    Fields f = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};

    for (int start = first; start < last; start += BATCH) {
        if (__syncthreads_count(trans >= STOP_TRANS) == 0) break;
        const int n = min(BATCH, last - start);
        stage(start, n, pair_slot, packets, rect, staged, rects);
        __syncthreads();
        for (int from = 0; from < n; from += WARP) {
            for (unsigned hits = touching(rects, from, n, pixel); hits != 0; hits &= hits - 1) {
                if (!__any_sync(ALL_LANES, trans >= STOP_TRANS)) break;
                const int k = from + __ffs(hits) - 1;
                Packet p;
                geometry_of(staged, k, &p);
                const Segment s = segment_of_box(ray, p.low_x, p.low_y, p.low_z, p.size);
                float weight = 0.0f;
                if (trans >= STOP_TRANS && s.t_out > s.t_in) {
                    content_of(staged, k, &p);
                    const float inverse_size = 1.0f / p.size;
                    Sample sample;
                    const float depth = optical_depth(ray, s, inverse_size, p.terms, samples, &sample);
                    weight = trans * alpha_of(depth);
                    const float after = trans - weight;
                    if (weight > 0.0f) {
                        float rgb[3] = {p.r, p.g, p.b};
                        if (EIGHT) {
                            const int64_t slot = pair_slot[start + k];
                            mean_colour(ray, s, inverse_size, colour_terms + COLOUR_TERMS * slot, samples, rgb);
                        }
                        r = fmaf(weight, rgb[0], r);
                        g = fmaf(weight, rgb[1], g);
                        b = fmaf(weight, rgb[2], b);
                        if (WANTED != COLOUR) f.depth = fmaf(weight, 0.5f * (s.t_in + s.t_out), f.depth);
                        if (WANTED == WITH_FIELDS) {
                            float normal[3];
                            facing_normal(p.terms, normal);
                            if (trans > 0.5f && after <= 0.5f) f.median = median_depth(trans, depth, s);
                            f.nx = fmaf(weight, normal[0], f.nx);
                            f.ny = fmaf(weight, normal[1], f.ny);
                            f.nz = fmaf(weight, normal[2], f.nz);
                            f.count += 1.0f;
                        }
                    }
                    trans = after;
                }
                if (WANTED == WITH_FIELDS && heaviest != nullptr && __any_sync(ALL_LANES, weight > 0.0f)) {
                    const float most = warp_max(weight);
                    const float4 rest = staged[PACKET_QUADS * k + 3];
                    if (threadIdx.x % WARP == 0) atomic_max_positive(heaviest + __float_as_int(rest.w), most);
                }
            }
        }
    }
    if (!inside) return;
    const int64_t at = static_cast<int64_t>(pixel.y) * width + pixel.x;
    reinterpret_cast<float4 *>(image)[at] = make_float4(trans, r, g, b);
    if (WANTED != COLOUR) fields[at] = f.depth;
    if (WANTED == WITH_FIELDS) {
        const int64_t plane = static_cast<int64_t>(width) * height;
        fields[plane + at] = f.median;
        fields[2 * plane + at] = f.nx;
        fields[3 * plane + at] = f.ny;
        fields[4 * plane + at] = f.nz;
        fields[5 * plane + at] = f.count;
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) raster_colour(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, float *image
) {
    raster_tile<COLOUR, false>(
        view, width, height, range, pair_slot, packets, rect, nullptr, samples, image, nullptr, nullptr
    );
}

// Also depth [H,W]: sum of weight * z-depth, which a window needs with every picture.
extern "C" __global__ void __launch_bounds__(256, 4) raster_depth(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, float *image, float *depth
) {
    raster_tile<WITH_DEPTH, false>(
        view, width, height, range, pair_slot, packets, rect, nullptr, samples, image, depth, nullptr
    );
}

// Also fields, planes [6,H,W]: sum of weight * z-depth, median z-depth or 0, sum of weight * normal (3), number of
// voxels; and, unless null, heaviest [V] is raised to each voxel's heaviest pixel.
extern "C" __global__ void __launch_bounds__(256) raster_fields(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, float *image, float *fields, float *heaviest
) {
    raster_tile<WITH_FIELDS, false>(
        view, width, height, range, pair_slot, packets, rect, nullptr, samples, image, fields, heaviest
    );
}

// The same with eight colours a voxel: colour_terms [S,24].
extern "C" __global__ void __launch_bounds__(256) raster_fields_eight(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, const float *colour_terms, int samples, float *image, float *fields, float *heaviest
) {
    raster_tile<WITH_FIELDS, true>(
        view, width, height, range, pair_slot, packets, rect, colour_terms, samples, image, fields, heaviest
    );
}
