#version 330 core
// SPDX-License-Identifier: MIT
// A disc with a soft rim, faint where the picture is nearer. gl_PointCoord needs a switch in some contexts, so it is unused.

#include "occlusion.glsl"

uniform float u_opacity;

in vec4 v_colour;
in float v_z;
in float v_radius_px;
in vec2 v_centre_px;
out vec4 f_colour;

void main() {
    float coverage = clamp(v_radius_px + 0.5 - distance(gl_FragCoord.xy, v_centre_px), 0.0, 1.0);
    float alpha = v_colour.a * u_opacity * coverage * visibility(v_z);
    if (alpha < 0.004) discard;
    f_colour = vec4(v_colour.rgb, alpha);
}
