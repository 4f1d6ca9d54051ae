/** Frames of the triangles that carry Gaussians, made anew only where something moved. */

import type { Rig } from "./rig";

const TINY = 1e-9;
/** Numbers a triangle: axes (row-major, axes in columns), origin, length, along, height, size. */
export const FRAME = 16;

export class Triangles {
  readonly count: number;
  readonly frame: Float64Array;
  readonly corners: Uint32Array; // flat vertex of each corner, in its piece
  readonly pieceOf: Uint8Array;
  readonly moved: Uint8Array; // since the refresh before
  private readonly was: { position: Float32Array; normal: Float32Array; moved: Uint8Array }[];
  private readonly wasOpen: Float32Array;

  /** `used`: numbers of triangles, counted through the rig's pieces. */
  constructor(private readonly rig: Rig, used: ArrayLike<number>) {
    const n = (this.count = used.length);
    this.frame = new Float64Array(FRAME * n);
    this.corners = new Uint32Array(3 * n);
    this.pieceOf = new Uint8Array(n);
    this.moved = new Uint8Array(n);
    const starts = [0];
    for (const p of rig.pieces) starts.push(starts[starts.length - 1] + p.faces.length / 3);
    for (let i = 0; i < n; i++) {
      const piece = starts.findIndex((s, k) => used[i] >= s && used[i] < starts[k + 1]);
      this.pieceOf[i] = piece;
      for (let k = 0; k < 3; k++) this.corners[3 * i + k] = 3 * rig.pieces[piece].faces[3 * (used[i] - starts[piece]) + k];
    }
    this.was = rig.pieces.map((p) => ({
      position: new Float32Array(p.position.length).fill(NaN), normal: new Float32Array(p.normal.length),
      moved: new Uint8Array(p.position.length / 3),
    }));
    this.wasOpen = new Float32Array(rig.openness.length);
    this.refresh();
  }

  /** Takes the rig's pose over. */
  refresh(): void {
    this.rig.pieces.forEach((_, k) => this.mark(k));
    const { corners, pieceOf, moved } = this;
    for (let i = 0; i < this.count; i++) {
      const there = this.was[pieceOf[i]].moved;
      moved[i] = there[corners[3 * i] / 3] | there[corners[3 * i + 1] / 3] | there[corners[3 * i + 2] / 3];
      if (moved[i]) this.make(i);
    }
  }

  /** Finds the vertices of a piece whose place, normal or light changed. */
  private mark(k: number): void {
    const { position, normal } = this.rig.pieces[k], was = this.was[k], open = this.rig.openness;
    for (let i = 0, n = was.moved.length; i < n; i++) {
      let same = k > 0 || open[i] === this.wasOpen[i];
      for (let c = 3 * i; c < 3 * i + 3; c++) same &&= position[c] === was.position[c] && normal[c] === was.normal[c];
      was.moved[i] = same ? 0 : 1;
    }
    was.position.set(position);
    was.normal.set(normal);
    if (k === 0) this.wasOpen.set(open);
  }

  /** x along v0→v1, y the normal, z away from v2. */
  private make(i: number): void {
    const v = this.rig.pieces[this.pieceOf[i]].position, f = this.frame, at = FRAME * i;
    const a = this.corners[3 * i], b = this.corners[3 * i + 1], c = this.corners[3 * i + 2];
    const ex = v[b] - v[a], ey = v[b + 1] - v[a + 1], ez = v[b + 2] - v[a + 2];
    const fx = v[c] - v[a], fy = v[c + 1] - v[a + 1], fz = v[c + 2] - v[a + 2];
    const length = Math.max(TINY, Math.sqrt(ex * ex + ey * ey + ez * ez));
    const x0 = ex / length, x1 = ey / length, x2 = ez / length;
    const along = fx * x0 + fy * x1 + fz * x2;
    let z0 = along * x0 - fx, z1 = along * x1 - fy, z2 = along * x2 - fz;
    const height = Math.max(TINY, Math.sqrt(z0 * z0 + z1 * z1 + z2 * z2));
    if (height <= TINY) [z0, z1, z2] = [x1 * 1 - x2 * 0, x2 * 0 - x0 * 1, 0];
    const zl = 1 / Math.max(TINY, Math.sqrt(z0 * z0 + z1 * z1 + z2 * z2));
    z0 *= zl; z1 *= zl; z2 *= zl;
    f[at] = x0; f[at + 3] = x1; f[at + 6] = x2;
    f[at + 1] = z1 * x2 - z2 * x1; f[at + 4] = z2 * x0 - z0 * x2; f[at + 7] = z0 * x1 - z1 * x0;
    f[at + 2] = z0; f[at + 5] = z1; f[at + 8] = z2;
    for (let k = 0; k < 3; k++) f[at + 9 + k] = (v[a + k] + v[b + k] + v[c + k]) / 3;
    f[at + 12] = length; f[at + 13] = along; f[at + 14] = height; f[at + 15] = (length + height) / 2;
  }
}
