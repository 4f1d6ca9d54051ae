/** The look of our renderer: albedo under harmonic light in linear colour, sharp (Catmull-Rom) texture lookup. */

import * as THREE from "three";

/** Irradiance harmonics of order 2: see `render/shading.py`. Shared with the Gaussians' shading on the CPU. */
const C0 = 0.28209479177387814, C1 = 0.4886025119029199, C2 = 1.0925484305920792;
export const SH = [C0, C1, C1, C1, C2, C2, C2 / (2 * Math.sqrt(3)), C2, C2 / 2];

const VERTEX = /* glsl */ `
invariant gl_Position;
in float openness;
centroid out vec2 at;
centroid out vec3 n;
centroid out float open;
void main() {
  at = uv; n = normal; open = openness;
  gl_Position = projectionMatrix * viewMatrix * vec4(position, 1.0);
}`;

const FRAGMENT = /* glsl */ `
precision highp float;
uniform sampler2D colour;
uniform sampler2D coverage;
uniform bool seeThrough;
uniform sampler2D lidLeft;
uniform sampler2D lidRight;
uniform vec4 place[2]; // of the shut lids in the texture: x, y, width, height
uniform vec2 shut;
uniform vec3 light[9]; // constants of the basis multiplied in
centroid in vec2 at;
centroid in vec3 n;
centroid in float open;
out vec4 picture;

vec4 cubic(float t) {
  float t2 = t * t, t3 = t2 * t;
  return vec4(2.0 * t2 - t3 - t, 3.0 * t3 - 5.0 * t2 + 2.0, 4.0 * t2 - 3.0 * t3 + t, t3 - t2) * 0.5;
}
vec3 lookup(sampler2D map, int level) {
  ivec2 size = textureSize(map, level);
  vec2 p = at * vec2(size) - 0.5;
  vec2 start = floor(p);
  vec4 wx = cubic(p.x - start.x), wy = cubic(p.y - start.y);
  vec3 sum = vec3(0.0);
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 4; i++) {
      ivec2 q = clamp(ivec2(start) + ivec2(i - 1, j - 1), ivec2(0), size - 1);
      sum += wx[i] * wy[j] * texelFetch(map, q, level).rgb;
    }
  return sum;
}
vec3 filtered(sampler2D map) {
  vec2 size = vec2(textureSize(map, 0));
  vec2 dx = dFdx(at) * size, dy = dFdy(at) * size;
  float lod = max(0.0, 0.5 * log2(max(1e-12, abs(dx.x * dy.y - dx.y * dy.x))) - 1.0);
  lod = min(lod, max(0.0, log2(min(size.x, size.y)) - 3.0));
  vec3 found = lookup(map, int(lod));
  float part = fract(lod);
  return clamp(part > 0.0 ? mix(found, lookup(map, int(lod) + 1), part) : found, 0.0, 1.0);
}
vec3 under(vec3 open, sampler2D lid, vec4 where, float share, vec2 dx, vec2 dy) {
  vec2 q = (at - where.xy) / where.zw;
  if (share == 0.0 || q.x < 0.0 || q.y < 0.0 || q.x > 1.0 || q.y > 1.0) return open;
  return mix(open, textureGrad(lid, q, dx / where.zw, dy / where.zw).rgb, share);
}
vec3 linear(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 display(vec3 c) {
  return mix(c * 12.92, 1.055 * pow(max(c, vec3(1e-9)), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
}
void main() {
  vec3 m = normalize(n);
  vec3 shade = light[0] + light[1] * m.y + light[2] * m.z + light[3] * m.x + light[4] * (m.x * m.y)
    + light[5] * (m.y * m.z) + light[6] * (3.0 * m.z * m.z - 1.0) + light[7] * (m.x * m.z)
    + light[8] * (m.x * m.x - m.y * m.y);
  vec2 dx = dFdx(at), dy = dFdy(at);
  vec3 albedo = under(filtered(colour), lidLeft, place[0], shut.x, dx, dy);
  albedo = under(albedo, lidRight, place[1], shut.y, dx, dy);
  vec3 rgb = display(clamp(linear(albedo) * max(shade, 0.0) * open, 0.0, 1.0));
  float alpha = seeThrough ? filtered(coverage).r : 1.0;
  picture = vec4(rgb * alpha, alpha);
}`;

/** What shut lids look like, left and right, and where in the texture (see `avatar/lids.py`). */
export interface ShutLids {
  textures: THREE.Texture[];
  place: THREE.Vector4[];
}

export function skinMaterial(
  colour: THREE.Texture, coverage: THREE.Texture | null, light: Float32Array, lids: ShutLids | null,
): THREE.ShaderMaterial {
  const scaled = SH.map((c, i) => new THREE.Vector3(...light.subarray(3 * i, 3 * i + 3)).multiplyScalar(c));
  return new THREE.ShaderMaterial({
    glslVersion: THREE.GLSL3, vertexShader: VERTEX, fragmentShader: FRAGMENT, side: THREE.DoubleSide,
    uniforms: {
      colour: { value: colour }, coverage: { value: coverage ?? colour },
      seeThrough: { value: coverage !== null }, light: { value: scaled }, shut: { value: new THREE.Vector2() },
      lidLeft: { value: lids?.textures[0] ?? colour }, lidRight: { value: lids?.textures[1] ?? colour },
      place: { value: lids?.place ?? [new THREE.Vector4(0, 0, 1, 1), new THREE.Vector4(0, 0, 1, 1)] },
    },
    transparent: coverage !== null, premultipliedAlpha: true, depthFunc: THREE.LessEqualDepth,
  });
}

/** Depth alone, by the same vertex shader: `invariant` holds between programs only for the same sums. */
export function depthMaterial(): THREE.ShaderMaterial {
  return new THREE.ShaderMaterial({
    glslVersion: THREE.GLSL3, vertexShader: VERTEX, side: THREE.DoubleSide, colorWrite: false,
    fragmentShader: "precision highp float; out vec4 picture; void main() { picture = vec4(0.0); }",
  });
}

/** A texture whose values reach the shader as they are in the file. */
export async function textureOf(bytes: Uint8Array, kind: string): Promise<THREE.Texture> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: kind });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const texture = new THREE.Texture(bitmap);
  texture.flipY = false;
  texture.colorSpace = THREE.NoColorSpace;
  texture.minFilter = THREE.LinearMipmapLinearFilter;
  texture.generateMipmaps = true;
  texture.needsUpdate = true;
  return texture;
}
