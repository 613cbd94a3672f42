// SPDX-License-Identifier: MIT
// Adam on single rows, and moments in float32 or, half as large, bfloat16.
//
// Adam as published, the bias correction counted per row: a row that is rarely seen is corrected by how often it was
// updated.   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  x -= rate c1 m / (sqrt(c2 v) + eps),
// c1, c2 = 1 / (1 - b^n) after n updates.
#pragma once
#include "sh.cuh"

// --- bfloat16 -------------------------------------------------------------------------------------------------------
// The upper half of a float32. Rounded up with the probability of the part cut off, so that steps smaller than half a
// unit are right on average: with b2 = 0.99 plain rounding would freeze v once g^2 is within 40 % of it. The random bits
// come from the place and the number of updates, so the same run gives the same moments.

DEVICE float from_half(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }

DEVICE uint32_t scrambled(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

DEVICE uint16_t to_half(float value, uint32_t random) {
    return static_cast<uint16_t>((__float_as_uint(value) + (random & 0xffffu)) >> 16);
}

DEVICE float load_moment(const float *moments, int64_t at) { return moments[at]; }
DEVICE float load_moment(const uint16_t *moments, int64_t at) { return from_half(moments[at]); }
DEVICE void store_moment(float *moments, int64_t at, float value, uint32_t) { moments[at] = value; }
DEVICE void store_moment(uint16_t *moments, int64_t at, float value, uint32_t random) {
    moments[at] = to_half(value, random);
}

// --- one row --------------------------------------------------------------------------------------------------------

DEVICE float adam_step(float g, float *m, float *v, const float *adam, float c1, float c2) {
    *m = fmaf(*m, adam[BETA1], g * (1.0f - adam[BETA1]));
    *v = fmaf(*v, adam[BETA2], g * g * (1.0f - adam[BETA2]));
    return c1 * *m / (sqrtf(*v * c2) + adam[EPS]);
}

// The world size of a pixel at a voxel's centre, from its packet.
DEVICE float pixel_size(const float *view, const float *packet) {
    if (view[VIEW_ORTHO] > 0.5f) return 1.0f / view[VIEW_FX];
    const float half = 0.5f * packet[3];
    const float depth =
        (packet[0] + half) * view[6] + (packet[1] + half) * view[7] + (packet[2] + half) * view[8];
    return fmaxf(depth, view[VIEW_NEAR]) / view[VIEW_FX];
}
