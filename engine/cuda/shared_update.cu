// SPDX-License-Identifier: MIT
// `update_voxels` of adam.cu cut in two, for views whose gradients are added up over several processes before any takes a
// step: the twin of engine/cpu/shared_update.py. A voxel that some view saw has a row; gradients [3 K + 1, rows] are those of
// its coefficients (row 3 k + channel) and, last, |dL/dalpha alpha|.
#include "adam.cuh"

// Whether some view saw a voxel. seen [2,V]: the heaviest weight, and minus the pixel size, minus infinity where unseen.
DEVICE bool was_seen(const float *seen, int n_voxels, int voxel) { return seen[n_voxels + voxel] > -3.0e38f; }

// Writes what this view saw: seen [2,V], of which the maximum over all views is the heavier and the closer one.
// Inputs: as `update_voxels`. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) view_seen(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *view, const float *packets, const float *v_slot,
    float *seen
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels) return;
    float weight = 0.0f, closeness = -__uint_as_float(0x7f800000u);  // minus infinity
    if (n_tiles[voxel] != 0) {
        const int64_t slot = slot_end[voxel] - 1;
        if (v_slot[4 * slot + 3] > 0.0f) {
            weight = v_slot[4 * slot + 3];
            closeness = -pixel_size(view, packets + 16 * slot);
        }
    }
    seen[voxel] = weight;
    seen[n_voxels + voxel] = closeness;
}

// Writes what this view says of every voxel that some view saw; zeros where this one did not see it.
// Inputs: seen, the maximum over all views; row_end int32 [V], inclusive sums of the voxels that were seen; priority [V] of this
// view. Output: gradients [3 K + 1, n_rows]. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) spread_colours(
    int n_voxels, const int *n_tiles, const int *slot_end, const float *view, const float *packets, const float *v_slot,
    const float *priority, const float *seen, const int *row_end, int n_rows, int degree, float *gradients
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels || !was_seen(seen, n_voxels, voxel)) return;
    const int n = (degree + 1) * (degree + 1);
    float basis[SH_MAX], v_rgb[3] = {0.0f, 0.0f, 0.0f};
    for (int k = 0; k < SH_MAX; ++k) basis[k] = 0.0f;
    if (n_tiles[voxel] != 0) {
        const int64_t slot = slot_end[voxel] - 1;
        const float *packet = packets + 16 * slot, *gradient = v_slot + 4 * slot;
        if (gradient[3] > 0.0f) {
            const float half = 0.5f * packet[3];
            float direction[3];
            direction_to(view, packet[0] + half, packet[1] + half, packet[2] + half, direction);
            sh_basis(direction, degree, basis);
            for (int c = 0; c < 3; ++c) v_rgb[c] = clamped_colour_backward(packet[12 + c], gradient[c]);
        }
    }
    int64_t at = row_end[voxel] - 1;
#pragma unroll
    for (int k = 0; k < SH_MAX; ++k) {
        if (k >= n) break;
        for (int c = 0; c < 3; ++c, at += n_rows) gradients[at] = basis[k] * v_rgb[c];
    }
    gradients[at] = priority[voxel];
}

template <class Moment>
DEVICE void apply(
    int n_voxels, const float *seen, const int *row_end, int n_rows, const float *gradients, float share, const float *adam,
    int n_corrections, const float *correction1, const float *correction2, int n_sh, int degree, float *sh, Moment *sh_m,
    Moment *sh_v, uint16_t *age, float *priority, float *heaviest, float *footprint
) {
    const int voxel = blockIdx.x * blockDim.x + threadIdx.x;
    if (voxel >= n_voxels || !was_seen(seen, n_voxels, voxel)) return;
    heaviest[voxel] = fmaxf(heaviest[voxel], seen[voxel]);
    footprint[voxel] = fminf(footprint[voxel], -seen[n_voxels + voxel]);
    const int rounds = min(age[voxel] + 1, n_corrections - 1);
    age[voxel] = static_cast<uint16_t>(rounds);
    const float c1 = correction1[rounds], c2 = correction2[rounds];
    const int n = (degree + 1) * (degree + 1);
    int64_t row = row_end[voxel] - 1;
#pragma unroll
    for (int k = 0; k < SH_MAX; ++k) {
        if (k >= n) break;
        const float rate = k == 0 ? adam[RATE_SH0] : adam[RATE_SHS];
        for (int c = 0; c < 3; ++c, row += n_rows) {
            const int64_t at = sh_index(voxel, n_sh, 3 * k + c);
            float m = load_moment(sh_m, at), v = load_moment(sh_v, at);
            sh[at] -= rate * adam_step(share * gradients[row], &m, &v, adam, c1, c2);
            const uint32_t noise = scrambled(static_cast<uint32_t>(at) * 0x9e3779b9u + rounds);
            store_moment(sh_m, at, m, noise);
            store_moment(sh_v, at, v, noise >> 16);
        }
    }
    priority[voxel] += gradients[row];
}

// Updates the colour coefficients and statistics of every voxel that some view saw, along `share` times the sum of the
// gradients. Inputs: as `spread_colours` and `update_voxels`; n_sh, the rows of a group. Parallel over: voxels.
extern "C" __global__ void __launch_bounds__(256) apply_colours(
    int n_voxels, const float *seen, const int *row_end, int n_rows, const float *gradients, float share, const float *adam,
    int n_corrections, const float *correction1, const float *correction2, int n_sh, int degree, float *sh, float *sh_m,
    float *sh_v, uint16_t *age, float *priority, float *heaviest, float *footprint
) {
    apply<float>(
        n_voxels, seen, row_end, n_rows, gradients, share, adam, n_corrections, correction1, correction2, n_sh, degree, sh,
        sh_m, sh_v, age, priority, heaviest, footprint
    );
}

// The same with bfloat16 moments.
extern "C" __global__ void __launch_bounds__(256) apply_colours_half(
    int n_voxels, const float *seen, const int *row_end, int n_rows, const float *gradients, float share, const float *adam,
    int n_corrections, const float *correction1, const float *correction2, int n_sh, int degree, float *sh, uint16_t *sh_m,
    uint16_t *sh_v, uint16_t *age, float *priority, float *heaviest, float *footprint
) {
    apply<uint16_t>(
        n_voxels, seen, row_end, n_rows, gradients, share, adam, n_corrections, correction1, correction2, n_sh, degree, sh,
        sh_m, sh_v, age, priority, heaviest, footprint
    );
}
