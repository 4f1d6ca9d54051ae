/** Clips: presets in the page, JSON files of ARKit weights, Live Link Face CSV. Unknown names are refused. */

import { fromJson } from "./arkit";
import { fromCsv } from "./livelink";
import type { ClipFacts } from "./payload";
import { decodeText } from "./text";
import { Names, lookFromGaze } from "./weights";

export interface Moment {
  weights: Float32Array;
  neck: number[];
  yaw: number; // degrees by which the camera goes around the head
  label: string;
}

export class Clip {
  private constructor(
    readonly name: string, readonly fps: number, readonly frames: number, private readonly weights: Float32Array,
    private readonly neck: number[][] | null, private readonly yaw: number[] | null, private readonly labels: string[],
    readonly notes: string[], // what the user should know of a recording
  ) {}

  get seconds(): number {
    return this.frames / this.fps;
  }

  /** Linear between frames. */
  at(seconds: number): Moment {
    const x = Math.min(this.frames - 1, Math.max(0, seconds * this.fps));
    const a = Math.floor(x), b = Math.min(this.frames - 1, a + 1), part = x - a;
    const mix = (p: number, q: number) => p + (q - p) * part;
    const n = this.weights.length / this.frames, w = this.weights;
    return {
      weights: Float32Array.from({ length: n }, (_, k) => mix(w[a * n + k], w[b * n + k])),
      neck: this.neck ? this.neck[a].map((v, k) => mix(v, this.neck![b][k])) : [0, 0, 0],
      yaw: this.yaw ? mix(this.yaw[a], this.yaw[b]) : 0,
      label: this.labels[a] ?? "",
    };
  }

  static of(name: string, facts: ClipFacts, names: Names): Clip {
    const { frames, fps } = facts, n = names.names.length;
    if (!(frames >= 1) || !(fps > 0)) throw new Error(`${name}: holds no frame`);
    const weights = new Float32Array(frames * n);
    for (const [key, curve] of Object.entries(facts.curves)) {
      const k = names.index.get(key);
      if (k === undefined) throw new Error(`${name}: unknown expression '${key}'`);
      if (curve.length !== frames) throw new Error(`${name}: '${key}' has ${curve.length} frames, not ${frames}`);
      curve.forEach((v, t) => (weights[t * n + k] = number(v, `${name}: '${key}', frame ${t + 1}`)));
    }
    facts.gaze?.forEach((g, t) => lookFromGaze(weights.subarray(t * n, t * n + n), g.flat(), names));
    return new Clip(name, fps, frames, weights, facts.neck ?? null, facts.camera_yaw ?? null, facts.labels ?? [], facts.notes ?? []);
  }

  /** A dropped file, by its ending. */
  static parse(name: string, bytes: Uint8Array, names: Names): Clip {
    const text = decodeRecording(name, bytes);
    const facts = /\.csv$/i.test(name) ? fromCsv(name, text, names) : fromJson(name, text, names);
    return Clip.of(name, facts, names);
  }
}

function decodeRecording(name: string, bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch {
    throw new Error(`${name}: neither UTF-8 nor UTF-16 text; export it again`);
  }
}

function number(v: unknown, where: string): number {
  const x = typeof v === "string" && v.trim() === "" ? NaN : Number(v);
  if (!Number.isFinite(x) || Math.abs(x) > 10) throw new Error(`${where}: no usable number`);
  return x;
}
