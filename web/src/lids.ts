/** Lids that rest on the eyeball: see `head/lids.py`. */

import { type Arrays, need } from "./payload";

const CONTACT = 0.0006; // metres
const SOFT = 0.0001;

const hinge = (x: number) => 0.5 * (x + Math.sqrt(x * x + SOFT * SOFT));

export class Lids {
  private readonly index: Uint16Array;
  private readonly rim: Uint16Array;
  private readonly partner: Float32Array;
  private readonly share: Float32Array;
  private readonly spread: Float32Array;
  private readonly profile: Float32Array;
  private readonly clearance: Float32Array;
  private readonly growth: Float32Array;
  private readonly blink: Float32Array;
  private readonly count: number; // vertices of one eye's lids
  private readonly own: number; // 1 where each side has weights of its own, 0 where they are shared
  private readonly edge: Float64Array;
  private readonly full: Float64Array;
  private readonly move: Float64Array;

  constructor(arrays: Map<string, Arrays>) {
    const get = <T extends Arrays>(k: string) => need<T>(arrays, `head.lid.${k}`);
    this.index = get("index");
    this.rim = get("rim");
    this.partner = get("partner");
    this.share = get("share");
    this.spread = get("spread");
    this.profile = get("profile");
    this.clearance = get("clearance");
    this.growth = get("growth");
    this.blink = get("blink");
    const c = this.rim.length;
    this.count = this.index.length / 2;
    this.own = this.share.length > c ? 1 : 0;
    this.edge = new Float64Array(3 * c);
    this.full = new Float64Array(3 * c);
    this.move = new Float64Array(3 * c);
  }

  /** Lays both eyes' lids; `v` are vertices before skinning, `centers` the eyes' joints, `gaze` as in weights.ts. */
  lay(v: Float32Array, centers: ArrayLike<number>, gaze: number[], blinks: [number, number]): void {
    if (!this.rim.length) return;
    for (const s of [0, 1]) {
      const yaw = gaze[2 * s], pitch = gaze[2 * s + 1];
      const axis = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
      const center = [centers[3 * s], centers[3 * s + 1], centers[3 * s + 2]];
      const b = Math.min(1, Math.max(0, blinks[s]));
      this.moveEdge(v, s, b, center, axis);
      this.carry(v, s, center, axis);
    }
  }

  private radius(cosine: number, s: number): number {
    const [r, bulge, end] = this.profile;
    const t = Math.min(1, Math.max(0, (1 - cosine) / (1 - end)));
    return (r + bulge * (1 - t) ** 2) * this.growth[s];
  }

  /** partner @ x for one vertex of the edge of side s and one axis. */
  private opposite(s: number, x: Float64Array, i: number, axis: number): number {
    const c = this.rim.length, row = (this.own * s * c + i) * c;
    let sum = 0;
    for (let j = 0; j < c; j++) sum += this.partner[row + j] * x[3 * j + axis];
    return sum;
  }

  private moveEdge(v: Float32Array, s: number, b: number, center: number[], axis: number[]): void {
    const { edge, full, move, rim } = this;
    const c = rim.length, l = this.count, share = this.share.subarray(this.own * s * c);
    for (let i = 0; i < c; i++) {
      const at = 3 * this.index[s * l + rim[i]];
      for (let k = 0; k < 3; k++) {
        edge[3 * i + k] = v[at + k];
        full[3 * i + k] = v[at + k] + (1 - b) * this.blink[3 * (s * c + i) + k];
      }
    }
    const closing = b * b * (3 - 2 * b);
    for (let i = 0; i < c; i++)
      for (let k = 0; k < 3; k++)
        move[3 * i + k] = closing ? closing * Math.abs(share[i]) * (this.opposite(s, full, i, k) - full[3 * i + k]) : 0;
    for (let i = 0; i < 3 * c; i++) edge[i] += move[i];
    const ups = new Float64Array(c);
    for (let i = 0; i < c; i++) {
      const crossing = hinge(Math.sign(share[i]) * (this.opposite(s, edge, i, 1) - edge[3 * i + 1])) - SOFT / 2;
      ups[i] = share[i] * Math.max(0, crossing);
    }
    for (let i = 0; i < c; i++) {
      edge[3 * i + 1] += ups[i];
      move[3 * i + 1] += ups[i];
      const ray = [0, 1, 2].map((k) => edge[3 * i + k] - center[k]);
      const distance = Math.hypot(ray[0], ray[1], ray[2]);
      const cosine = (ray[0] * axis[0] + ray[1] * axis[1] + ray[2] * axis[2]) / distance;
      const out = (this.radius(cosine, s) + CONTACT - distance) / distance;
      for (let k = 0; k < 3; k++) move[3 * i + k] += ray[k] * out;
    }
  }

  private carry(v: Float32Array, s: number, center: number[], axis: number[]): void {
    const c = this.rim.length, l = this.count, from = this.own * s * l, move = this.move;
    const spread = this.spread.subarray(from * c), clearance = this.clearance.subarray(from);
    for (let i = 0; i < l; i++) {
      let dx = 0, dy = 0, dz = 0;
      for (let j = 0; j < c; j++) {
        const w = spread[i * c + j];
        if (w === 0) continue;
        dx += w * move[3 * j];
        dy += w * move[3 * j + 1];
        dz += w * move[3 * j + 2];
      }
      const at = 3 * this.index[s * l + i];
      const x = v[at] + dx - center[0], y = v[at + 1] + dy - center[1], z = v[at + 2] + dz - center[2];
      const distance = Math.hypot(x, y, z);
      const cosine = (x * axis[0] + y * axis[1] + z * axis[2]) / distance;
      const out = 1 + hinge(this.radius(cosine, s) + clearance[i] - distance) / distance;
      v[at] = center[0] + x * out;
      v[at + 1] = center[1] + y * out;
      v[at + 2] = center[2] + z * out;
    }
  }
}
