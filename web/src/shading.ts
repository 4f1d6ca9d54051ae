/** Folds of expressions as factors on the light at the head's vertices: see `avatar/expression_shading.py`. */

import { type Payload, need } from "./payload";

export class Shading {
  private readonly vertex: Uint16Array;
  private readonly fields: Int16Array; // one after the other, in steps of `scale`
  private readonly scale: Float32Array;
  private readonly drivers: Float32Array;
  private readonly source: Float32Array; // strengths in the photo
  private readonly largest: number;

  constructor(arrays: Payload["arrays"]) {
    this.vertex = need(arrays, "shading.vertex");
    this.fields = need(arrays, "shading.fields");
    this.scale = need(arrays, "shading.scale");
    this.drivers = need(arrays, "shading.drivers");
    this.source = need(arrays, "shading.source");
    this.largest = need<Float32Array>(arrays, "shading.largest")[0];
  }

  /** Sets the factor of every vertex that any field changes. */
  write(weights: ArrayLike<number>, openness: Float32Array): void {
    const { vertex, fields, scale, drivers, largest } = this, n = vertex.length, W = weights.length;
    const strength = Array.from(this.source, (seen, k) => {
      let sum = 0;
      for (let e = 0; e < W; e++) sum += drivers[k * W + e] * weights[e];
      return (Math.min(1, Math.max(0, sum)) - seen) * scale[k];
    });
    for (let i = 0; i < n; i++) {
      let log = 0;
      for (let k = 0; k < strength.length; k++) log += strength[k] * fields[k * n + i];
      openness[vertex[i]] = Math.exp(Math.min(largest, Math.max(-largest, log)));
    }
  }
}
