// SPDX-License-Identifier: MIT
// From gradients to new parameters, touching only what the view saw: the twin of engine/cpu/update.py.
#include "adam.cuh"

template <class Moment>
DEVICE void update_colours(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *view, const float *packets, const float *v_slot,
    const float *adam, int n_corrections, const float *correction1, const float *correction2, int n_rows, int degree,
    float *sh, Moment *sh_m, Moment *sh_v, uint16_t *age, float *heaviest, float *footprint
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels || n_tiles[voxel] == 0) return;
    const int64_t slot = slot_end[voxel] - 1;
    const float *packet = packets + 16 * slot, *gradient = v_slot + 4 * slot;
    if (!(gradient[3] > 0.0f)) return;  // in the frustum, but no pixel saw it
    heaviest[voxel] = fmaxf(heaviest[voxel], gradient[3]);
    footprint[voxel] = fminf(footprint[voxel], pixel_size(view, packet));
    const int rounds = min(age[voxel] + 1, n_corrections - 1);
    age[voxel] = static_cast<uint16_t>(rounds);
    const float c1 = correction1[rounds], c2 = correction2[rounds], half = 0.5f * packet[3];
    float direction[3], basis[SH_MAX], v_rgb[3];
    direction_to(view, packet[0] + half, packet[1] + half, packet[2] + half, direction);
    sh_basis(direction, degree, basis);
    for (int c = 0; c < 3; ++c) v_rgb[c] = clamped_colour_backward(packet[12 + c], gradient[c]);
    const int n = (degree + 1) * (degree + 1);
#pragma unroll
    for (int k = 0; k < SH_MAX; ++k) {
        if (k >= n) break;
        const float rate = k == 0 ? adam[RATE_SH0] : adam[RATE_SHS];
        for (int c = 0; c < 3; ++c) {
            const int64_t at = sh_index(voxel, n_rows, 3 * k + c);
            float m = load_moment(sh_m, at), v = load_moment(sh_v, at);
            sh[at] -= rate * adam_step(basis[k] * v_rgb[c], &m, &v, adam, c1, c2);
            const uint32_t noise = scrambled(static_cast<uint32_t>(at) * 0x9e3779b9u + rounds);
            store_moment(sh_m, at, m, noise);
            store_moment(sh_v, at, v, noise >> 16);
        }
    }
}

// Updates the colour coefficients of every voxel that a pixel saw.
// Inputs: packets [S,16], v_slot [S,4] of raster_gradients; adam [N_ADAM]; correction1/2 [n_corrections].
// In and out: sh, sh_m, sh_v in groups; age [V]; heaviest, footprint [V]. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) update_voxels(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *view, const float *packets, const float *v_slot,
    const float *adam, int n_corrections, const float *correction1, const float *correction2, int n_rows, int degree,
    float *sh, float *sh_m, float *sh_v, uint16_t *age, float *heaviest, float *footprint
) {
    update_colours<float>(
        n_voxels, n_tiles, slot_end, view, packets, v_slot, adam, n_corrections, correction1, correction2, n_rows, degree,
        sh, sh_m, sh_v, age, heaviest, footprint
    );
}

// The same with bfloat16 moments.
extern "C" __global__ void __launch_bounds__(256) update_voxels_half(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *view, const float *packets, const float *v_slot,
    const float *adam, int n_corrections, const float *correction1, const float *correction2, int n_rows, int degree,
    float *sh, uint16_t *sh_m, uint16_t *sh_v, uint16_t *age, float *heaviest, float *footprint
) {
    update_colours<uint16_t>(
        n_voxels, n_tiles, slot_end, view, packets, v_slot, adam, n_corrections, correction1, correction2, n_rows, degree,
        sh, sh_m, sh_v, age, heaviest, footprint
    );
}

// Adds the gradient of weight * sum over the 12 edges |difference|, of every voxel that a pixel saw, to v_corners [V,8] or,
// where that is null, to v_density [G] with atomics; 0 where the ends are equal. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) total_variation(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *v_slot, const int *corner_idx,
    const float *density, float weight, float *v_corners, float *v_density
) {
    const int64_t voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels || n_tiles[voxel] == 0) return;
    if (!(v_slot[4 * (static_cast<int64_t>(slot_end[voxel]) - 1) + 3] > 0.0f)) return;
    float value[8];
    for (int c = 0; c < 8; ++c) value[c] = density[corner_idx[8 * voxel + c]];
    for (int c = 0; c < 8; ++c) {
        float slope = 0.0f;
        for (int bit = 1; bit < 8; bit <<= 1) {
            const float difference = value[c] - value[c ^ bit];
            slope += difference > 0.0f ? weight : (difference < 0.0f ? -weight : 0.0f);
        }
        if (slope == 0.0f) continue;
        if (v_corners != nullptr) {
            v_corners[8 * voxel + c] += slope;
        } else {
            atomicAdd(v_density + corner_idx[8 * voxel + c], slope);
        }
    }
}

// Takes an Adam step at every grid point whose gradient is not zero, and clears the gradient for the next view.
// Parallel over: points.
extern "C" __global__ void __launch_bounds__(256) update_points(
    int n_points, const float *adam, int n_corrections, const float *correction1, const float *correction2,
    float *v_density, float *density, float *m, float *v, uint16_t *age
) {
    const int point = blockIdx.x * blockDim.x + threadIdx.x;
    if (point >= n_points) return;
    const float g = v_density[point];
    if (g == 0.0f) return;
    v_density[point] = 0.0f;
    const int rounds = min(age[point] + 1, n_corrections - 1);
    age[point] = static_cast<uint16_t>(rounds);
    density[point] -= adam[RATE_DENSITY] * adam_step(g, m + point, v + point, adam, correction1[rounds], correction2[rounds]);
}
