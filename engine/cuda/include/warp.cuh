// SPDX-License-Identifier: MIT
// Sums over the 32 lanes of a warp. Every lane of the warp must call these.
#pragma once
#include "math.cuh"


DEVICE float warp_sum(float value) {
#pragma unroll
    for (int bit = 16; bit > 0; bit >>= 1) value += __shfl_xor_sync(ALL_LANES, value, bit);
    return value;
}

DEVICE float warp_max(float value) {
#pragma unroll
    for (int bit = 16; bit > 0; bit >>= 1) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, bit));
    return value;
}

// Sixteen sums at once: lane l gets the warp's sum of v[l / 2]. At each step a lane keeps half of its numbers and sends
// its partner the other half, so 16 shuffles do what 80 would. `v` is overwritten.
DEVICE float warp_sums_of_16(float *v, int lane) {
#pragma unroll
    for (int half = 8; half > 0; half >>= 1) {
        const bool upper = (lane & (2 * half)) != 0;
#pragma unroll
        for (int k = 0; k < half; ++k) {
            const float kept = upper ? v[k + half] : v[k];
            const float sent = upper ? v[k] : v[k + half];
            v[k] = kept + __shfl_xor_sync(ALL_LANES, sent, 2 * half);
        }
    }
    return v[0] + __shfl_xor_sync(ALL_LANES, v[0], 1);
}

// Turns gradients of trilinear terms, term t in lanes 2 t and 2 t + 1 of each half warp, into those of the corners:
// `trilinear_terms_backward` across lanes. `active` lanes take part in the arithmetic, all in the shuffles.
DEVICE float terms_to_corners(float value, int lane, bool active) {
#pragma unroll
    for (int bit = 2; bit < 16; bit <<= 1) {
        const float other = __shfl_xor_sync(ALL_LANES, value, bit);
        if (active && !(lane & bit)) value -= other;
    }
    return value;
}

// Atomic maximum of floats that are not negative: their bits sort like integers.
DEVICE void atomic_max_positive(float *address, float value) {
    atomicMax(reinterpret_cast<int *>(address), __float_as_int(value));
}
