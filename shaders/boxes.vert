#version 330 core
// SPDX-License-Identifier: MIT
// The 12 edges of a cube per instance, as 24 ends of thin lines. An edge joins two corners that differ in one bit.

uniform mat4 u_clip_from_world;

in vec4 in_box;  // centre and edge length
in vec4 in_colour;

out vec4 v_colour;
out float v_z;

const int CORNERS[24] = int[](0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 1, 3, 4, 6, 5, 7, 0, 4, 1, 5, 2, 6, 3, 7);

void main() {
    int corner = CORNERS[gl_VertexID];
    vec3 offset = vec3((corner >> 2) & 1, (corner >> 1) & 1, corner & 1) - 0.5;
    gl_Position = u_clip_from_world * vec4(in_box.xyz + in_box.w * offset, 1.0);
    v_z = gl_Position.w;
    v_colour = in_colour;
}
