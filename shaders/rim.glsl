// SPDX-License-Identifier: MIT
// Lines and points, or the dark rim under them: bright colours are seen on bright pictures, too. All rims of a layer are
// drawn before its lines, so that none lies over a line beside it.

uniform float u_rim_px;  // 0: what is drawn itself, else the rim of that width with all within

const vec3 RIM = vec3(0.08, 0.09, 0.11);

// `inside_px` is how far within the edge a pixel is, negative outside.
vec4 edged(vec4 colour, float inside_px) {
    float coverage = clamp(inside_px + u_rim_px + 0.5, 0.0, 1.0);
    return vec4(u_rim_px > 0.0 ? RIM : colour.rgb, colour.a * coverage);
}
