// SPDX-License-Identifier: MIT
// Where a fragment of an overlay stands against the depth of the picture below it.

uniform sampler2D u_depth;  // depth along the camera's axis, infinite where nothing is
uniform vec2 u_viewport;    // width and height in pixels
uniform float u_hidden;     // share of the opacity that is left behind a surface

// 1 in front of the surface, u_hidden behind it. The slack of 1 % keeps lines that lie in a surface visible.
float visibility(float z) {
    float surface = texture(u_depth, gl_FragCoord.xy / u_viewport).r;
    return z > 1.01 * surface + 0.002 ? u_hidden : 1.0;
}
