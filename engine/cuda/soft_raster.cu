// SPDX-License-Identifier: MIT
// The soft rasteriser, the twin of engine/cpu/soft_raster.py and soft_raster_grad.py: each pixel's voxels in a list of its own.
//
//   soft_count   how many voxels cover each pixel
//   (prefix sums)
//   soft_blend   the lists, sorted by depth, what each entry receives, and the picture
//   soft_back    from gradients of the picture to those of corner densities, colours and the camera's pose
//
// Computes: see engine/reference/soft_rasterize.py. With x = (z - z of the first) / tau:
//     logistic  T_i = product over j != i of (1 - alpha_j s(x_i - x_j)); beyond LOGISTIC_CUT s is 0 or 1, so that what lies far in
//               front is a running product;
//     softmax   T_i = (1 - T_end) exp(-x_i) / sum_j alpha_j exp(-x_j);   hard  T_i = product over j before i of (1 - alpha_j);
//     w_i = alpha_i T_i.
// Inputs: range [T,2], pair_slot [P], packets [S,16], rect [V,4] of project.cu, for dilated voxels; soft [8], see soft.cuh.
// Entries: depth, alpha, trans [E] and slot [E], pixel after pixel; end [H*W] is the inclusive prefix sum of count [H*W].
// Parallel over: a block per tile, a thread per pixel. Early exits: a pixel whose entries so far let less than STOP_TRANS
// through takes none that lie LOGISTIC_CUT tau behind the deepest of them.
#include "soft.cuh"

struct Lists {
    const int *end;
    int *count;
    float *depth, *alpha, *trans;
    int *slot;
};

// --- the list of a pixel ----------------------------------------------------------------------------------------------

// Calls the same arithmetic for counting and for filling, so both find the same entries. Returns how many there are, at most
// `room` of them written from `first` on.
template <bool FILL>
DEVICE int find_entries(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, const float *soft, const SoftRay &ray, const Pixel &pixel, int64_t first, int room,
    const Lists &lists
) {
    SHARED(float4, staged, BATCH * PACKET_QUADS);
    SHARED(uint2, rects, BATCH);
    const int tile = blockIdx.x, last = range[2 * tile + 1];
    const bool inside = pixel.x < width && pixel.y < height;
    float light = inside ? 1.0f : 0.0f, deepest = 0.0f, limit = inside ? 1e30f : -1e30f;
    int found = 0;
    for (int start = range[2 * tile]; start < last; start += BATCH) {
        __syncthreads();
        const int n = min(BATCH, last - start);
        stage(start, n, pair_slot, packets, rect, staged, rects);
        __syncthreads();
        for (int from = 0; from < n; from += WARP) {
            for (unsigned hits = touching(rects, from, n, pixel); hits != 0; hits &= hits - 1) {
                const int k = from + __ffs(hits) - 1;
                Packet p;
                geometry_of(staged, k, &p);
                Cover c;
                if (!inside || !soft_segment(ray, p, soft, &c) || c.middle > limit) continue;
                content_of(staged, k, &p);
                soft_alpha(ray, p, soft, samples, &c);
                if (!(c.alpha > 0.0f)) continue;
                if (FILL && found < room) {
                    int64_t at = first + found;  // sorted in: what came before it is nearly always in front of it
                    for (; at > first && lists.depth[at - 1] > c.middle; --at) {
                        lists.depth[at] = lists.depth[at - 1];
                        lists.alpha[at] = lists.alpha[at - 1];
                        lists.slot[at] = lists.slot[at - 1];
                    }
                    lists.depth[at] = c.middle;
                    lists.alpha[at] = c.alpha;
                    lists.slot[at] = pair_slot[start + k];
                }
                ++found;
                deepest = fmaxf(deepest, c.middle);
                const float after = light * (1.0f - c.alpha);
                if (after < STOP_TRANS && light >= STOP_TRANS) limit = deepest + LOGISTIC_CUT * soft[SOFT_TAU];
                light = after;
            }
        }
    }
    return FILL ? min(found, room) : found;
}

// --- the order --------------------------------------------------------------------------------------------------------

DEVICE float steepness(float x) { return expf(fminf(fmaxf(x, -30.0f), 30.0f)); }

// Fills trans of n entries; returns T_end.
DEVICE float receive(const Lists &lists, int64_t first, int n, const float *soft) {
    const int order = static_cast<int>(soft[SOFT_ORDER]);
    const float *z = lists.depth + first, *alpha = lists.alpha + first;
    float *trans = lists.trans + first, light = 1.0f;
    if (order != LOGISTIC) {
        for (int k = 0; k < n; ++k) {
            trans[k] = light;
            light *= 1.0f - alpha[k];
        }
        if (order == HARD) return light;
        float total = 0.0f;
        for (int k = 0; k < n; ++k) total += alpha[k] * expf((z[0] - z[k]) * soft[SOFT_INV_TAU]);
        const float scale = (1.0f - light) / fmaxf(total, 1e-30f);
        for (int k = 0; k < n; ++k) trans[k] = expf((z[0] - z[k]) * soft[SOFT_INV_TAU]) * scale;
        return light;
    }
    const float cut = LOGISTIC_CUT * soft[SOFT_TAU];
    int low = 0;
    for (int k = 0; k < n; ++k) {
        while (z[low] < z[k] - cut) {
            light *= 1.0f - alpha[low];
            ++low;
        }
        float here = light;
        for (int m = low; m < n && z[m] <= z[k] + cut; ++m) {
            if (m != k) here *= 1.0f - alpha[m] / (1.0f + steepness((z[m] - z[k]) * soft[SOFT_INV_TAU]));
        }
        trans[k] = here;
    }
    for (int k = low; k < n; ++k) light *= 1.0f - alpha[k];
    return light;
}

// What has to be known of all entries before the gradients of one.
struct Behind {
    float clear;         // T_end
    float v_end;         // T_end dL/dT_end
    float mean;          // softmax: the mean gain by weight
    float rest;          // what lies behind all that is near by
    int high;            // and where that begins
};

// Returns dL/dalpha of entry k; adds to v_z what its depth hears through the order. Calls must go from the last entry to the
// first. `gain` [n]: dL/dw, in the other orders than softmax times w.
DEVICE float order_backward(
    const Lists &lists, int64_t first, int n, int k, const float *gain, const float *soft, Behind *b, float *v_z
) {
    const int order = static_cast<int>(soft[SOFT_ORDER]);
    const float *z = lists.depth + first, *alpha = lists.alpha + first, *trans = lists.trans + first;
    const float clear = 1.0f - alpha[k];
    if (order == SOFTMAX) {
        const float more = gain[k] - b->mean;
        *v_z -= alpha[k] * trans[k] * more * soft[SOFT_INV_TAU];
        return trans[k] * more + (b->clear * b->mean - b->v_end) / clear;
    }
    const float own = gain[k];
    if (order == HARD) {
        const float v_alpha = own / alpha[k] - b->rest / clear;
        b->rest += own;
        return v_alpha;
    }
    // E = exp(x_k - x_m): dL/dalpha_k = T_k g_k - sum_m w_m g_m / (1 + E - alpha_k) - (what is far behind) / (1 - alpha_k)
    const float cut = LOGISTIC_CUT * soft[SOFT_TAU];
    while (z[b->high - 1] > z[k] + cut) {
        --b->high;
        b->rest += gain[b->high];
    }
    float taken = b->rest / clear, v_x = 0.0f;
    for (int m = b->high - 1; m >= 0 && z[m] >= z[k] - cut; --m) {
        if (m == k) continue;
        const float steep = steepness((z[k] - z[m]) * soft[SOFT_INV_TAU]), blocks = 1.0f / (steep + clear);
        taken = fmaf(blocks, gain[m], taken);
        const float share = steep / (1.0f + steep);
        v_x += alpha[k] * gain[m] * blocks * share - own * alpha[m] * share / fmaf(steep, 1.0f - alpha[m], 1.0f);
    }
    *v_z += v_x * soft[SOFT_INV_TAU];
    return own / alpha[k] - taken;
}

// --- kernels ----------------------------------------------------------------------------------------------------------

// Outputs: count [H*W].
extern "C" __global__ void __launch_bounds__(256) soft_count(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, const float *soft, int *count
) {
    const Pixel pixel = pixel_of_thread(blockIdx.x, (width + TILE_PX - 1) / TILE_PX);
    const SoftRay ray = soft_ray(view, pixel.x, pixel.y, soft, samples);
    const Lists none = {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    const int n = find_entries<false>(
        view, width, height, range, pair_slot, packets, rect, samples, soft, ray, pixel, 0, 0, none
    );
    if (pixel.x < width && pixel.y < height) count[static_cast<int64_t>(pixel.y) * width + pixel.x] = n;
}

// Outputs: entries; image [H,W,4] = T, r, g, b without background; plane [H,W], sum of weight * z-depth.
extern "C" __global__ void __launch_bounds__(256) soft_blend(
    const float *view, int width, int height, const int *range, const int *pair_slot, const float *packets,
    const uint16_t *rect, int samples, const float *soft, const int *end, int *count, float *depth, float *alpha,
    float *trans, int *slot, float *image, float *plane
) {
    const Pixel pixel = pixel_of_thread(blockIdx.x, (width + TILE_PX - 1) / TILE_PX);
    const SoftRay ray = soft_ray(view, pixel.x, pixel.y, soft, samples);
    const Lists lists = {end, count, depth, alpha, trans, slot};
    const bool inside = pixel.x < width && pixel.y < height;
    const int64_t at = static_cast<int64_t>(pixel.y) * width + pixel.x;
    const int room = inside ? count[at] : 0;
    const int64_t first = inside ? end[at] - room : 0;
    const int n = find_entries<true>(
        view, width, height, range, pair_slot, packets, rect, samples, soft, ray, pixel, first, room, lists
    );
    if (!inside) return;
    const float light = receive(lists, first, n, soft);
    float r = 0.0f, g = 0.0f, b = 0.0f, z = 0.0f;
    for (int64_t k = first; k < first + n; ++k) {
        const float4 rest = reinterpret_cast<const float4 *>(packets)[PACKET_QUADS * static_cast<int64_t>(slot[k]) + 3];
        const float weight = alpha[k] * trans[k];
        r = fmaf(weight, rest.x, r);
        g = fmaf(weight, rest.y, g);
        b = fmaf(weight, rest.z, b);
        z = fmaf(weight, depth[k], z);
    }
    reinterpret_cast<float4 *>(image)[at] = make_float4(light, r, g, b);
    plane[at] = z;
}

// Inputs: entries; image of soft_blend; v_rgb [H,W,3], v_trans, v_depth [H,W]; background [3]; gain [E], scratch.
// Outputs, zero before: v_density [G] and v_colours [V,3], added with atomics; unless null also tile_pose [T,12], the gradient
// of world_from_cam's upper three rows, row by row.
template <bool POSED>
DEVICE void back(
    const float *view, int width, int height, const float *packets, int samples, const float *soft, const Lists &lists,
    const float *image, const float *v_rgb, const float *v_trans, const float *v_depth, const float *background,
    const int *corner_idx, float *gain, float *v_density, float *v_colours, float *tile_pose
) {
    const Pixel pixel = pixel_of_thread(blockIdx.x, (width + TILE_PX - 1) / TILE_PX);
    const SoftRay ray = soft_ray(view, pixel.x, pixel.y, soft, samples);
    const bool inside = pixel.x < width && pixel.y < height;
    const int64_t at = static_cast<int64_t>(pixel.y) * width + pixel.x;
    const int n = inside ? lists.count[at] : 0;
    const int64_t first = inside ? lists.end[at] - n : 0;
    const float v_r = inside ? v_rgb[3 * at] : 0.0f, v_g = inside ? v_rgb[3 * at + 1] : 0.0f;
    const float v_b = inside ? v_rgb[3 * at + 2] : 0.0f, v_plane = inside ? v_depth[at] : 0.0f;
    const float light = inside ? image[4 * at] : 0.0f;
    const float v_light = v_r * background[0] + v_g * background[1] + v_b * background[2] + (inside ? v_trans[at] : 0.0f);
    const bool shared_out = static_cast<int>(soft[SOFT_ORDER]) == SOFTMAX;
    float mean = 0.0f, whole = 0.0f;
    for (int k = 0; k < n; ++k) {
        const int64_t slot = lists.slot[first + k];
        const float4 rest = reinterpret_cast<const float4 *>(packets)[PACKET_QUADS * slot + 3];
        const float weight = lists.alpha[first + k] * lists.trans[first + k];
        const float g = fmaf(v_r, rest.x, fmaf(v_g, rest.y, fmaf(v_b, rest.z, v_plane * lists.depth[first + k])));
        mean = fmaf(weight, g, mean);
        whole += weight;
        gain[first + k] = shared_out ? g : weight * g;
    }
    Behind b = {light, light * v_light, mean / fmaxf(whole, 1e-30f), light * v_light, n};
    float v_o[3] = {0.0f, 0.0f, 0.0f}, v_d[3] = {0.0f, 0.0f, 0.0f};
    for (int k = n - 1; k >= 0; --k) {
        const int64_t slot = lists.slot[first + k];
        Packet p;
        const float4 *packet = reinterpret_cast<const float4 *>(packets) + PACKET_QUADS * slot;
        geometry_of(packet, 0, &p);
        content_of(packet, 0, &p);
        const float weight = lists.alpha[first + k] * lists.trans[first + k];
        float v_z = weight * v_plane, v_terms[8] = {};
        const float v_alpha = order_backward(lists, first, n, k, gain + first, soft, &b, &v_z);
        Cover c;
        soft_segment(ray, p, soft, &c);
        soft_alpha(ray, p, soft, samples, &c);
        cover_backward<POSED>(ray, p, c, soft, samples, v_alpha, v_z, v_terms, v_o, v_d);
#pragma unroll
        for (int bit = 1; bit < 8; bit <<= 1) {  // the transpose of `trilinear_terms`
#pragma unroll
            for (int j = 0; j < 8; ++j)
                if (!(j & bit)) v_terms[j] -= v_terms[j | bit];
        }
#pragma unroll
        for (int j = 0; j < 8; ++j)
            atomicAdd(v_density + corner_idx[8 * static_cast<int64_t>(p.voxel) + j], v_terms[j]);
        atomicAdd(v_colours + 3 * static_cast<int64_t>(p.voxel), weight * v_r);
        atomicAdd(v_colours + 3 * static_cast<int64_t>(p.voxel) + 1, weight * v_g);
        atomicAdd(v_colours + 3 * static_cast<int64_t>(p.voxel) + 2, weight * v_b);
    }
    if (!POSED) return;
    // R (u, v, 1) is a pixel's direction, without perspective R (0, 0, 1), and R (u, v, 0) moves its origin
    SHARED(float, partial, TILE_WARPS * 16);
    const bool ortho = view[VIEW_ORTHO] > 0.5f;
    const float u = (pixel.x + 0.5f - view[VIEW_CX]) / view[VIEW_FX], v = (pixel.y + 0.5f - view[VIEW_CY]) / view[VIEW_FY];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float sums[16] = {};
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float across = ortho ? v_o[axis] : v_d[axis];
        sums[4 * axis] = across * u;
        sums[4 * axis + 1] = across * v;
        sums[4 * axis + 2] = v_d[axis];
        sums[4 * axis + 3] = v_o[axis];
    }
    const float of_warp = warp_sums_of_16(sums, lane);
    if (lane % 2 == 0) partial[warp * 16 + lane / 2] = of_warp;
    __syncthreads();
    if (threadIdx.x < 12) {
        float total = 0.0f;
        for (int i = 0; i < TILE_WARPS; ++i) total += partial[i * 16 + threadIdx.x];
        tile_pose[12 * static_cast<int64_t>(blockIdx.x) + threadIdx.x] = total;
    }
}

extern "C" __global__ void __launch_bounds__(256) soft_back(
    const float *view, int width, int height, const float *packets, int samples, const float *soft, const int *end,
    int *count, float *depth, float *alpha, float *trans, int *slot, const float *image, const float *v_rgb,
    const float *v_trans, const float *v_depth, const float *background, const int *corner_idx, float *gain,
    float *v_density, float *v_colours
) {
    const Lists lists = {end, count, depth, alpha, trans, slot};
    back<false>(
        view, width, height, packets, samples, soft, lists, image, v_rgb, v_trans, v_depth, background, corner_idx, gain,
        v_density, v_colours, nullptr
    );
}

extern "C" __global__ void __launch_bounds__(256) soft_back_posed(
    const float *view, int width, int height, const float *packets, int samples, const float *soft, const int *end,
    int *count, float *depth, float *alpha, float *trans, int *slot, const float *image, const float *v_rgb,
    const float *v_trans, const float *v_depth, const float *background, const int *corner_idx, float *gain,
    float *v_density, float *v_colours, float *tile_pose
) {
    const Lists lists = {end, count, depth, alpha, trans, slot};
    back<true>(
        view, width, height, packets, samples, soft, lists, image, v_rgb, v_trans, v_depth, background, corner_idx, gain,
        v_density, v_colours, tile_pose
    );
}
