// SPDX-License-Identifier: MIT
// Packed samples blended front to back along their rays, and the way back.
//
// Computes, per ray, with T the transmittance before a sample and samples ascending in t:
//     w_i = T_i (1 - exp(-sigma_i delta_i)),  rgb = sum w_i c_i + T_end background,  depth = sum w_i t_i,
//     distortion = sum_ij w_i w_j |s_i - s_j| + 1/3 sum w_i^2 width_i, by running sums of w and w s since s ascends.
// Parallel over: rays, a thread each: a ray has a few dozen samples, and everything of it is added in their order.
#include "math.cuh"

// offsets [Q+1]: ray q has samples offsets[q] .. offsets[q+1] - 1. Per sample [M]: density, rgb [M,3], t, delta, and spacing and
// width, or null without a distortion. Outputs: rgb over background [Q,3], trans, depth, distortion [Q], weights [M].
extern "C" __global__ void __launch_bounds__(128) composite_rays(
    int n_rays, const int64_t *offsets, const float *density, const float *rgb, const float *t, const float *delta,
    const float *background, const float *spacing, const float *width, float *out, float *trans, float *depth,
    float *distortion, float *weights
) {
    const int q = blockIdx.x * blockDim.x + threadIdx.x;
    if (q >= n_rays) return;
    float light = 1.0f, colour[3] = {0.0f, 0.0f, 0.0f}, far = 0.0f, bend = 0.0f, before = 0.0f, moment = 0.0f;
    for (int64_t i = offsets[q]; i < offsets[q + 1]; ++i) {
        const float optical = density[i] * delta[i], weight = light * -expm1f(-optical);
        light *= expf(-optical);
        weights[i] = weight;
        for (int c = 0; c < 3; ++c) colour[c] = fmaf(weight, rgb[3 * i + c], colour[c]);
        far = fmaf(weight, t[i], far);
        if (spacing == nullptr) continue;
        bend += 2.0f * weight * (spacing[i] * before - moment) + weight * weight * width[i] / 3.0f;
        before += weight;
        moment = fmaf(weight, spacing[i], moment);
    }
    for (int c = 0; c < 3; ++c)
        out[3 * static_cast<int64_t>(q) + c] = fmaf(light, background[3 * static_cast<int64_t>(q) + c], colour[c]);
    trans[q] = light;
    depth[q] = far;
    distortion[q] = bend;
}

// Gradients of what composite_rays gave. With v_i that of w_i and V that of T_end:
//     dL/dc_i = w_i g,  dL/dsigma_i = delta_i (v_i T_(i+1) - sum_{j>i} w_j v_j - T_end V).
// v_rgb [Q,3], v_trans, v_depth, v_distortion [Q], v_weights [M]; outputs as the inputs, v_background [Q,3].
extern "C" __global__ void __launch_bounds__(128) composite_rays_backward(
    int n_rays, const int64_t *offsets, const float *density, const float *rgb, const float *t, const float *delta,
    const float *background, const float *spacing, const float *width, const float *weights, const float *v_rgb,
    const float *v_trans, const float *v_depth, const float *v_distortion, const float *v_weights, float *v_density,
    float *v_colour, float *v_background
) {
    const int q = blockIdx.x * blockDim.x + threadIdx.x;
    if (q >= n_rays) return;
    const int64_t ray = 3 * static_cast<int64_t>(q), begin = offsets[q], end = offsets[q + 1];
    float optical = 0.0f, total = 0.0f, all = 0.0f;
    for (int64_t i = begin; i < end; ++i) {
        optical = fmaf(density[i], delta[i], optical);
        total += weights[i];
        if (spacing != nullptr) all = fmaf(weights[i], spacing[i], all);
    }
    const float g[3] = {v_rgb[ray], v_rgb[ray + 1], v_rgb[ray + 2]};
    float light = expf(-optical), behind = v_trans[q];
    for (int c = 0; c < 3; ++c) {
        behind = fmaf(g[c], background[ray + c], behind);
        v_background[ray + c] = light * g[c];
    }
    behind *= light;
    float after = 0.0f, moment_after = 0.0f;  // sums over the samples behind this one
    for (int64_t i = end - 1; i >= begin; --i) {
        const float weight = weights[i];
        float v = fmaf(v_depth[q], t[i], v_weights[i]);
        for (int c = 0; c < 3; ++c) v = fmaf(g[c], rgb[3 * i + c], v);
        if (spacing != nullptr) {
            const float s = spacing[i], before = total - after - weight, moment = all - moment_after - weight * s;
            const float slope = s * (before - after) - moment + moment_after;
            v = fmaf(v_distortion[q], 2.0f * slope + 2.0f / 3.0f * weight * width[i], v);
            after += weight;
            moment_after = fmaf(weight, s, moment_after);
        }
        v_density[i] = delta[i] * (v * light - behind);
        behind = fmaf(weight, v, behind);
        light += weight;  // what is left before this sample
        for (int c = 0; c < 3; ++c) v_colour[3 * i + c] = weight * g[c];
    }
}
