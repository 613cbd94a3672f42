#version 330 core
// SPDX-License-Identifier: MIT
// A voxel edge: fades with distance, and goes where the picture is nearer.

#include "occlusion.glsl"

uniform float u_opacity;

in vec4 v_colour;
in float v_z;
out vec4 f_colour;

void main() {
    float alpha = v_colour.a * u_opacity * visibility(v_z);
    if (alpha < 0.004) discard;
    f_colour = vec4(v_colour.rgb, alpha);
}
