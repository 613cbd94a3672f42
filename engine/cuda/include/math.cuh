// SPDX-License-Identifier: MIT
// Scalar mathematics of one ray and one voxel, forward and backward side by side. Same names as engine/cpu/tile_math.py.
#pragma once
#include "constants.cuh"
#include "device.cuh"

#define DEVICE __device__ __forceinline__

// --- density activation ---------------------------------------------------------------------------------------------
// exp_linear(x) = x above the knee a, a exp(x / a - 1) below: equal value and slope at a.
// d exp_linear / dx = 1 above, exp_linear / a below.

DEVICE float exp_linear(float raw) {
    const float knee = EXP_LINEAR_KNEE;
    return raw > knee ? raw : knee * expf(raw * (1.0f / knee) - 1.0f);
}

DEVICE float exp_linear_slope(float raw, float sigma) {
    const float knee = EXP_LINEAR_KNEE;
    return raw > knee ? 1.0f : sigma * (1.0f / knee);
}

// --- trilinear cell -------------------------------------------------------------------------------------------------
// f(x, y, z) = sum_{a,b,c} terms[4a + 2b + c] x^a y^b z^c on [0,1]^3; corner value d[4 cx + 2 cy + cz].
// The terms are differences: along each axis in turn (low, high) -> (low, high - low). The way back is the transpose,
// (m_low, m_high) -> (m_low - m_high, m_high): terms_to_corners of warp.cuh, for eight lanes.

DEVICE void trilinear_terms(const float *corner, float *terms) {
    for (int c = 0; c < 8; ++c) terms[c] = corner[c];
#pragma unroll
    for (int bit = 1; bit < 8; bit <<= 1) {
#pragma unroll
        for (int c = 0; c < 8; ++c)
            if (c & bit) terms[c] -= terms[c ^ bit];
    }
}

DEVICE float trilinear(const float *terms, float x, float y, float z) {
    const float low = fmaf(y, fmaf(z, terms[3], terms[2]), fmaf(z, terms[1], terms[0]));
    const float high = fmaf(y, fmaf(z, terms[7], terms[6]), fmaf(z, terms[5], terms[4]));
    return fmaf(x, high, low);
}

// Adds v * df/dterms to v_terms.
DEVICE void trilinear_backward(float v, float x, float y, float z, float *v_terms) {
    const float vx = v * x, vy = v * y, vz = v * z, vxy = vx * y;
    v_terms[0] += v;
    v_terms[1] += vz;
    v_terms[2] += vy;
    v_terms[3] = fmaf(vy, z, v_terms[3]);
    v_terms[4] += vx;
    v_terms[5] = fmaf(vx, z, v_terms[5]);
    v_terms[6] += vxy;
    v_terms[7] = fmaf(vxy, z, v_terms[7]);
}

// The unit normal against the mean gradient of the cell's raw density, 0 where that is 0.
DEVICE void facing_normal(const float *terms, float *normal) {
    const float gx = terms[4] + 0.5f * (terms[6] + terms[5]) + 0.25f * terms[7];
    const float gy = terms[2] + 0.5f * (terms[6] + terms[3]) + 0.25f * terms[7];
    const float gz = terms[1] + 0.5f * (terms[5] + terms[3]) + 0.25f * terms[7];
    const float scale = -rsqrtf(gx * gx + gy * gy + gz * gz + NORMAL_EPS);
    normal[0] = gx * scale;
    normal[1] = gy * scale;
    normal[2] = gz * scale;
}

// --- distances ------------------------------------------------------------------------------------------------------
// mip-NeRF 360, eq. 10, of a distance in units of `knee`: u below 1, 2 - 1/u above.

DEVICE float contracted(float t, float inverse_knee) {
    const float u = t * inverse_knee;
    return u < 1.0f ? u : 2.0f - 1.0f / u;
}

// --- photometric losses ---------------------------------------------------------------------------------------------
// Square, absolute, or Huber as published: e^2 below the knee k, 2 k |e| - k^2 above.

DEVICE float photometric(int mode, float error, float *slope) {
    if (mode == MSE) {
        *slope = 2.0f * error;
        return error * error;
    }
    const float size = fabsf(error), sign = error > 0.0f ? 1.0f : (error < 0.0f ? -1.0f : 0.0f);
    if (mode == L1) {
        *slope = sign;
        return size;
    }
    const float knee = HUBER_KNEE;
    *slope = size < knee ? 2.0f * error : 2.0f * knee * sign;
    return size < knee ? error * error : 2.0f * knee * size - knee * knee;
}
