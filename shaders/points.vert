#version 330 core
// SPDX-License-Identifier: MIT
// A round point per vertex: of one size on the screen, or smaller with distance down to one pixel.

uniform mat4 u_clip_from_world;
uniform vec2 u_viewport;
uniform float u_width_px;   // diameter; of a shrinking point at distance 1
uniform float u_rim_px;
uniform float u_shrinks;    // 1: smaller with distance, 0: not

in vec3 in_place;
in vec4 in_colour;

out vec4 v_colour;
out float v_z;
out float v_radius_px;
out vec2 v_centre_px;

const float NEAR = 0.01;  // as in app/gl/overlays.py

void main() {
    vec4 clip = u_clip_from_world * vec4(in_place, 1.0);
    bool behind = clip.w < NEAR;
    float size = u_shrinks > 0.5 ? clamp(u_width_px / max(clip.w, NEAR), 1.5, 2.5 * u_width_px) : u_width_px;
    gl_Position = behind ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(clip.xy / clip.w, 0.0, 1.0);
    gl_PointSize = size + 2.0 * u_rim_px + 1.0;
    v_colour = in_colour;
    v_z = clip.w;
    v_radius_px = 0.5 * size;
    v_centre_px = (0.5 * gl_Position.xy + 0.5) * u_viewport;
}
