#version 330 core
// SPDX-License-Identifier: MIT
// One triangle that covers the target. v_uv is (0, 0) at the top left pixel: row 0 of every texture is the top.

out vec2 v_uv;

void main() {
    vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
    v_uv = corner;
    gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}
