/** Small matrices: 3x4 rows in flat arrays, axis-angle in radians. */

export type Affine = Float64Array; // 12 numbers: three rows of (R | t)

/** Rodrigues' formula, row-major 3x3. */
export function matrixFromAxisAngle(a: ArrayLike<number>): number[] {
  const angle = Math.hypot(a[0], a[1], a[2]);
  if (angle < 1e-12) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const [x, y, z] = [a[0] / angle, a[1] / angle, a[2] / angle];
  const c = Math.cos(angle), s = Math.sin(angle), k = 1 - c;
  return [
    c + x * x * k, x * y * k - z * s, x * z * k + y * s,
    y * x * k + z * s, c + y * y * k, y * z * k - x * s,
    z * x * k - y * s, z * y * k + x * s, c + z * z * k,
  ];
}

/** The inverse, for rotations below half a turn. */
export function axisAngleFromMatrix(m: number[]): number[] {
  const v = [m[7] - m[5], m[2] - m[6], m[3] - m[1]];
  const sine = Math.hypot(v[0], v[1], v[2]) / 2;
  const angle = Math.atan2(sine, (m[0] + m[4] + m[8] - 1) / 2);
  const scale = sine < 1e-9 ? 0.5 : angle / (2 * sine);
  return v.map((x) => x * scale);
}

export function multiply3(a: number[], b: number[]): number[] {
  const out = new Array<number>(9).fill(0);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      for (let k = 0; k < 3; k++) out[3 * i + j] += a[3 * i + k] * b[3 * k + j];
  return out;
}

/** R x + t as rows. */
export function affine(R: number[], t: ArrayLike<number>): Affine {
  return Float64Array.of(R[0], R[1], R[2], t[0], R[3], R[4], R[5], t[1], R[6], R[7], R[8], t[2]);
}

/** First b, then a. */
export function after(a: Affine, b: Affine): Affine {
  const out = new Float64Array(12);
  for (let i = 0; i < 12; i += 4) {
    for (let j = 0; j < 4; j++) out[i + j] = a[i] * b[j] + a[i + 1] * b[4 + j] + a[i + 2] * b[8 + j];
    out[i + 3] += a[i + 3];
  }
  return out;
}
