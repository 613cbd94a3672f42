#version 330 core
// SPDX-License-Identifier: MIT
// A disc with a soft rim, faint where the picture is nearer. gl_PointCoord needs a switch in some contexts, so it is unused.

#include "occlusion.glsl"
#include "rim.glsl"

uniform float u_opacity;

in vec4 v_colour;
in float v_z;
in float v_radius_px;
in vec2 v_centre_px;
out vec4 f_colour;

void main() {
    f_colour = edged(v_colour, v_radius_px - distance(gl_FragCoord.xy, v_centre_px));
    f_colour.a *= u_opacity * visibility(v_z);
    if (f_colour.a < 0.004) discard;
}
