#version 330 core
// SPDX-License-Identifier: MIT
// A soft-edged line, faint where the picture is nearer.

#include "occlusion.glsl"
#include "rim.glsl"

uniform float u_width_px;
uniform float u_opacity;

in vec4 v_colour;
in float v_inverse_z;
in float v_across_px;
out vec4 f_colour;

void main() {
    f_colour = edged(v_colour, 0.5 * u_width_px - abs(v_across_px));
    f_colour.a *= u_opacity * visibility(1.0 / v_inverse_z);
}
