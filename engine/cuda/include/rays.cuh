// SPDX-License-Identifier: MIT
// The camera as kernels read it, the ray of a pixel, and where it crosses a box.
//
// Rays are p(t) = position + offset + t * dir with dir's camera-z component 1, so t is z-depth and the near plane is
// t = near. The camera's position comes in two float32 parts an axis: what is near it stays exact far from the origin.
#pragma once
#include "math.cuh"

// Layout of the view array, float32 [VIEW_SIZE]; engine/cuda/view.py fills it.
enum View {
    VIEW_ROT = 0,  // rows of the rotation of cam_from_world
    VIEW_POS = 9,
    VIEW_POS_LOW = 12,  // what float32 leaves of the position
    VIEW_FX = 15,
    VIEW_FY,
    VIEW_CX,
    VIEW_CY,
    VIEW_WIDTH,
    VIEW_HEIGHT,
    VIEW_NEAR,
    VIEW_ORTHO,
    VIEW_SIZE = 24
};

struct Ray {
    float dx, dy, dz;     // direction
    float ix, iy, iz;     // its inverse
    float ox, oy, oz;     // origin relative to the camera's position; 0 unless orthographic
    float length;         // of the direction: world units per unit of t
    float near;
};

DEVICE float guarded_inverse(float d) {
    const float tiny = 1e-9f;  // a ray parallel to a face gets this slope: no NaN from 0 * inf, and no pixel can tell
    return 1.0f / (fabsf(d) < tiny ? tiny : d);
}

DEVICE Ray ray_of_pixel(const float *view, int x, int y) {
    const float u = (x + 0.5f - view[VIEW_CX]) / view[VIEW_FX];
    const float v = (y + 0.5f - view[VIEW_CY]) / view[VIEW_FY];
    const float sx = fmaf(u, view[0], v * view[3]);
    const float sy = fmaf(u, view[1], v * view[4]);
    const float sz = fmaf(u, view[2], v * view[5]);
    const bool ortho = view[VIEW_ORTHO] > 0.5f;
    Ray ray;
    ray.dx = ortho ? view[6] : sx + view[6];
    ray.dy = ortho ? view[7] : sy + view[7];
    ray.dz = ortho ? view[8] : sz + view[8];
    ray.ox = ortho ? sx : 0.0f;
    ray.oy = ortho ? sy : 0.0f;
    ray.oz = ortho ? sz : 0.0f;
    ray.ix = guarded_inverse(ray.dx);
    ray.iy = guarded_inverse(ray.dy);
    ray.iz = guarded_inverse(ray.dz);
    ray.length = sqrtf(fmaf(ray.dx, ray.dx, fmaf(ray.dy, ray.dy, ray.dz * ray.dz)));
    ray.near = view[VIEW_NEAR];
    return ray;
}

// Where a ray runs inside a box: t_in is clamped to the near plane, a miss has t_out <= t_in.
struct Segment {
    float ax, ay, az;  // the box's low corner relative to the ray's origin
    float t_in, t_out;
};

DEVICE Segment segment_of_box(const Ray &ray, float low_x, float low_y, float low_z, float size) {
    Segment s;
    s.ax = low_x - ray.ox;
    s.ay = low_y - ray.oy;
    s.az = low_z - ray.oz;
    const float x0 = s.ax * ray.ix, x1 = fmaf(ray.ix, size, x0);
    const float y0 = s.ay * ray.iy, y1 = fmaf(ray.iy, size, y0);
    const float z0 = s.az * ray.iz, z1 = fmaf(ray.iz, size, z0);
    s.t_in = fmaxf(fmaxf(fminf(x0, x1), fminf(y0, y1)), fmaxf(fminf(z0, z1), ray.near));
    s.t_out = fminf(fminf(fmaxf(x0, x1), fmaxf(y0, y1)), fmaxf(z0, z1));
    return s;
}

// The point at t in the box's own coordinates, each in [0, 1].
DEVICE void cell_position(const Ray &ray, const Segment &s, float inverse_size, float t, float *x, float *y, float *z) {
    *x = fmaf(t, ray.dx, -s.ax) * inverse_size;
    *y = fmaf(t, ray.dy, -s.ay) * inverse_size;
    *z = fmaf(t, ray.dz, -s.az) * inverse_size;
}

// The direction from the camera to a point given relative to it; the common one of an orthographic camera.
DEVICE void direction_to(const float *view, float x, float y, float z, float *direction) {
    const bool ortho = view[VIEW_ORTHO] > 0.5f;
    const float square = fmaf(x, x, fmaf(y, y, z * z));
    const float scale = 1.0f / sqrtf(fmaxf(square, 1e-24f));  // a camera at the very centre: no NaN
    direction[0] = ortho ? view[6] : x * scale;
    direction[1] = ortho ? view[7] : y * scale;
    direction[2] = ortho ? view[8] : z * scale;
}
