/** The avatar's own rig: weights and pose to world vertices, normals and the light inside the mouth.
 *  The same steps as `HeadModel.forward`, `Shell.posed` and `mouth_occlusion`. */

import { Lids } from "./lids";
import { type Arrays, type Payload, need } from "./payload";
import { type Affine, affine, after, matrixFromAxisAngle } from "./rotation";
import { Names, combine, gazeFromLook } from "./weights";

const BOUNCE = 0.05; // share of the light that arrives by reflection however deep a point lies
const CLOSED = 4e-4; // metres of the gap: lips are never light-tight

export interface Pose {
  rotation: number[];
  translation: number[];
  neck: number[];
  jaw: number[];
}

/** A surface: the head, or a shell that only the joints move. */
export class Piece {
  readonly rest: Float32Array;
  readonly faces: Uint16Array | Uint32Array;
  readonly shares: Uint16Array;
  readonly position: Float32Array;
  readonly normal: Float32Array;
  constructor(readonly name: string, arrays: Map<string, Arrays>) {
    this.rest = need(arrays, `${name}.rest`);
    this.faces = need(arrays, `${name}.faces`);
    this.shares = need(arrays, `${name}.skin_weights`);
    this.position = new Float32Array(this.rest.length);
    this.normal = new Float32Array(this.rest.length);
  }
}

export class Rig {
  readonly names: Names;
  readonly pieces: Piece[];
  readonly openness: Float32Array; // of the head's vertices
  private readonly lids: Lids;
  private readonly joints: Float32Array;
  private readonly parents: number[];
  private readonly shape: { vertex: Uint16Array; moved: Int16Array; start: Int32Array; scale: Float32Array };
  private readonly inside: Uint8Array;
  private readonly corners: Uint16Array;
  private readonly bary: Float32Array;
  /** How far each side shows its shut lid's look, 0..1, and leaves its eye in the dark: see `avatar/lids.py`. */
  readonly shut: [number, number] = [0, 0];
  private readonly going: { blink: Float32Array; going: Float32Array; shaded: number } | null;
  private readonly eyes: Uint16Array[];
  private readonly unposed: Float32Array;

  constructor({ facts, arrays }: Payload) {
    this.names = new Names(facts.expressions);
    this.pieces = ["head", ...facts.shells.map((s) => `shell.${s.name}`)].map((n) => new Piece(n, arrays));
    this.lids = new Lids(arrays);
    this.joints = need(arrays, "head.joints");
    this.parents = facts.parents;
    this.shape = {
      vertex: need(arrays, "head.shape.vertex"), moved: need(arrays, "head.shape.moved"),
      start: need(arrays, "head.shape.start"), scale: need(arrays, "head.shape.scale"),
    };
    this.inside = need(arrays, "head.inside");
    this.corners = need(arrays, "head.mouth.corners");
    this.bary = need(arrays, "head.mouth.bary");
    this.going = arrays.has("lids.place")
      ? {
          blink: need(arrays, "lids.blink"), going: need(arrays, "lids.going"),
          shaded: need<Float32Array>(arrays, "lids.shaded")[0],
        }
      : null;
    this.eyes = this.going ? ["left", "right"].map((side) => need<Uint16Array>(arrays, `lids.eye.${side}`)) : [];
    this.openness = new Float32Array(this.inside.length).fill(1);
    this.unposed = new Float32Array(this.pieces[0].rest.length);
  }

  /** Poses everything. */
  update(weights: ArrayLike<number>, pose: Pose): void {
    const gaze = gazeFromLook(weights, this.names);
    const w = combine(weights, this.names);
    const v = this.unposed;
    v.set(this.pieces[0].rest);
    this.addShapes(v, w);
    const blinks: [number, number] = [w[this.names.at("eyeBlinkLeft")], w[this.names.at("eyeBlinkRight")]];
    this.lids.lay(v, this.joints.subarray(12, 18), gaze, blinks);
    const moving = this.transforms(pose, gaze), still = this.transforms(pose, [0, 0, 0, 0]);
    this.pieces.forEach((piece, i) => {
      skin(i ? piece.rest : v, piece.shares, i ? still : moving, piece.position);
      normals(piece);
    });
    this.lightMouth();
    this.shutLids(weights);
  }

  private shutLids(weights: ArrayLike<number>): void {
    if (!this.going) return;
    const { blink, going, shaded } = this.going;
    ["eyeBlinkLeft", "eyeBlinkRight"].forEach((name, side) => {
      const first = Math.min(0.9, Math.max(0, blink[side])), way = (weights[this.names.at(name)] - first) / (1 - first);
      const t = Math.min(1, Math.max(0, (way - going[0]) / (going[1] - going[0])));
      this.shut[side] = t * t * (3 - 2 * t);
      for (const i of this.eyes[side]) this.openness[i] = 1 - shaded * this.shut[side];
    });
  }

  private addShapes(v: Float32Array, w: Float32Array): void {
    const { vertex, moved, start, scale } = this.shape;
    for (let k = 0; k < w.length; k++) {
      const step = w[k] * scale[k];
      if (step === 0) continue;
      for (let i = start[k]; i < start[k + 1]; i++) {
        const at = 3 * vertex[i];
        v[at] += step * moved[3 * i];
        v[at + 1] += step * moved[3 * i + 1];
        v[at + 2] += step * moved[3 * i + 2];
      }
    }
  }

  /** What each joint does to points at rest, world pose included. */
  private transforms(pose: Pose, gaze: number[]): Affine[] {
    const half = pose.neck.map((x) => x / 2);
    const local = [[0, 0, 0], half, half, pose.jaw, [-gaze[1], gaze[0], 0], [-gaze[3], gaze[2], 0]];
    const world = affine(matrixFromAxisAngle(pose.rotation), pose.translation);
    const found: Affine[] = [];
    local.forEach((turn, j) => {
      const R = matrixFromAxisAngle(turn), c = this.joints.subarray(3 * j, 3 * j + 3);
      const t = [0, 1, 2].map((i) => c[i] - (R[3 * i] * c[0] + R[3 * i + 1] * c[1] + R[3 * i + 2] * c[2]));
      found.push(after(this.parents[j] < 0 ? world : found[this.parents[j]], affine(R, t)));
    });
    return found;
  }

  private point(i: number): number[] {
    const v = this.pieces[0].position, out = [0, 0, 0];
    for (let c = 0; c < 3; c++)
      for (let k = 0; k < 3; k++) out[k] += this.bary[3 * i + c] * v[3 * this.corners[3 * i + c] + k];
    return out;
  }

  /** Factor on the light inside the mouth: see `head/occlusion.py`. Points 0-7 inner lips, 8-9 brows, 10 chin. */
  private lightMouth(): void {
    const p = Array.from({ length: 11 }, (_, i) => this.point(i));
    const minus = (a: number[], b: number[]) => a.map((x, k) => x - b[k]);
    const length = (a: number[]) => Math.hypot(a[0], a[1], a[2]);
    const gap = (length(minus(p[1], p[7])) + length(minus(p[2], p[6])) + length(minus(p[3], p[5]))) / 3;
    const across = minus(p[4], p[0]), width = length(across);
    const up = minus(p[8].map((x, k) => (x + p[9][k]) / 2), p[10]);
    const high = gap + CLOSED;
    const out = [
      across[1] * up[2] - across[2] * up[1], across[2] * up[0] - across[0] * up[2], across[0] * up[1] - across[1] * up[0],
    ];
    const scale = 1 / Math.max(1e-12, length(out));
    const mean = (ids: number[]) => [0, 1, 2].map((k) => ids.reduce((s, i) => s + p[i][k], 0) / ids.length);
    const front = mean([1, 2, 3, 5, 6, 7]), side = mean([0, 4]), half = Math.max(1e-9, (width * width) / 2);
    const ahead = (a: number[]) => (a[0] * out[0] + a[1] * out[1] + a[2] * out[2]) * scale;
    const recession = Math.max(0, ahead(minus(front, side)));
    const v = this.pieces[0].position;
    for (let i = 0; i < this.inside.length; i++) {
      if (!this.inside[i]) continue;
      const q = [v[3 * i], v[3 * i + 1], v[3 * i + 2]], off = minus(q, side);
      const lateral = Math.min(1, Math.max(-1, (off[0] * across[0] + off[1] * across[1] + off[2] * across[2]) / half));
      const depth = Math.max(0, ahead(minus(front, q)) - recession * lateral * lateral);
      const far = 4 * depth * depth;
      this.openness[i] = BOUNCE + ((1 - BOUNCE) * high * width) / Math.sqrt((high * high + far) * (width * width + far));
    }
  }
}

/** Linear blend skinning. */
function skin(v: Float32Array, shares: Uint16Array, joints: Affine[], out: Float32Array): void {
  const J = joints.length, M = new Float64Array(12);
  for (let i = 0, n = v.length / 3; i < n; i++) {
    M.fill(0);
    let sum = 0;
    for (let j = 0; j < J; j++) {
      const w = shares[i * J + j];
      if (w === 0) continue;
      sum += w;
      const A = joints[j];
      for (let k = 0; k < 12; k++) M[k] += w * A[k];
    }
    const x = v[3 * i], y = v[3 * i + 1], z = v[3 * i + 2], s = 1 / sum;
    out[3 * i] = (M[0] * x + M[1] * y + M[2] * z + M[3]) * s;
    out[3 * i + 1] = (M[4] * x + M[5] * y + M[6] * z + M[7]) * s;
    out[3 * i + 2] = (M[8] * x + M[9] * y + M[10] * z + M[11]) * s;
  }
}

/** Unit normals, area weighted. */
function normals({ position: v, normal: n, faces }: Piece): void {
  n.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const ux = v[b] - v[a], uy = v[b + 1] - v[a + 1], uz = v[b + 2] - v[a + 2];
    const wx = v[c] - v[a], wy = v[c + 1] - v[a + 1], wz = v[c + 2] - v[a + 2];
    const x = uy * wz - uz * wy, y = uz * wx - ux * wz, z = ux * wy - uy * wx;
    n[a] += x; n[a + 1] += y; n[a + 2] += z;
    n[b] += x; n[b + 1] += y; n[b + 2] += z;
    n[c] += x; n[c + 1] += y; n[c + 2] += z;
  }
  for (let i = 0; i < n.length; i += 3) {
    const s = 1 / Math.max(1e-12, Math.sqrt(n[i] * n[i] + n[i + 1] * n[i + 1] + n[i + 2] * n[i + 2]));
    n[i] *= s; n[i + 1] *= s; n[i + 2] *= s;
  }
}
