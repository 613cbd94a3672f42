// SPDX-License-Identifier: MIT
// From voxels to one sorted list of (voxel, tile) pairs: the twin of engine/cpu/project.py and tiles.py.
//
//   project_voxels   screen rectangle and number of tiles of every voxel
//   (prefix sums)    first pair and slot of every visible voxel
//   emit_pairs       one key per pair: the tile above, the camera's Morton order below; so ascending keys are tile by
//                    tile, each front to back for every ray of the camera
//   (radix sort)
//   tile_ranges      where each tile's pairs begin and end
//   pack_voxels      what the rasteriser reads of a visible voxel, its colour from spherical harmonics included
#include "morton.cuh"
#include "packet.cuh"
#include "sh.cuh"

// Rectangles grow by this many pixels: covers float32 rounding of u = fx x / z + cx up to 4096 pixels.
constexpr float PIXEL_SLACK = 2e-3f;

// A voxel's low corner and edge; both are exact in float32.
DEVICE float4 box_of(int64_t path, int level, float root_size) {
    const float step = root_size / LATTICE;
    float4 box;
    box.x = (gather_bits(path >> 2) - LATTICE / 2) * step;
    box.y = (gather_bits(path >> 1) - LATTICE / 2) * step;
    box.z = (gather_bits(path) - LATTICE / 2) * step;
    box.w = ldexpf(root_size, -level);
    return box;
}

DEVICE float relative(float x, const float *view, int axis) {
    return (x - view[VIEW_POS + axis]) - view[VIEW_POS_LOW + axis];
}

// How far a box of half edge 1 reaches along scale * row + centre * (camera z row).
DEVICE float spread(const float *view, int row, float scale, float centre) {
    float total = 0.0f;
    for (int j = 0; j < 3; ++j) total += fabsf(scale * view[row + j] + centre * view[6 + j]);
    return total;
}

// Whether a box that reaches behind the near plane touches the frustum's four sides.
DEVICE bool within_sides(const float *view, float xc, float yc, float zc, float half) {
    const float fx = view[VIEW_FX], fy = view[VIEW_FY], cx = view[VIEW_CX], cy = view[VIEW_CY];
    const float to_right = view[VIEW_WIDTH] - cx, to_bottom = view[VIEW_HEIGHT] - cy;
    return fmaf(xc, fx, zc * cx) + half * spread(view, 0, fx, cx) > 0.0f &&
           fmaf(xc, -fx, zc * to_right) + half * spread(view, 0, -fx, to_right) > 0.0f &&
           fmaf(yc, fy, zc * cy) + half * spread(view, 3, fy, cy) > 0.0f &&
           fmaf(yc, -fy, zc * to_bottom) + half * spread(view, 3, -fy, to_bottom) > 0.0f;
}

// Writes the pixels (x0, y0, x1, y1) that a ray through the box can have; returns whether there are any. Boxes that
// reach behind the near plane get the whole screen unless they miss the frustum.
DEVICE bool rectangle(const float *view, float x, float y, float z, float half, int *out) {
    const float near = view[VIEW_NEAR], width = view[VIEW_WIDTH], height = view[VIEW_HEIGHT];
    const bool ortho = view[VIEW_ORTHO] > 0.5f;
    const float xc = fmaf(x, view[0], fmaf(y, view[1], z * view[2]));
    const float yc = fmaf(x, view[3], fmaf(y, view[4], z * view[5]));
    const float zc = fmaf(x, view[6], fmaf(y, view[7], z * view[8]));
    const float reach = half * (fabsf(view[6]) + fabsf(view[7]) + fabsf(view[8]));
    if (!(zc + reach > near)) return false;
    float u0 = 1e9f, v0 = 1e9f, u1 = -1e9f, v1 = -1e9f;
    for (int corner = 0; corner < 8; ++corner) {
        const float sx = corner & 4 ? half : -half, sy = corner & 2 ? half : -half, sz = corner & 1 ? half : -half;
        float px = xc + sx * view[0] + sy * view[1] + sz * view[2];
        float py = yc + sx * view[3] + sy * view[4] + sz * view[5];
        if (!ortho) {
            const float inverse = 1.0f / fmaxf(zc + sx * view[6] + sy * view[7] + sz * view[8], near * 0.5f);
            px *= inverse;
            py *= inverse;
        }
        u0 = fminf(u0, px);
        u1 = fmaxf(u1, px);
        v0 = fminf(v0, py);
        v1 = fmaxf(v1, py);
    }
    u0 = fmaf(u0, view[VIEW_FX], view[VIEW_CX] - 0.5f - PIXEL_SLACK);
    u1 = fmaf(u1, view[VIEW_FX], view[VIEW_CX] - 0.5f + PIXEL_SLACK);
    v0 = fmaf(v0, view[VIEW_FY], view[VIEW_CY] - 0.5f - PIXEL_SLACK);
    v1 = fmaf(v1, view[VIEW_FY], view[VIEW_CY] - 0.5f + PIXEL_SLACK);
    if (!ortho && zc - reach < near * 1.001f) {
        if (!within_sides(view, xc, yc, zc, half)) return false;
        u0 = v0 = -1.0f;
        u1 = width;
        v1 = height;
    }
    out[0] = static_cast<int>(ceilf(fminf(fmaxf(u0, 0.0f), width)));
    out[1] = static_cast<int>(ceilf(fminf(fmaxf(v0, 0.0f), height)));
    out[2] = static_cast<int>(floorf(fminf(fmaxf(u1, -1.0f), width - 1.0f)));
    out[3] = static_cast<int>(floorf(fminf(fmaxf(v1, -1.0f), height - 1.0f)));
    return out[0] <= out[2] && out[1] <= out[3];
}

// Inputs: path [V], level [V], view [VIEW_SIZE]; reach: by how much voxels are larger than they are, 1 for the hard rasteriser.
// Outputs: rect [V,4] inclusive pixels, valid where seen; n_tiles [V], 0 where unseen. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) project_voxels(
    int n_voxels, const int64_t *path, const int8_t *level, float root_size, float reach, const float *view,
    uint16_t *rect, int *n_tiles
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels) return;
    const float4 box = box_of(path[voxel], level[voxel], root_size);
    const float half = 0.5f * box.w;
    int out[4];
    const bool seen = rectangle(
        view, relative(box.x + half, view, 0), relative(box.y + half, view, 1), relative(box.z + half, view, 2),
        half * reach, out
    );
    int tiles = 0;
    if (seen) {
        for (int k = 0; k < 4; ++k) rect[4 * static_cast<int64_t>(voxel) + k] = static_cast<uint16_t>(out[k]);
        tiles = (out[2] / TILE_PX - out[0] / TILE_PX + 1) * (out[3] / TILE_PX - out[1] / TILE_PX + 1);
    }
    n_tiles[voxel] = tiles;
}

// Inputs: n_tiles [V] and its inclusive prefix sum pair_end [V]; slot_end [V], that of n_tiles > 0; code [4], see
// order_code; order_bits: how many bits of the 48 the finest leaf needs.
// Outputs, at each pair's place: keys [P], pair_slot [P]. Parallel over: voxels, and over their tiles within a warp, so
// that a voxel that covers the screen does not keep one thread busy for all of it.
extern "C" __global__ void __launch_bounds__(256) emit_pairs(
    int n_voxels, const int64_t *path, const uint16_t *rect, const int *n_tiles, const int *pair_end,
    const int *slot_end, const int64_t *code, int order_bits, int tiles_x, int64_t *keys, int *pair_slot
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % WARP;
    const bool inside = voxel < n_voxels;
    const int mine = inside ? n_tiles[voxel] : 0;
    int x0 = 0, y0 = 0, across = 1, slot = 0, base = 0;
    int64_t order = 0;
    if (mine > 0) {
        const uint16_t *r = rect + 4 * static_cast<int64_t>(voxel);
        x0 = r[0] / TILE_PX;
        y0 = r[1] / TILE_PX;
        across = r[2] / TILE_PX - x0 + 1;
        slot = slot_end[voxel] - 1;
        base = pair_end[voxel] - mine;
        order = order_key(path[voxel], code) >> (3 * MAX_LEVEL - order_bits);
    }
    int end = mine;  // inclusive prefix sum over the warp
#pragma unroll
    for (int by = 1; by < WARP; by <<= 1) {
        const int before = __shfl_up_sync(ALL_LANES, end, by);
        if (lane >= by) end += before;
    }
    const int total = __shfl_sync(ALL_LANES, end, WARP - 1);
    for (int first = 0; first < total; first += WARP) {
        const int item = first + lane;
        int owner = 0;  // the first lane whose end is above item: a binary search across the warp
#pragma unroll
        for (int step = WARP / 2; step > 0; step >>= 1) {
            const int passed = __shfl_sync(ALL_LANES, end, owner + step - 1);
            if (passed <= item) owner += step;
        }
        owner = min(owner, WARP - 1);
        const int its = __shfl_sync(ALL_LANES, mine, owner), its_end = __shfl_sync(ALL_LANES, end, owner);
        const int its_x0 = __shfl_sync(ALL_LANES, x0, owner), its_y0 = __shfl_sync(ALL_LANES, y0, owner);
        const int its_across = __shfl_sync(ALL_LANES, across, owner), its_slot = __shfl_sync(ALL_LANES, slot, owner);
        const int its_base = __shfl_sync(ALL_LANES, base, owner);
        const int64_t its_order = __shfl_sync(ALL_LANES, order, owner);
        if (item >= total) continue;
        const int k = item - (its_end - its);
        const int64_t tile = static_cast<int64_t>(its_y0 + k / its_across) * tiles_x + its_x0 + k % its_across;
        keys[its_base + k] = (tile << order_bits) | its_order;
        pair_slot[its_base + k] = its_slot;
    }
}

// Inputs: sorted keys [P]; origin [P], where each stood before; slot_of_pair [P] by that place.
// Outputs: range [T,2], zero before, first and last + 1 of each tile's pairs; pair_slot [P] in sorted order.
// Parallel over: pairs.
extern "C" __global__ void __launch_bounds__(256) tile_ranges(
    int n_pairs, int order_bits, const int64_t *keys, const int64_t *origin, const int *slot_of_pair, int *range,
    int *pair_slot
) {
    const int pair = blockIdx.x * blockDim.x + threadIdx.x;
    if (pair >= n_pairs) return;
    const int tile = static_cast<int>(keys[pair] >> order_bits);
    if (pair == 0 || static_cast<int>(keys[pair - 1] >> order_bits) != tile) range[2 * tile] = pair;
    if (pair == n_pairs - 1 || static_cast<int>(keys[pair + 1] >> order_bits) != tile) range[2 * tile + 1] = pair + 1;
    pair_slot[pair] = slot_of_pair[origin[pair]];
}

// Inputs: n_tiles and slot_end as above; corner_idx [V,8], density [G] raw; colours [V,3] or, with `eight`, [V,8,3], or
// null: then from sh, in groups of n_rows rows, to `degree`.
// Outputs: packets [S,16]; with `eight` also colour_terms [S,24]. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) pack_voxels(
    int n_voxels, const int64_t *path, const int8_t *level, float root_size, const float *view, const int *n_tiles,
    const int *slot_end, const int *corner_idx, const float *density, const float *colours, int eight, const float *sh,
    int n_rows, int degree, float *packets, float *colour_terms
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels || n_tiles[voxel] == 0) return;
    const int64_t slot = slot_end[voxel] - 1;
    const float4 box = box_of(path[voxel], level[voxel], root_size);
    const float low[3] = {relative(box.x, view, 0), relative(box.y, view, 1), relative(box.z, view, 2)};
    float corner[8], terms[8], rgb[3] = {0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int c = 0; c < 8; ++c) corner[c] = density[corner_idx[8 * static_cast<int64_t>(voxel) + c]];
    trilinear_terms(corner, terms);
    if (colours == nullptr) {
        const float half = 0.5f * box.w;
        float direction[3], basis[SH_MAX];
        direction_to(
            view, relative(box.x + half, view, 0), relative(box.y + half, view, 1), relative(box.z + half, view, 2),
            direction
        );
        sh_basis(direction, degree, basis);
        colour_from_sh(sh, n_rows, voxel, degree, basis, rgb);
    } else if (eight) {
        for (int channel = 0; channel < 3; ++channel) {
            float of_corner[8];
            for (int c = 0; c < 8; ++c) of_corner[c] = colours[24 * static_cast<int64_t>(voxel) + 3 * c + channel];
            trilinear_terms(of_corner, colour_terms + COLOUR_TERMS * slot + 8 * channel);
        }
    } else {
        for (int channel = 0; channel < 3; ++channel) rgb[channel] = colours[3 * static_cast<int64_t>(voxel) + channel];
    }
    float4 *packet = reinterpret_cast<float4 *>(packets) + PACKET_QUADS * slot;
    packet[0] = make_float4(low[0], low[1], low[2], box.w);
    packet[1] = make_float4(terms[0], terms[1], terms[2], terms[3]);
    packet[2] = make_float4(terms[4], terms[5], terms[6], terms[7]);
    packet[3] = make_float4(rgb[0], rgb[1], rgb[2], __int_as_float(voxel));
}
