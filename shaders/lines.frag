#version 330 core
// SPDX-License-Identifier: MIT
// A soft-edged line, faint where the picture is nearer.

#include "occlusion.glsl"

uniform float u_width_px;
uniform float u_opacity;

in vec4 v_colour;
in float v_inverse_z;
in float v_across_px;
out vec4 f_colour;

void main() {
    float coverage = clamp(0.5 * u_width_px + 0.5 - abs(v_across_px), 0.0, 1.0);
    f_colour = vec4(v_colour.rgb, v_colour.a * u_opacity * coverage * visibility(1.0 / v_inverse_z));
}
