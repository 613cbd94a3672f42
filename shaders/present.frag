#version 330 core
// SPDX-License-Identifier: MIT
// The rendered frame, scaled to the viewport. With PHOTO: the photo left of a vertical line. With SMOOTH: enlarged with a
// bicubic filter instead of a linear one. Variants, not branches: a CPU that draws OpenGL pays for both sides of a branch.

uniform sampler2D u_frame;
#ifdef PHOTO
uniform sampler2D u_photo;
uniform vec4 u_photo_rect;    // x, y, width, height as shares of the viewport
uniform float u_photo_until;  // the photo is shown left of this share of the width
#endif

in vec2 v_uv;
out vec4 f_colour;

#ifdef SMOOTH
// Catmull-Rom in nine linear reads: the middle two weights of each axis are one read between their texels.
vec3 bicubic(sampler2D image, vec2 uv) {
    vec2 size = vec2(textureSize(image, 0));
    vec2 position = uv * size;
    vec2 centre = floor(position - 0.5) + 0.5;
    vec2 t = position - centre;
    vec2 w0 = t * (-0.5 + t * (1.0 - 0.5 * t));
    vec2 w1 = 1.0 + t * t * (-2.5 + 1.5 * t);
    vec2 w2 = t * (0.5 + t * (2.0 - 1.5 * t));
    vec2 w3 = t * t * (-0.5 + 0.5 * t);
    vec2 w12 = w1 + w2;
    vec2 p0 = (centre - 1.0) / size;
    vec2 p3 = (centre + 2.0) / size;
    vec2 p12 = (centre + w2 / w12) / size;
    vec3 sum = texture(image, vec2(p0.x, p0.y)).rgb * w0.x * w0.y
             + texture(image, vec2(p12.x, p0.y)).rgb * w12.x * w0.y
             + texture(image, vec2(p3.x, p0.y)).rgb * w3.x * w0.y
             + texture(image, vec2(p0.x, p12.y)).rgb * w0.x * w12.y
             + texture(image, vec2(p12.x, p12.y)).rgb * w12.x * w12.y
             + texture(image, vec2(p3.x, p12.y)).rgb * w3.x * w12.y
             + texture(image, vec2(p0.x, p3.y)).rgb * w0.x * w3.y
             + texture(image, vec2(p12.x, p3.y)).rgb * w12.x * w3.y
             + texture(image, vec2(p3.x, p3.y)).rgb * w3.x * w3.y;
    return clamp(sum, 0.0, 1.0);
}
#endif

void main() {
#ifdef SMOOTH
    vec3 colour = bicubic(u_frame, v_uv);
#else
    vec3 colour = texture(u_frame, v_uv).rgb;
#endif
#ifdef PHOTO
    vec2 photo_uv = (v_uv - u_photo_rect.xy) / u_photo_rect.zw;
    bool inside = all(greaterThanEqual(photo_uv, vec2(0.0))) && all(lessThanEqual(photo_uv, vec2(1.0)));
    if (v_uv.x < u_photo_until && inside) {
        colour = texture(u_photo, photo_uv).rgb;
    }
#endif
    f_colour = vec4(colour, 1.0);
}
