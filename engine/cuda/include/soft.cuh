// SPDX-License-Identifier: MIT
// Scalar mathematics of the soft rasteriser: a voxel that a ray meets or passes by, forward and backward side by side.
// What it computes stands in engine/reference/soft_rasterize.py; the CPU's are soft_raster.py, soft_pose.py, soft_order.py.
#pragma once
#include "packet.cuh"

// Entries of the array `soft`: 1 / (2 sigma^2) or 0, 1 + KAPPA sigma, 1 / tau or 0, tau, the order, softness.spread_terms.
enum Soft { SOFT_FALL, SOFT_REACH, SOFT_INV_TAU, SOFT_TAU, SOFT_ORDER, SOFT_ALONG, SOFT_ACROSS, SOFT_WIDTH };
enum Order { HARD, LOGISTIC, SOFTMAX };

struct SoftRay {
    Ray ray;
    float w_xy, w_yz, w_zx;  // 1 / (|d_i| + |d_j|)
    float spread, scale;     // scale: optical depth per unit of t and of the sum of the samples' densities
};

// k(r) and k'(r) of softness.spread_terms.
DEVICE float share_of(float r, float width) {
    const float rest = 1.0f - r;
    return r * (1.0f + width) > 1.0f ? 1.0f - rest * rest / (2.0f * width * r) : r * (1.0f + 0.5f * width);
}

DEVICE float share_slope(float r, float width) {
    return r * (1.0f + width) > 1.0f ? (1.0f - r * r) / (2.0f * width * r * r) : 1.0f + 0.5f * width;
}

DEVICE SoftRay soft_ray(const float *view, int x, int y, const float *soft, int samples) {
    SoftRay r;
    r.ray = ray_of_pixel(view, x, y);
    const float dx = fabsf(r.ray.dx), dy = fabsf(r.ray.dy), dz = fabsf(r.ray.dz), tiny = 1e-9f;
    r.w_xy = 1.0f / fmaxf(dx + dy, tiny);
    r.w_yz = 1.0f / fmaxf(dy + dz, tiny);
    r.w_zx = 1.0f / fmaxf(dz + dx, tiny);
    const float most = 1.0f / fmaxf(fmaxf(dx, dy), dz), width = soft[SOFT_WIDTH];
    const float shares = share_of(dx * most, width) + share_of(dy * most, width) + share_of(dz * most, width);
    r.spread = soft[SOFT_ALONG] + soft[SOFT_ACROSS] * (shares - 1.0f);
    r.scale = DENSITY_SCALE * r.ray.length / (r.spread * samples);
    return r;
}

DEVICE float sign_of(float x) { return x < 0.0f ? -1.0f : 1.0f; }

DEVICE float within_cell(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }

// What one ray has of one voxel.
struct Cover {
    Segment s;           // a*: the voxel's low corner relative to the ray's origin; t_*: in the dilated voxel
    float middle;        // z
    float miss, covered;  // e and G
    float total;         // sum of the samples' densities
    float depth, clear, solid, alpha;
};

DEVICE Sample soft_sample(const SoftRay &r, const Cover &c, const Packet &p, float t, float *free) {
    const float inverse = 1.0f / p.size;
    float x, y, z;
    cell_position(r.ray, c.s, inverse, t, &x, &y, &z);
    free[0] = x > 0.0f && x < 1.0f ? 1.0f : 0.0f;
    free[1] = y > 0.0f && y < 1.0f ? 1.0f : 0.0f;
    free[2] = z > 0.0f && z < 1.0f ? 1.0f : 0.0f;
    Sample q;
    q.x = within_cell(x);
    q.y = within_cell(y);
    q.z = within_cell(z);
    q.raw = trilinear(p.terms, q.x, q.y, q.z);
    q.sigma = exp_linear(q.raw);
    return q;
}

// Where the ray meets the dilated voxel; false: nowhere. Needs the packet's geometry alone.
DEVICE bool soft_segment(const SoftRay &r, const Packet &p, const float *soft, Cover *c) {
    const float beyond = 0.5f * p.size * (soft[SOFT_REACH] - 1.0f);
    c->s = segment_of_box(r.ray, p.low_x - beyond, p.low_y - beyond, p.low_z - beyond, p.size * soft[SOFT_REACH]);
    c->s.ax = p.low_x - r.ray.ox;
    c->s.ay = p.low_y - r.ray.oy;
    c->s.az = p.low_z - r.ray.oz;
    c->middle = 0.5f * (c->s.t_in + c->s.t_out);
    return c->s.t_out > c->s.t_in;
}

// Fills the rest of a cover whose segment is there; alpha below MIN_ALPHA is 0.
DEVICE void soft_alpha(const SoftRay &r, const Packet &p, const float *soft, int samples, Cover *c) {
    c->miss = 0.0f;
    c->covered = 1.0f;
    if (soft[SOFT_FALL] > 0.0f) {
        const float half = 0.5f * p.size, px = c->s.ax + half, py = c->s.ay + half, pz = c->s.az + half;
        const float xy = fabsf(fmaf(px, r.ray.dy, -(py * r.ray.dx))) * r.w_xy;
        const float yz = fabsf(fmaf(py, r.ray.dz, -(pz * r.ray.dy))) * r.w_yz;
        const float zx = fabsf(fmaf(pz, r.ray.dx, -(px * r.ray.dz))) * r.w_zx;
        c->miss = fmaxf(fmaxf(fmaxf(xy, yz), zx) / half - 1.0f, 0.0f);
        c->covered = expf(-c->miss * c->miss * soft[SOFT_FALL]);
    }
    const float step = (c->s.t_out - c->s.t_in) / samples;
    c->total = 0.0f;
    float free[3];
    for (int k = 0; k < samples; ++k) c->total += soft_sample(r, *c, p, fmaf(step, k + 0.5f, c->s.t_in), free).sigma;
    c->depth = c->total * (c->s.t_out - c->s.t_in) * r.scale;
    c->clear = expf(-c->depth);
    c->solid = fminf(1.0f - c->clear, MAX_ALPHA);
    const float alpha = c->covered * c->solid;
    c->alpha = alpha >= MIN_ALPHA ? alpha : 0.0f;
}

// Adds what the ray hears from t = (face - o) / d along one axis: dt/do = -1/d, dt/dd = -t/d.
DEVICE void face_backward(float v_t, float t, float inverse, float *v_o, float *v_d) {
    *v_o -= v_t * inverse;
    *v_d -= v_t * inverse * t;
}

// Adds what origin and direction hear from e + 1 = max |p_i d_j - p_j d_i| / (half (|d_i| + |d_j|)).
DEVICE void miss_backward(const SoftRay &r, const Packet &p, const Cover &c, float v_miss, float *v_o, float *v_d) {
    const float half = 0.5f * p.size;
    const float at[3] = {c.s.ax + half, c.s.ay + half, c.s.az + half}, d[3] = {r.ray.dx, r.ray.dy, r.ray.dz};
    const float w[3] = {r.w_xy, r.w_yz, r.w_zx};
    int most = 0;
    float ratio = -1.0f, inner = 0.0f;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        const int j = (i + 1) % 3;
        const float cross = fmaf(at[i], d[j], -(at[j] * d[i]));
        if (fabsf(cross) * w[i] > ratio) {
            ratio = fabsf(cross) * w[i];
            inner = cross;
            most = i;
        }
    }
#pragma unroll
    for (int i = 0; i < 3; ++i) {  // unrolled, so that the arrays stay in registers
        const int j = (i + 1) % 3;
        if (i != most) continue;
        const float v = v_miss / half * w[i], n = v * sign_of(inner);
        v_o[i] -= n * d[j];
        v_o[j] += n * d[i];
        v_d[j] += n * at[i] - v * ratio * sign_of(d[j]);
        v_d[i] -= n * at[j] + v * ratio * sign_of(d[i]);
    }
}

// Adds what the direction hears from v_log = dL / d ln(|d| / spread(d)).
DEVICE void length_backward(const SoftRay &r, const float *soft, float v_log, float *v_d) {
    const float d[3] = {r.ray.dx, r.ray.dy, r.ray.dz}, width = soft[SOFT_WIDTH];
    const float largest = fmaxf(fmaxf(fabsf(d[0]), fabsf(d[1])), fabsf(d[2])), most = 1.0f / largest;
    const float v_share = -v_log * soft[SOFT_ACROSS] * most / r.spread;
    float turned = 0.0f;
#pragma unroll
    for (int k = 0; k < 3; ++k) turned += share_slope(fabsf(d[k]) * most, width) * fabsf(d[k]) * most;
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        const float size = fabsf(d[k]), slope = size >= largest ? -turned : share_slope(size * most, width);
        v_d[k] += v_log * d[k] / (r.ray.length * r.ray.length) + v_share * slope * sign_of(d[k]);
    }
}

// Adds the gradients of a cover's alpha and z to v_terms [8] and, with POSED, to v_o, v_d [3] of the ray.
template <bool POSED>
DEVICE void cover_backward(
    const SoftRay &r, const Packet &p, const Cover &c, const float *soft, int samples, float v_alpha, float v_z,
    float *v_terms, float *v_o, float *v_d
) {
    const float chord = c.s.t_out - c.s.t_in, inverse = 1.0f / p.size;
    const float v_depth = c.solid < MAX_ALPHA ? v_alpha * c.covered * c.clear : 0.0f;
    const float v_sigma = v_depth * chord * r.scale;
    float v_in = 0.5f * v_z - v_depth * c.total * r.scale, v_out = 0.5f * v_z + v_depth * c.total * r.scale;
    for (int k = 0; k < samples; ++k) {
        const float share = (k + 0.5f) / samples, t = fmaf(chord, share, c.s.t_in);
        float free[3];
        const Sample q = soft_sample(r, c, p, t, free);
        const float v_raw = v_sigma * exp_linear_slope(q.raw, q.sigma);
        trilinear_backward(v_raw, q.x, q.y, q.z, v_terms);
        if (!POSED) continue;
        const float *f = p.terms;
        const float gx = v_raw * inverse * free[0] * fmaf(q.y, fmaf(q.z, f[7], f[6]), fmaf(q.z, f[5], f[4]));
        const float gy = v_raw * inverse * free[1] * fmaf(q.x, fmaf(q.z, f[7], f[6]), fmaf(q.z, f[3], f[2]));
        const float gz = v_raw * inverse * free[2] * fmaf(q.x, fmaf(q.y, f[7], f[5]), fmaf(q.y, f[3], f[1]));
        v_o[0] += gx;
        v_o[1] += gy;
        v_o[2] += gz;
        v_d[0] += gx * t;
        v_d[1] += gy * t;
        v_d[2] += gz * t;
        const float v_t = gx * r.ray.dx + gy * r.ray.dy + gz * r.ray.dz;
        v_in += v_t * (1.0f - share);
        v_out += v_t * share;
    }
    if (!POSED) return;
    if (c.miss > 0.0f)
        miss_backward(r, p, c, v_alpha * c.solid * c.covered * c.miss * -2.0f * soft[SOFT_FALL], v_o, v_d);
    length_backward(r, soft, v_depth * c.depth, v_d);
    const float wide = p.size * soft[SOFT_REACH], beyond = 0.5f * (wide - p.size);
    const float low[3] = {c.s.ax - beyond, c.s.ay - beyond, c.s.az - beyond};
    const float i[3] = {r.ray.ix, r.ray.iy, r.ray.iz};
    int enter = 0, leave = 0;  // the faces
    float latest = -1e30f, earliest = 1e30f;
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        const float t0 = low[k] * i[k], t1 = fmaf(i[k], wide, t0);
        if (fminf(t0, t1) > latest) {
            latest = fminf(t0, t1);
            enter = k;
        }
        if (fmaxf(t0, t1) < earliest) {
            earliest = fmaxf(t0, t1);
            leave = k;
        }
    }
    const bool by_face = c.s.t_in > r.ray.near;  // not by the near plane, which stays
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        if (by_face && k == enter) face_backward(v_in, c.s.t_in, i[k], v_o + k, v_d + k);
        if (k == leave) face_backward(v_out, c.s.t_out, i[k], v_o + k, v_d + k);
    }
}
