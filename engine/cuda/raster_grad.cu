// SPDX-License-Identifier: MIT
// The training rasteriser, the twin of engine/cpu/raster_grad.py and tile_loss.py: forward, loss and backward of a tile in
// one launch, without an image in memory.
//
// Computes: the blend of raster.cu; the loss's gradient at the pixel, or a given one; then, front to back again, with
// rem = <v, outcome> less what has passed,
//     g_i = <v_rgb, c_i> + v_depth t_i + distortion,  rem -= w_i g_i,  dL/dI_i = T_{i+1} g_i - rem,
// which needs no division by 1 - alpha.
// Inputs: as raster.cu; target uint8 [H/shrink,W/shrink,3]; keep, the same without channels, or null; v_rgb [H,W,3],
// v_trans, v_depth [H,W], each may be null; background [3]; weights [N_WEIGHTS].
// Outputs: tile_sums [T, N_SUMS]; gradients of corner densities and colours, priorities and heaviest weights, either
//   added with atomics: v_density [G], v_slot [S,4] (r, g, b, heaviest weight), priority [V]; fast, order left to chance;
//   or `ordered`: a row of sums per (voxel, tile) pair, which sum_rows adds up in a fixed order.
// Parallel over and early exits: as raster.cu. A warp adds up its 32 pixels with shuffles before it writes.
#include "packet.cuh"

constexpr int ROW = 16;  // 8 corner densities, r, g, b, priority, heaviest weight, 3 unused
constexpr int ROW_RGB = 8;
constexpr int ROW_PRIORITY = 11;
constexpr int ROW_WEIGHT = 12;
constexpr int TOGETHER = 16;  // pairs whose warps' sums are added up at a time, in ordered mode

struct Sizes {
    int width, height, samples;
};

struct Scene {
    const int *pair_slot;
    const float *packets;
    const uint16_t *rect;
    const float *colour_terms;
};

struct Blend {
    float trans, r, g, b, depth;
    float weights, moments, distortion;  // sum w, sum w m, sum_ij w_i w_j |m_i - m_j| + 1/3 sum w_i^2 length_i
};

struct Losses {
    float photo, t_concentration, r_concentration, distortion, inverse_knee;
};

// What goes back from a pixel.
struct Outcome {
    float v_r, v_g, v_b, v_depth;
    float rem;                        // the outcome still to come
    float goal_r, goal_g, goal_b;
    float behind_weights, behind_moments;  // of the segments at or behind the present one
    float concentration;
};

// --- distortion -----------------------------------------------------------------------------------------------------
// m: contracted middle of a segment, in ray distance; length: contracted length.
//   loss = sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 length_i
//   d loss / d w_i = 2/3 w_i length_i + 2 [m_i (W_< - W_>) - (M_< - M_>)],  W, M: sums of w and w m before and behind i.

DEVICE void contracted_segment(const Ray &ray, const Segment &s, float inverse_knee, float *middle, float *length) {
    const float a = contracted(s.t_in * ray.length, inverse_knee), b = contracted(s.t_out * ray.length, inverse_knee);
    *middle = 0.5f * (a + b);
    *length = b - a;
}

DEVICE void add_distortion(const Ray &ray, const Segment &s, float weight, float inverse_knee, Blend *out) {
    float middle, length;
    contracted_segment(ray, s, inverse_knee, &middle, &length);
    out->distortion += 2.0f * weight * (middle * out->weights - out->moments) + weight * weight * length * (1.0f / 3.0f);
    out->weights += weight;
    out->moments = fmaf(weight, middle, out->moments);
}

DEVICE float distortion_backward(
    const Ray &ray, const Segment &s, float weight, float inverse_knee, const Blend &all, Outcome *o
) {
    float middle, length;
    contracted_segment(ray, s, inverse_knee, &middle, &length);
    o->behind_weights -= weight;
    o->behind_moments -= weight * middle;
    const float before_weights = all.weights - o->behind_weights - weight;
    const float before_moments = all.moments - o->behind_moments - weight * middle;
    const float sides = middle * (before_weights - o->behind_weights) - (before_moments - o->behind_moments);
    return weight * length * (2.0f / 3.0f) + 2.0f * sides;
}

// --- the loss at a pixel --------------------------------------------------------------------------------------------

// The mean over shrink x shrink pixels, which neighbouring lanes hold; all lanes of the warp must call it.
DEVICE float photo_mean(float value, int shrink) {
    if (shrink == 1) return value;
    value += __shfl_xor_sync(ALL_LANES, value, 1);
    value += __shfl_xor_sync(ALL_LANES, value, 8);
    return 0.25f * value;
}

// Fills the outcome of a pixel and its share of the tile's sums [N_SUMS]. `counts`: inside the image and not masked.
// With w the losses' weights: w.photo * photometric(mean picture - photo) + w.t_concentration T^2 (1 - T)^2
// + w.distortion distortion; the colours' own loss is formed on the way back.
DEVICE void pixel_loss(
    const Blend &p, bool counts, const Pixel &pixel, const Sizes &size, int mode, int shrink, const uint8_t *target,
    const float *v_rgb, const float *v_trans, const float *v_depth, const float *background, const Losses &w, Outcome *o,
    float *sums
) {
    const int64_t at = static_cast<int64_t>(pixel.y) * size.width + pixel.x;
    const int64_t photo_at = static_cast<int64_t>(pixel.y / shrink) * (size.width / shrink) + pixel.x / shrink;
    const float share = 1.0f / (shrink * shrink);
    const float colour[3] = {p.r, p.g, p.b};
    float v[3], goal[3] = {0.0f, 0.0f, 0.0f};
    const float rest = p.trans * (1.0f - p.trans);
    float v_t = 2.0f * w.t_concentration * rest * (1.0f - 2.0f * p.trans);
    o->rem = 0.0f;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        float slope = 0.0f;
        if (mode != GIVEN) {
            const float mean = photo_mean(fmaf(p.trans, background[c], colour[c]), shrink);
            if (counts) goal[c] = target[3 * photo_at + c] * (1.0f / 255.0f);
            const float error = counts ? mean - goal[c] : 0.0f;
            sums[SUM_PHOTO] += w.photo * share * photometric(mode, error, &slope);
            sums[SUM_SQUARED] += share * error * error;
            slope *= w.photo * share;
        }
        v[c] = slope + (counts && v_rgb != nullptr ? v_rgb[3 * at + c] : 0.0f);
        v_t = fmaf(v[c], background[c], v_t);
        o->rem = fmaf(v[c], colour[c], o->rem);
        sums[SUM_BACKGROUND + c] += v[c] * p.trans;
    }
    if (counts && v_trans != nullptr) v_t += v_trans[at];
    o->v_depth = counts && v_depth != nullptr ? v_depth[at] : 0.0f;
    o->rem = fmaf(p.trans, v_t, fmaf(o->v_depth, p.depth, o->rem)) + 2.0f * w.distortion * p.distortion;
    o->v_r = v[0];
    o->v_g = v[1];
    o->v_b = v[2];
    o->goal_r = goal[0];
    o->goal_g = goal[1];
    o->goal_b = goal[2];
    o->behind_weights = p.weights;
    o->behind_moments = p.moments;
    o->concentration = 0.0f;
    sums[SUM_T_CONCENTRATION] += w.t_concentration * rest * rest;
    sums[SUM_DISTORTION] += w.distortion * p.distortion;
}

// --- forward and backward of one segment -----------------------------------------------------------------------------

template <bool EIGHT>
DEVICE void colour_of(
    const Ray &ray, const Segment &s, const Packet &p, const Scene &scene, int pair, int samples, float *rgb
) {
    rgb[0] = p.r;
    rgb[1] = p.g;
    rgb[2] = p.b;
    if (EIGHT) {
        const float *terms = scene.colour_terms + COLOUR_TERMS * static_cast<int64_t>(scene.pair_slot[pair]);
        mean_colour(ray, s, 1.0f / p.size, terms, samples, rgb);
    }
}

template <bool EIGHT>
DEVICE void blend_segment(
    const Ray &ray, const Segment &s, const Packet &p, const Scene &scene, int pair, int samples, float inverse_knee,
    Blend *out
) {
    Sample first;
    const float alpha = alpha_of(optical_depth(ray, s, 1.0f / p.size, p.terms, samples, &first));
    const float weight = out->trans * alpha;
    if (!(weight > 0.0f)) return;
    out->trans -= weight;
    float rgb[3];
    colour_of<EIGHT>(ray, s, p, scene, pair, samples, rgb);
    out->r = fmaf(weight, rgb[0], out->r);
    out->g = fmaf(weight, rgb[1], out->g);
    out->b = fmaf(weight, rgb[2], out->b);
    out->depth = fmaf(weight, 0.5f * (s.t_in + s.t_out), out->depth);
    if (inverse_knee > 0.0f) add_distortion(ray, s, weight, inverse_knee, out);
}

// Returns the segment's weight; adds its gradients to row [ROW] (terms, not corners, in the first eight) and, with EIGHT,
// to v_colour_terms [24]. `all`: what the forward pass ended with.
template <bool EIGHT>
DEVICE float segment_backward(
    const Ray &ray, const Segment &s, const Packet &p, const Scene &scene, int pair, int samples, const Losses &w,
    const Blend &all, float *trans, Outcome *o, float *row, float *v_colour_terms
) {
    const float inverse_size = 1.0f / p.size;
    Sample first;
    const float alpha = alpha_of(optical_depth(ray, s, inverse_size, p.terms, samples, &first));
    const float weight = *trans * alpha;
    if (!(weight > 0.0f)) return 0.0f;
    const float after = *trans - weight;
    *trans = after;
    float rgb[3];
    colour_of<EIGHT>(ray, s, p, scene, pair, samples, rgb);
    float g = fmaf(o->v_r, rgb[0], fmaf(o->v_g, rgb[1], o->v_b * rgb[2]));
    g = fmaf(o->v_depth, 0.5f * (s.t_in + s.t_out), g);
    if (w.distortion > 0.0f) g += w.distortion * distortion_backward(ray, s, weight, w.inverse_knee, all, o);
    o->rem -= weight * g;
    const float v_depth = alpha < MAX_ALPHA ? after * g - o->rem : 0.0f;
    row[ROW_PRIORITY] += fabsf(v_depth) * alpha / (1.0f - alpha);

    // w.r_concentration * sum_i w_i |c_i - photo|^2, the weights held fixed
    const float e_r = rgb[0] - o->goal_r, e_g = rgb[1] - o->goal_g, e_b = rgb[2] - o->goal_b;
    o->concentration = fmaf(weight, fmaf(e_r, e_r, fmaf(e_g, e_g, e_b * e_b)), o->concentration);
    const float concentrate = 2.0f * w.r_concentration;
    const float w_rgb[3] = {
        weight * fmaf(e_r, concentrate, o->v_r), weight * fmaf(e_g, concentrate, o->v_g),
        weight * fmaf(e_b, concentrate, o->v_b)
    };
    row[ROW_RGB] += w_rgb[0];
    row[ROW_RGB + 1] += w_rgb[1];
    row[ROW_RGB + 2] += w_rgb[2];
    if (EIGHT) mean_colour_backward(w_rgb, ray, s, inverse_size, samples, v_colour_terms);
    optical_depth_backward(v_depth, ray, s, inverse_size, p.terms, samples, first, row);
    return weight;
}

// --- where the sums of a warp go ------------------------------------------------------------------------------------

struct Sinks {
    const int *corner_idx;    // [V,8]
    float *v_density;         // [G]
    float *v_slot;            // [S,4]
    float *v_colours;         // [V,8,3], with eight colours
    float *priority;          // [V] or null
    const int64_t *origin;    // [P] ordered mode: the row of each pair
    float *rows;              // [P, ROW]
    float *colour_rows;       // [P, 24]
};

DEVICE void add_row(const Sinks &out, float sum, float heaviest, int voxel, int slot, int lane) {
    if (lane & 1) return;
    const int k = lane / 2;
    if (k < ROW_RGB) {
        atomicAdd(out.v_density + out.corner_idx[8 * static_cast<int64_t>(voxel) + k], sum);
    } else if (k < ROW_PRIORITY) {
        atomicAdd(out.v_slot + 4 * static_cast<int64_t>(slot) + k - ROW_RGB, sum);
    } else if (k == ROW_PRIORITY) {
        if (out.priority != nullptr) atomicAdd(out.priority + voxel, sum);
    } else if (k == ROW_WEIGHT) {
        atomic_max_positive(out.v_slot + 4 * static_cast<int64_t>(slot) + 3, heaviest);
    }
}

// Adds the warp's colour gradients, `red_green` in lanes 2 (8 channel + corner), `blue` in lanes 2 corner.
DEVICE void add_colours(const Sinks &out, float red_green, float blue, int voxel, int lane) {
    if (lane & 1) return;
    const int corner = lane / 2 % 8;
    float *at = out.v_colours + 24 * static_cast<int64_t>(voxel) + 3 * corner;
    atomicAdd(at + lane / 16, red_green);
    if (lane < 16) atomicAdd(at + 2, blue);
}

// Adds up what the eight warps found for `n` pairs, in the order of the warps, and writes rows [P, width].
DEVICE void write_rows(const float *partial, int stride, int width, int max_at, int n, const int64_t *origin, float *rows) {
    for (int item = threadIdx.x; item < n * width; item += TILE_THREADS) {
        const int j = item / width, k = item % width;
        float total = 0.0f;
        for (int warp = 0; warp < TILE_WARPS; ++warp) {
            const float value = partial[(j * TILE_WARPS + warp) * stride + k];
            total = k == max_at ? fmaxf(total, value) : total + value;
        }
        rows[origin[j] * width + k] = total;
    }
}

// --- a tile -----------------------------------------------------------------------------------------------------------

template <bool ORDERED, bool EIGHT>
DEVICE void tile_gradients(
    const float *view, const Sizes &size, const int *range, const Scene &scene, int mode, int shrink, const uint8_t *target,
    const uint8_t *keep, const float *v_rgb, const float *v_trans, const float *v_depth, const float *background,
    const float *weights, const Sinks &out, float *tile_sums
) {
    const int stride = EIGHT ? ROW + COLOUR_TERMS : ROW;
    SHARED(float4, staged, BATCH * PACKET_QUADS);
    SHARED(uint2, rects, BATCH);
    SHARED(float, partial_sums, TILE_WARPS *N_SUMS);
    SHARED(float, partial, (ORDERED ? TOGETHER * TILE_WARPS * (EIGHT ? ROW + COLOUR_TERMS : ROW) : 1));
    const int tile = blockIdx.x, first = range[2 * tile], last = range[2 * tile + 1];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const Pixel pixel = pixel_of_thread(tile, (size.width + TILE_PX - 1) / TILE_PX);
    bool counts = pixel.x < size.width && pixel.y < size.height;
    if (counts && mode != GIVEN)
        counts = pixel.x / shrink < size.width / shrink && pixel.y / shrink < size.height / shrink;
    if (counts && keep != nullptr)
        counts = keep[static_cast<int64_t>(pixel.y / shrink) * (size.width / shrink) + pixel.x / shrink] != 0;
    const Ray ray = ray_of_pixel(view, pixel.x, pixel.y);
    const Losses w = {
        weights[W_PHOTO], weights[W_T_CONCENTRATION], weights[W_R_CONCENTRATION], weights[W_DISTORTION],
        weights[W_DISTORTION] > 0.0f ? 1.0f / weights[DISTORTION_KNEE] : 0.0f
    };

    // forward
    Blend all = {counts ? 1.0f : 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    for (int start = first; start < last; start += BATCH) {
        if (__syncthreads_count(all.trans >= STOP_TRANS) == 0) break;
        const int n = min(BATCH, last - start);
        stage(start, n, scene.pair_slot, scene.packets, scene.rect, staged, rects);
        __syncthreads();
        for (int from = 0; from < n; from += WARP) {
            for (unsigned hits = touching(rects, from, n, pixel); hits != 0; hits &= hits - 1) {
                if (!__any_sync(ALL_LANES, all.trans >= STOP_TRANS)) break;
                const int k = from + __ffs(hits) - 1;
                Packet p;
                geometry_of(staged, k, &p);
                const Segment s = segment_of_box(ray, p.low_x, p.low_y, p.low_z, p.size);
                if (!(all.trans >= STOP_TRANS && s.t_out > s.t_in)) continue;
                content_of(staged, k, &p);
                blend_segment<EIGHT>(ray, s, p, scene, start + k, size.samples, w.inverse_knee, &all);
            }
        }
    }

    // loss
    Outcome o;
    float sums[16] = {};
    pixel_loss(all, counts, pixel, size, mode, shrink, target, v_rgb, v_trans, v_depth, background, w, &o, sums);
    const float of_warp = warp_sums_of_16(sums, lane);
    if (lane % 2 == 0 && lane / 2 < N_SUMS) partial_sums[warp * N_SUMS + lane / 2] = of_warp;

    // backward, front to back
    float trans = counts ? 1.0f : 0.0f;
    for (int start = first; start < last; start += BATCH) {
        if (__syncthreads_count(trans >= STOP_TRANS) == 0) break;
        const int n = min(BATCH, last - start);
        stage(start, n, scene.pair_slot, scene.packets, scene.rect, staged, rects);
        __syncthreads();
        const int step = ORDERED ? TOGETHER : WARP;
        for (int from = 0; from < n; from += step) {
            const int to = min(from + step, n);
            const unsigned hits = touching(rects, from, to, pixel);
            unsigned left = hits;
            for (int k = from; k < to; ++k) {
                if (!ORDERED) {  // on to the next that touches; with rows, those that do not have one, too
                    if (left == 0) break;
                    k = from + __ffs(left) - 1;
                    left &= left - 1;
                }
                const bool busy = __any_sync(ALL_LANES, trans >= STOP_TRANS);
                if (!ORDERED && !busy) break;
                float row[ROW] = {}, v_colour_terms[EIGHT ? 2 * ROW : 1] = {}, weight = 0.0f;
                Packet p;
                if (busy && (hits >> (k - from) & 1)) {
                    geometry_of(staged, k, &p);
                    const Segment s = segment_of_box(ray, p.low_x, p.low_y, p.low_z, p.size);
                    if (trans >= STOP_TRANS && s.t_out > s.t_in) {
                        content_of(staged, k, &p);
                        weight = segment_backward<EIGHT>(
                            ray, s, p, scene, start + k, size.samples, w, all, &trans, &o, row, v_colour_terms
                        );
                    }
                }
                const bool found = __any_sync(ALL_LANES, weight > 0.0f);
                if (!ORDERED && !found) continue;
                float sum = 0.0f, red_green = 0.0f, blue = 0.0f, heaviest = 0.0f;
                if (found) {
                    sum = terms_to_corners(warp_sums_of_16(row, lane), lane, lane < 16);
                    heaviest = warp_max(weight);
                    if (EIGHT) {
                        red_green = terms_to_corners(warp_sums_of_16(v_colour_terms, lane), lane, true);
                        blue = terms_to_corners(warp_sums_of_16(v_colour_terms + ROW, lane), lane, true);
                    }
                }
                if (ORDERED) {
                    if (lane & 1) continue;
                    float *at = partial + ((k - from) * TILE_WARPS + warp) * stride;
                    at[lane / 2] = lane / 2 == ROW_WEIGHT ? heaviest : sum;
                    if (EIGHT) at[ROW + lane / 2] = red_green;
                    if (EIGHT && lane < 16) at[ROW + 16 + lane / 2] = blue;
                } else {
                    const int voxel = __float_as_int(staged[PACKET_QUADS * k + 3].w), slot = scene.pair_slot[start + k];
                    add_row(out, sum, heaviest, voxel, slot, lane);
                    if (EIGHT) add_colours(out, red_green, blue, voxel, lane);
                }
            }
            if (!ORDERED) continue;
            __syncthreads();
            write_rows(partial, stride, ROW, ROW_WEIGHT, to - from, out.origin + start + from, out.rows);
            if (EIGHT)
                write_rows(partial + ROW, stride, COLOUR_TERMS, -1, to - from, out.origin + start + from, out.colour_rows);
            __syncthreads();
        }
    }

    const float concentration = warp_sum(o.concentration);
    __syncwarp();  // the warp's sums were written by other lanes
    if (lane == 0) partial_sums[warp * N_SUMS + SUM_R_CONCENTRATION] = w.r_concentration * concentration;
    __syncthreads();
    if (threadIdx.x < N_SUMS) {
        float total = 0.0f;
        for (int i = 0; i < TILE_WARPS; ++i) total += partial_sums[i * N_SUMS + threadIdx.x];
        tile_sums[static_cast<int64_t>(tile) * N_SUMS + threadIdx.x] = total;
    }
}

// Gradients added with atomics. v_density, v_slot and v_colours must be zero before; v_colours null: one colour a voxel.
extern "C" __global__ void __launch_bounds__(256, 3) raster_gradients(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, int mode, int shrink, const uint8_t *target, const uint8_t *keep,
    const float *v_rgb, const float *v_trans, const float *v_depth, const float *background, const float *weights,
    const int *corner_idx, float *v_density, float *v_slot, float *priority, float *tile_sums
) {
    const Sizes size = {width, height, samples};
    const Scene scene = {pair_slot, packets, rect, nullptr};
    const Sinks out = {corner_idx, v_density, v_slot, nullptr, priority, nullptr, nullptr, nullptr};
    tile_gradients<false, false>(
        view, size, range, scene, mode, shrink, target, keep, v_rgb, v_trans, v_depth, background, weights, out, tile_sums
    );
}

// The same with eight colours a voxel: colour_terms [S,24], v_colours [V,8,3].
extern "C" __global__ void __launch_bounds__(256) raster_gradients_eight(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, const float *colour_terms, int samples, int mode, int shrink, const uint8_t *target,
    const uint8_t *keep, const float *v_rgb, const float *v_trans, const float *v_depth, const float *background,
    const float *weights, const int *corner_idx, float *v_density, float *v_slot, float *v_colours, float *priority,
    float *tile_sums
) {
    const Sizes size = {width, height, samples};
    const Scene scene = {pair_slot, packets, rect, colour_terms};
    const Sinks out = {corner_idx, v_density, v_slot, v_colours, priority, nullptr, nullptr, nullptr};
    tile_gradients<false, true>(
        view, size, range, scene, mode, shrink, target, keep, v_rgb, v_trans, v_depth, background, weights, out, tile_sums
    );
}

// Rows [P,16] per pair, at its place before sorting: a voxel's rows stand side by side. Rows must be zero before: tiles
// stop early.
extern "C" __global__ void __launch_bounds__(256) raster_rows(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, int mode, int shrink, const uint8_t *target, const uint8_t *keep,
    const float *v_rgb, const float *v_trans, const float *v_depth, const float *background, const float *weights,
    const int64_t *origin, float *rows, float *tile_sums
) {
    const Sizes size = {width, height, samples};
    const Scene scene = {pair_slot, packets, rect, nullptr};
    const Sinks out = {nullptr, nullptr, nullptr, nullptr, nullptr, origin, rows, nullptr};
    tile_gradients<true, false>(
        view, size, range, scene, mode, shrink, target, keep, v_rgb, v_trans, v_depth, background, weights, out, tile_sums
    );
}

// The same with eight colours a voxel: also colour_rows [P,24].
extern "C" __global__ void __launch_bounds__(256) raster_rows_eight(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, const float *colour_terms, int samples, int mode, int shrink, const uint8_t *target,
    const uint8_t *keep, const float *v_rgb, const float *v_trans, const float *v_depth, const float *background,
    const float *weights, const int64_t *origin, float *rows, float *colour_rows, float *tile_sums
) {
    const Sizes size = {width, height, samples};
    const Scene scene = {pair_slot, packets, rect, colour_terms};
    const Sinks out = {nullptr, nullptr, nullptr, nullptr, nullptr, origin, rows, colour_rows};
    tile_gradients<true, true>(
        view, size, range, scene, mode, shrink, target, keep, v_rgb, v_trans, v_depth, background, weights, out, tile_sums
    );
}
