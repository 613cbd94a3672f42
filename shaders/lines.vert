#version 330 core
// SPDX-License-Identifier: MIT
// A line segment per instance, widened to a rectangle on the screen with a soft rim of one pixel.

uniform mat4 u_clip_from_world;
uniform vec2 u_viewport;
uniform float u_width_px;
uniform float u_rim_px;

in vec3 in_a;
in vec3 in_b;
in vec4 in_colour;

out vec4 v_colour;
out float v_inverse_z;  // 1 / depth is what is linear on the screen
out float v_across_px;  // signed distance from the middle of the line

const float NEAR = 0.01;  // as in app/gl/overlays.py

void main() {
    vec4 a = u_clip_from_world * vec4(in_a, 1.0);
    vec4 b = u_clip_from_world * vec4(in_b, 1.0);
    if (a.w < NEAR && b.w < NEAR) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        v_colour = vec4(0.0);
        v_inverse_z = 1.0;
        v_across_px = 0.0;
        return;
    }
    if (a.w < NEAR) a = mix(a, b, (NEAR - a.w) / (b.w - a.w));
    if (b.w < NEAR) b = mix(b, a, (NEAR - b.w) / (a.w - b.w));

    vec2 half_size = 0.5 * u_viewport;
    vec2 from = a.xy / a.w * half_size;
    vec2 to = b.xy / b.w * half_size;
    vec2 along = to - from;
    float span = length(along);
    along = span > 1e-4 ? along / span : vec2(1.0, 0.0);
    vec2 across = vec2(-along.y, along.x);

    bool at_end = (gl_VertexID & 1) == 1;
    float side = (gl_VertexID & 2) == 2 ? 1.0 : -1.0;
    float reach = 0.5 * u_width_px + u_rim_px + 1.0;
    vec2 pixel = (at_end ? to + u_rim_px * along : from - u_rim_px * along) + side * reach * across;
    gl_Position = vec4(pixel / half_size, 0.0, 1.0);
    v_inverse_z = 1.0 / (at_end ? b.w : a.w);
    v_across_px = side * reach;
    v_colour = in_colour;
}
