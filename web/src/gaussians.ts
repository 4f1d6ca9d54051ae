/** Gaussians carried by the rig's triangles, as `avatar/rig.py` and `avatar/gaussian.py` have it
 *  (GaussianAvatars; SuperHead Eq. 3, with the triangle's stretch since rest). */

import { toHalf, utils } from "@sparkjsdev/spark";
import { SH } from "./material";
import { type Payload, need } from "./payload";
import type { Rig } from "./rig";

const TINY = 1e-9, MOST_STRETCH = 8;
const TURNED = [-0.35, -0.1]; // cosines to the viewer between which a Gaussian fades away
const LEVELS = 8192;

const toLinear = (c: number) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
/** Display values of linear ones, as half floats. */
const DISPLAY = Uint16Array.from({ length: LEVELS + 1 }, (_, i) => {
  const c = i / LEVELS;
  return toHalf(c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
});

/** Spark's extended encoding, 4 + 4 words a splat: position and opacity; colour, log-scales and rotation. */
export interface Texels {
  first: Uint32Array;
  firstFloats: Float32Array; // the same memory
  second: Uint32Array;
}

export class CarriedGaussians {
  readonly count: number;
  private readonly corners: Uint32Array; // flat vertex of each corner, offset by its piece
  private readonly pieceOf: Uint8Array;
  private readonly position: Float32Array;
  private readonly q: Float32Array; // unit, wxyz
  private readonly axes: Float32Array; // its rotation, row-major
  private readonly logScale: Float32Array;
  private readonly opacity: Float32Array;
  private readonly albedo: Float32Array; // linear
  private readonly bary: Float32Array;
  private readonly rest: Float32Array; // length, along, height, size of each one's triangle
  private readonly light: Float32Array;

  static has(payload: Payload): boolean {
    return payload.arrays.has("gaussians.triangle");
  }

  /** `rig` must be at rest: no expression, head frame. */
  constructor({ arrays }: Payload, private readonly rig: Rig) {
    const triangle = need<Uint32Array>(arrays, "gaussians.triangle");
    const n = (this.count = triangle.length);
    this.position = need(arrays, "gaussians.position");
    this.logScale = need(arrays, "gaussians.log_scale");
    this.q = Float32Array.from(need<Float32Array>(arrays, "gaussians.quaternion"));
    this.opacity = need<Float32Array>(arrays, "gaussians.opacity").map((x) => 1 / (1 + Math.exp(-x)));
    this.albedo = need<Float32Array>(arrays, "gaussians.albedo").map((x) => toLinear(Math.max(0, x)));
    this.light = need<Float32Array>(arrays, "light").map((x, i) => x * SH[Math.floor(i / 3)]);
    this.corners = new Uint32Array(3 * n);
    this.pieceOf = new Uint8Array(n);
    this.axes = new Float32Array(9 * n);
    this.bary = new Float32Array(3 * n);
    this.rest = new Float32Array(4 * n);
    const starts = [0];
    for (const p of rig.pieces) starts.push(starts[starts.length - 1] + p.faces.length / 3);
    for (let i = 0; i < n; i++) {
      const piece = starts.findIndex((s, k) => triangle[i] >= s && triangle[i] < starts[k + 1]);
      this.pieceOf[i] = piece;
      const f = 3 * (triangle[i] - starts[piece]);
      for (let k = 0; k < 3; k++) this.corners[3 * i + k] = 3 * rig.pieces[piece].faces[f + k];
      this.prepare(i);
    }
  }

  private prepare(i: number): void {
    const q = this.q.subarray(4 * i, 4 * i + 4), s = 1 / Math.hypot(...q);
    q.forEach((x, k) => (q[k] = x * s));
    const [w, x, y, z] = q;
    this.axes.set([
      1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
      2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
      2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 9 * i);
    const t = this.frame(i);
    this.rest.set([t.length, t.along, t.height, t.size], 4 * i);
    const third = 1 / 3 - (this.position[3 * i + 2] * t.size) / t.height;
    const second = 1 / 3 + (this.position[3 * i] * t.size - t.along * (third - 1 / 3)) / t.length;
    const b = [1 - second - third, second, third].map((v) => Math.min(1, Math.max(0, v)));
    this.bary.set(b.map((v) => v / (b[0] + b[1] + b[2])), 3 * i);
  }

  private readonly found = {
    length: 0, along: 0, height: 0, size: 0, ox: 0, oy: 0, oz: 0, R: new Float64Array(9),
  };

  /** The frame of the triangle below a Gaussian: x along v0→v1, y the normal, z away from v2. */
  private frame(i: number): typeof this.found {
    const t = this.found, v = this.rig.pieces[this.pieceOf[i]].position, R = t.R;
    const a = this.corners[3 * i], b = this.corners[3 * i + 1], c = this.corners[3 * i + 2];
    const ex = v[b] - v[a], ey = v[b + 1] - v[a + 1], ez = v[b + 2] - v[a + 2];
    const fx = v[c] - v[a], fy = v[c + 1] - v[a + 1], fz = v[c + 2] - v[a + 2];
    t.length = Math.max(TINY, Math.sqrt(ex * ex + ey * ey + ez * ez));
    const x0 = ex / t.length, x1 = ey / t.length, x2 = ez / t.length;
    t.along = fx * x0 + fy * x1 + fz * x2;
    let z0 = t.along * x0 - fx, z1 = t.along * x1 - fy, z2 = t.along * x2 - fz;
    t.height = Math.max(TINY, Math.sqrt(z0 * z0 + z1 * z1 + z2 * z2));
    if (t.height <= TINY) [z0, z1, z2] = [x1 * 1 - x2 * 0, x2 * 0 - x0 * 1, 0];
    const zl = 1 / Math.max(TINY, Math.sqrt(z0 * z0 + z1 * z1 + z2 * z2));
    z0 *= zl; z1 *= zl; z2 *= zl;
    R[0] = x0; R[3] = x1; R[6] = x2;
    R[1] = z1 * x2 - z2 * x1; R[4] = z2 * x0 - z0 * x2; R[7] = z0 * x1 - z1 * x0;
    R[2] = z0; R[5] = z1; R[8] = z2;
    t.size = (t.length + t.height) / 2;
    t.ox = (v[a] + v[b] + v[c]) / 3; t.oy = (v[a + 1] + v[b + 1] + v[c + 1]) / 3; t.oz = (v[a + 2] + v[b + 2] + v[c + 2]) / 3;
    return t;
  }

  /** All Gaussians in the rig's present pose, lit, as seen from `eye`. */
  place(eye: { x: number; y: number; z: number }, { first, firstFloats, second }: Texels): void {
    const { position, axes, rest, q, turn, colour } = this, reach = this.reach;
    for (let i = 0; i < this.count; i++) {
      const t = this.frame(i), R = t.R, ratio = rest[4 * i + 3] / t.size, at = 4 * i;
      const fx = t.length / rest[4 * i], fz = t.height / rest[4 * i + 2];
      const xx = fx * ratio, zz = fz * ratio, xz = ((t.along - rest[4 * i + 1] * fx) / rest[4 * i + 2]) * ratio;
      const pz = position[3 * i + 2];
      const px = (xx * position[3 * i] - xz * pz) * t.size, py = position[3 * i + 1] * t.size, pw = zz * pz * t.size;
      const x = t.ox + R[0] * px + R[1] * py + R[2] * pw;
      const y = t.oy + R[3] * px + R[4] * py + R[5] * pw;
      const z = t.oz + R[6] * px + R[7] * py + R[8] * pw;
      const grown = Math.log(t.size);
      for (let k = 0; k < 3; k++) {
        const a = axes[9 * i + k], b = axes[9 * i + 3 + k], c = axes[9 * i + 6 + k], e = xx * a - xz * c, f = zz * c;
        const square = Math.min(MOST_STRETCH ** 2, Math.max(MOST_STRETCH ** -2, e * e + b * b + f * f));
        reach[k] = toHalf(this.logScale[3 * i + k] + grown + Math.log(square) / 2);
      }
      quaternionOf(R, turn);
      const w0 = turn[0], x0 = turn[1], y0 = turn[2], z0 = turn[3];
      const w1 = q[4 * i], x1 = q[4 * i + 1], y1 = q[4 * i + 2], z1 = q[4 * i + 3];
      const left = this.lit(i, eye.x - x, eye.y - y, eye.z - z);
      firstFloats[at] = x;
      firstFloats[at + 1] = y;
      firstFloats[at + 2] = z;
      first[at + 3] = toHalf(this.opacity[i] * left);
      second[at] = colour[0] | (colour[1] << 16);
      second[at + 1] = colour[2] | (reach[0] << 16);
      second[at + 2] = reach[1] | (reach[2] << 16);
      second[at + 3] = utils.encodeQuatOctXy1010R12(
        w0 * x1 + x0 * w1 + y0 * z1 - z0 * y1, w0 * y1 - x0 * z1 + y0 * w1 + z0 * x1,
        w0 * z1 + x0 * y1 - y0 * x1 + z0 * w1, w0 * w1 - x0 * x1 - y0 * y1 - z0 * z1,
      );
    }
  }

  private readonly colour = new Uint16Array(3);
  private readonly reach = new Uint16Array(3);
  private readonly turn = new Float64Array(4);

  /** Sets the display colour under the light; gives how much is left of what turns away from the viewer. */
  private lit(i: number, ex: number, ey: number, ez: number): number {
    const piece = this.rig.pieces[this.pieceOf[i]], out = this.colour, L = this.light;
    let nx = 0, ny = 0, nz = 0, open = 0;
    for (let k = 0; k < 3; k++) {
      const b = this.bary[3 * i + k], at = this.corners[3 * i + k];
      nx += b * piece.normal[at]; ny += b * piece.normal[at + 1]; nz += b * piece.normal[at + 2];
      open += this.pieceOf[i] ? b : b * this.rig.openness[at / 3];
    }
    const s = 1 / Math.max(1e-12, Math.sqrt(nx * nx + ny * ny + nz * nz));
    nx *= s; ny *= s; nz *= s;
    for (let k = 0; k < 3; k++) {
      const shade = L[k] + L[3 + k] * ny + L[6 + k] * nz + L[9 + k] * nx + L[12 + k] * nx * ny + L[15 + k] * ny * nz
        + L[18 + k] * (3 * nz * nz - 1) + L[21 + k] * nx * nz + L[24 + k] * (nx * nx - ny * ny);
      const value = this.albedo[3 * i + k] * Math.max(0, shade) * open;
      out[k] = DISPLAY[Math.round(Math.min(1, value) * LEVELS)];
    }
    const facing = (ex * nx + ey * ny + ez * nz) / Math.max(1e-12, Math.sqrt(ex * ex + ey * ey + ez * ez));
    return facing <= TURNED[0] ? 0 : Math.min(1, (facing - TURNED[0]) / (TURNED[1] - TURNED[0]));
  }
}

/** wxyz of a rotation (row-major). */
function quaternionOf(m: Float64Array, out: Float64Array): void {
  const trace = m[0] + m[4] + m[8];
  if (trace > 0) {
    const s = 2 * Math.sqrt(trace + 1);
    out[0] = s / 4; out[1] = (m[7] - m[5]) / s; out[2] = (m[2] - m[6]) / s; out[3] = (m[3] - m[1]) / s;
  } else if (m[0] > m[4] && m[0] > m[8]) {
    const s = 2 * Math.sqrt(1 + m[0] - m[4] - m[8]);
    out[0] = (m[7] - m[5]) / s; out[1] = s / 4; out[2] = (m[1] + m[3]) / s; out[3] = (m[2] + m[6]) / s;
  } else if (m[4] > m[8]) {
    const s = 2 * Math.sqrt(1 + m[4] - m[0] - m[8]);
    out[0] = (m[2] - m[6]) / s; out[1] = (m[1] + m[3]) / s; out[2] = s / 4; out[3] = (m[5] + m[7]) / s;
  } else {
    const s = 2 * Math.sqrt(1 + m[8] - m[0] - m[4]);
    out[0] = (m[3] - m[1]) / s; out[1] = (m[2] + m[6]) / s; out[2] = (m[5] + m[7]) / s; out[3] = s / 4;
  }
}
