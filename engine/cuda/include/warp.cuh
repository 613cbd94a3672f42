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

// One step of warp_sums_of_16: keep HALF numbers, send the partner its own, add what it sent.
template <int HALF>
DEVICE void exchange_halves(float *v, int lane) {
    const bool upper = (lane & (2 * HALF)) != 0;
#pragma unroll
    for (int k = 0; k < HALF; ++k) {
        const float kept = upper ? v[k + HALF] : v[k];
        const float sent = upper ? v[k] : v[k + HALF];
        v[k] = kept + __shfl_xor_sync(ALL_LANES, sent, 2 * HALF);
    }
}

// Sixteen sums at once: lane l gets the warp's sum of v[l / 2], by 16 shuffles instead of 80. `v` is overwritten.
DEVICE float warp_sums_of_16(float *v, int lane) {
    exchange_halves<8>(v, lane);
    exchange_halves<4>(v, lane);
    exchange_halves<2>(v, lane);
    exchange_halves<1>(v, lane);
    return v[0] + __shfl_xor_sync(ALL_LANES, v[0], 1);
}

// Turns gradients of trilinear terms, term t in lanes 2 t and 2 t + 1 of each half warp, into those of the corners:
// the transpose of `trilinear_terms`. `active` lanes take part in the arithmetic, all in the shuffles.
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
