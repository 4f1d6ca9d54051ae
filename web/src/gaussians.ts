/** Gaussians carried by the rig's triangles, as `avatar/rig.py` and `avatar/gaussian.py` have it
 *  (GaussianAvatars; SuperHead Eq. 3, with the triangle's stretch since rest). */

import { toHalf, utils } from "@sparkjsdev/spark";
import { SH } from "./material";
import { type Payload, need } from "./payload";
import type { Rig } from "./rig";
import { FRAME, Triangles } from "./triangles";

const MOST_STRETCH = 8;
const ALIKE = 1e-4; // stretch that counts as none
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
  /** Whether the last `place` changed anything but opacities. */
  reshaped = true;
  private readonly triangles: Triangles;
  private readonly start: Uint32Array; // Gaussians of triangle t: from start[t] to start[t + 1]
  private readonly position: Float32Array;
  private readonly q: Float32Array; // unit, wxyz
  private readonly axes: Float32Array; // its rotation, row-major
  private readonly logScale: Float32Array;
  private readonly opacity: Float32Array;
  private readonly albedo: Float32Array; // linear
  /** Gaussians on lids: which, on which side, and display values open and shut. */
  private readonly lids: { at: Uint32Array; side: Uint8Array; open: Float32Array; bare: Float32Array } | null = null;
  private readonly shut = [0, 0];
  private readonly bary: Float32Array;
  private readonly normal: Float32Array; // of the surface below, in the present pose
  private readonly rest: Float64Array; // the triangles' frames at rest
  private readonly light: Float32Array;
  private readonly seen = { x: NaN, y: NaN, z: NaN };
  private placed = false;

  static has(payload: Payload): boolean {
    return payload.arrays.has("gaussians.triangle");
  }

  /** `rig` must be at rest: no expression, head frame. */
  constructor({ arrays }: Payload, private readonly rig: Rig) {
    const triangle = need<Uint32Array>(arrays, "gaussians.triangle"), n = (this.count = triangle.length);
    const order = Uint32Array.from(triangle, (_, i) => i).sort((a, b) => triangle[a] - triangle[b] || a - b);
    const used: number[] = [], start: number[] = [];
    order.forEach((g, i) => {
      if (used.length && used[used.length - 1] === triangle[g]) return;
      used.push(triangle[g]);
      start.push(i);
    });
    this.start = Uint32Array.from([...start, n]);
    const sorted = (name: string, size: number) => {
      const given = need<Float32Array>(arrays, `gaussians.${name}`), out = new Float32Array(n * size);
      order.forEach((g, i) => out.set(given.subarray(g * size, g * size + size), i * size));
      return out;
    };
    this.position = sorted("position", 3);
    this.logScale = sorted("log_scale", 3);
    this.q = sorted("quaternion", 4);
    this.opacity = sorted("opacity", 1).map((x) => 1 / (1 + Math.exp(-x)));
    const albedo = sorted("albedo", 3);
    this.albedo = albedo.map((x) => toLinear(Math.max(0, x)));
    if (arrays.has("lids.index")) {
      const place = new Uint32Array(n), side = need<Uint8Array>(arrays, "lids.side");
      order.forEach((g, i) => (place[g] = i));
      const at = Uint32Array.from(need<Uint32Array>(arrays, "lids.index"), (g) => place[g]);
      const open = new Float32Array(3 * at.length);
      at.forEach((i, k) => open.set(albedo.subarray(3 * i, 3 * i + 3), 3 * k));
      this.lids = { at, side, open, bare: need(arrays, "lids.albedo") };
    }
    this.light = need<Float32Array>(arrays, "light").map((x, i) => x * SH[Math.floor(i / 3)]);
    this.axes = new Float32Array(9 * n);
    this.bary = new Float32Array(3 * n);
    this.normal = new Float32Array(3 * n);
    this.triangles = new Triangles(rig, used);
    this.rest = this.triangles.frame.slice();
    for (let t = 0; t < used.length; t++) for (let i = this.start[t]; i < this.start[t + 1]; i++) this.prepare(i, FRAME * t);
  }

  private prepare(i: number, frame: number): void {
    const q = this.q.subarray(4 * i, 4 * i + 4), s = 1 / Math.hypot(...q);
    q.forEach((x, k) => (q[k] = x * s));
    const [w, x, y, z] = q;
    this.axes.set([
      1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
      2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
      2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 9 * i);
    const [length, along, height, size] = this.rest.subarray(frame + 12, frame + 16);
    const third = 1 / 3 - (this.position[3 * i + 2] * size) / height;
    const second = 1 / 3 + (this.position[3 * i] * size - along * (third - 1 / 3)) / length;
    const b = [1 - second - third, second, third].map((v) => Math.min(1, Math.max(0, v)));
    this.bary.set(b.map((v) => v / (b[0] + b[1] + b[2])), 3 * i);
  }

  /** All Gaussians in the rig's present pose, lit, as seen from `eye`; what did not change stays as it is. */
  place(eye: { x: number; y: number; z: number }, texels: Texels): void {
    const { triangles, start, seen } = this;
    triangles.refresh();
    this.blink();
    const turned = seen.x !== eye.x || seen.y !== eye.y || seen.z !== eye.z;
    Object.assign(seen, { x: eye.x, y: eye.y, z: eye.z });
    this.reshaped = !this.placed;
    for (let t = 0; t < triangles.count; t++) {
      if (triangles.moved[t] || !this.placed) {
        this.carry(t, texels);
        this.reshaped = true;
      } else if (!turned) continue;
      for (let i = start[t]; i < start[t + 1]; i++) this.fade(i, texels);
    }
    this.placed = true;
  }

  /** Colours of lids as far shut as the rig's: see `GaussianAvatar.albedo_in`. */
  private blink(): void {
    const { lids, shut, albedo } = this, now = this.rig.shut;
    if (!lids || (shut[0] === now[0] && shut[1] === now[1])) return;
    [shut[0], shut[1]] = now;
    lids.at.forEach((i, k) => {
      for (let c = 3 * k; c < 3 * k + 3; c++) {
        const mixed = lids.open[c] + shut[lids.side[k]] * (lids.bare[c] - lids.open[c]);
        albedo[3 * i + c - 3 * k] = toLinear(Math.max(0, mixed));
      }
    });
  }

  /** The Gaussians of a triangle: place, reach, direction, light. */
  private carry(t: number, { firstFloats, second }: Texels): void {
    const { position, axes, q, turn, colour, logScale, reach, rest } = this, F = this.triangles.frame, o = FRAME * t;
    const size = F[o + 15], ratio = rest[o + 15] / size, grown = Math.log(size);
    const fx = F[o + 12] / rest[o + 12], fz = F[o + 14] / rest[o + 14];
    const xx = fx * ratio, zz = fz * ratio, xz = ((F[o + 13] - rest[o + 13] * fx) / rest[o + 14]) * ratio;
    const same = Math.abs(xx - 1) < ALIKE && Math.abs(zz - 1) < ALIKE && Math.abs(xz) < ALIKE;
    quaternionOf(F, o, turn);
    const w0 = turn[0], x0 = turn[1], y0 = turn[2], z0 = turn[3];
    for (let i = this.start[t]; i < this.start[t + 1]; i++) {
      const at = 4 * i, pz = position[3 * i + 2];
      const px = (xx * position[3 * i] - xz * pz) * size, py = position[3 * i + 1] * size, pw = zz * pz * size;
      firstFloats[at] = F[o + 9] + F[o] * px + F[o + 1] * py + F[o + 2] * pw;
      firstFloats[at + 1] = F[o + 10] + F[o + 3] * px + F[o + 4] * py + F[o + 5] * pw;
      firstFloats[at + 2] = F[o + 11] + F[o + 6] * px + F[o + 7] * py + F[o + 8] * pw;
      for (let k = 0; k < 3; k++) {
        let more = 0; // a rotation's axes keep their length
        if (!same) {
          const a = axes[9 * i + k], b = axes[9 * i + 3 + k], c = axes[9 * i + 6 + k], e = xx * a - xz * c, f = zz * c;
          more = Math.log(Math.min(MOST_STRETCH ** 2, Math.max(MOST_STRETCH ** -2, e * e + b * b + f * f))) / 2;
        }
        reach[k] = toHalf(logScale[3 * i + k] + grown + more);
      }
      this.lit(i, t);
      const w1 = q[at], x1 = q[at + 1], y1 = q[at + 2], z1 = q[at + 3];
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

  /** Sets the display colour under the light, and the normal of the surface below. */
  private lit(i: number, t: number): void {
    const { triangles, bary, normal, colour: out, light: L } = this, which = triangles.pieceOf[t];
    const from = this.rig.pieces[which].normal, openness = this.rig.openness, corners = triangles.corners;
    let nx = 0, ny = 0, nz = 0, open = 0;
    for (let k = 0; k < 3; k++) {
      const b = bary[3 * i + k], at = corners[3 * t + k];
      nx += b * from[at]; ny += b * from[at + 1]; nz += b * from[at + 2];
      open += which ? b : b * openness[at / 3];
    }
    const s = 1 / Math.max(1e-12, Math.sqrt(nx * nx + ny * ny + nz * nz));
    normal[3 * i] = nx *= s; normal[3 * i + 1] = ny *= s; normal[3 * i + 2] = nz *= s;
    const xy = nx * ny, yz = ny * nz, zz = 3 * nz * nz - 1, xz = nx * nz, dd = nx * nx - ny * ny;
    for (let k = 0; k < 3; k++) {
      const shade = L[k] + L[3 + k] * ny + L[6 + k] * nz + L[9 + k] * nx + L[12 + k] * xy + L[15 + k] * yz
        + L[18 + k] * zz + L[21 + k] * xz + L[24 + k] * dd;
      const value = this.albedo[3 * i + k] * Math.max(0, shade) * open;
      out[k] = DISPLAY[Math.round(Math.min(1, value) * LEVELS)];
    }
  }

  /** The opacity: what turns away from the viewer fades. */
  private fade(i: number, { first, firstFloats: p }: Texels): void {
    const { normal: n, seen } = this, x = seen.x - p[4 * i], y = seen.y - p[4 * i + 1], z = seen.z - p[4 * i + 2];
    const facing = (x * n[3 * i] + y * n[3 * i + 1] + z * n[3 * i + 2]) / Math.max(1e-12, Math.sqrt(x * x + y * y + z * z));
    const left = facing <= TURNED[0] ? 0 : Math.min(1, (facing - TURNED[0]) / (TURNED[1] - TURNED[0]));
    first[4 * i + 3] = toHalf(this.opacity[i] * left);
  }
}

/** wxyz of a rotation (row-major, nine numbers from `o` on). */
function quaternionOf(M: Float64Array, o: number, out: Float64Array): void {
  const m = M.subarray(o, o + 9), trace = m[0] + m[4] + m[8];
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
