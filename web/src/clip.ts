/** Clips: presets in the page, JSON files of ARKit weights, Live Link Face CSV. Unknown names are refused. */

import type { ClipFacts } from "./payload";
import { axisAngleFromMatrix, matrixFromAxisAngle, multiply3 } from "./rotation";
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
    return new Clip(name, fps, frames, weights, facts.neck ?? null, facts.camera_yaw ?? null, facts.labels ?? []);
  }

  /** A dropped file, by its ending. */
  static parse(name: string, text: string, names: Names): Clip {
    const facts = /\.csv$/i.test(name) ? fromCsv(name, text, names) : fromJson(name, text, names);
    return Clip.of(name, facts, names);
  }
}

function number(v: unknown, where: string): number {
  const x = typeof v === "string" && v.trim() === "" ? NaN : Number(v);
  if (!Number.isFinite(x) || Math.abs(x) > 10) throw new Error(`${where}: no usable number`);
  return x;
}

type Json = Record<string, unknown>;

function fromJson(name: string, text: string, names: Names): ClipFacts {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(`${name}: not a readable JSON file`);
  }
  const top = (Array.isArray(data) ? { frames: data } : data) as Json;
  if (typeof top !== "object" || top === null) throw new Error(`${name}: holds no motion`);
  if (typeof top.curves === "object" && typeof top.frames === "number") return top as unknown as ClipFacts;
  const meta = (top.metadata ?? {}) as Json;
  const given = Number(top.fps ?? meta.fps);
  if (!Array.isArray(top.frames)) return fromCurves(name, top, given || 30);
  const frames = top.frames as Json[];
  const order = (top.names ?? meta.blendshape_names) as string[] | undefined;
  const curves: Record<string, number[]> = {};
  frames.forEach((frame, t) => {
    const list = frame.weights as number[] | undefined;
    const found = list
      ? Object.fromEntries(list.map((w, k) => [order?.[k] ?? names.names[k] ?? `number ${k + 1}`, w]))
      : ((frame.blendshapes ?? frame.blendShapes ?? frame) as Record<string, number>);
    for (const [key, w] of Object.entries(found)) {
      if (key === "_neutral" || key === "time" || key === "timestamp" || key === "rotation") continue;
      (curves[key] ??= new Array<number>(frames.length).fill(0))[t] = w;
    }
  });
  const times = frames.map((f) => Number(f.time ?? f.timestamp));
  const span = times[times.length - 1] - times[0];
  const fps = given || (span > 0 ? (frames.length - 1) / span : 30);
  return { fps, frames: frames.length, curves };
}

function fromCurves(name: string, top: Json, fps: number): ClipFacts {
  const curves = Object.fromEntries(Object.entries(top).filter(([, v]) => Array.isArray(v))) as Record<string, number[]>;
  const lengths = Object.values(curves).map((c) => c.length);
  if (!lengths.length) throw new Error(`${name}: holds no motion`);
  return { fps, frames: Math.max(...lengths), curves };
}

const ANGLES = ["Head", "LeftEye", "RightEye"].flatMap((w) => ["Yaw", "Pitch", "Roll"].map((a) => w + a));

/** Live Link Face: see `motion/livelink.py`. */
function fromCsv(name: string, text: string, names: Names): ClipFacts {
  const rows = text.replace(/^\ufeff/, "").split(/\r?\n/).filter((r) => r.replace(/,/g, "").trim());
  const header = (rows.shift() ?? "").split(",").map((h) => h.trim());
  if (!rows.length) throw new Error(`${name}: holds no frame`);
  const cells = rows.map((r) => r.split(","));
  const curves: Record<string, number[]> = {}, angle: Record<string, number[]> = {};
  header.forEach((h, i) => {
    if (h === "Timecode" || h === "BlendshapeCount") return;
    const values = cells.map((r, t) => number(r[i] ?? "", `${name}: line ${t + 2}, '${h}'`));
    const key = h.charAt(0).toLowerCase() + h.slice(1);
    if (ANGLES.includes(h)) angle[h] = values;
    else if (names.index.has(key)) curves[key] = values;
    else throw new Error(`${name}: unknown column '${h}'`);
  });
  const frames = rows.length, zero = new Array<number>(frames).fill(0);
  const get = (h: string) => angle[h] ?? zero;
  const neck = zero.map((_, t) => {
    const turn = (h: string, axis: number[]) => matrixFromAxisAngle(axis.map((a) => a * get(h)[t]));
    const [yaw, pitch, roll] = [turn("HeadYaw", [0, 1, 0]), turn("HeadPitch", [1, 0, 0]), turn("HeadRoll", [0, 0, 1])];
    return axisAngleFromMatrix(multiply3(multiply3(yaw, pitch), roll));
  });
  const looks = Object.keys(curves).some((k) => k.startsWith("eyeLook"));
  const eyes = Object.keys(angle).some((k) => /Eye(Yaw|Pitch)/.test(k));
  const gaze = looks || !eyes
    ? undefined
    : zero.map((_, t) => ["Left", "Right"].map((s) => [get(`${s}EyeYaw`)[t], -get(`${s}EyePitch`)[t]]));
  const codes = header.includes("Timecode") ? cells.map((r) => r[header.indexOf("Timecode")]) : [];
  return { fps: frameRate(codes), frames, curves, neck, gaze };
}

/** Frames that share a second; 60 when there is no telling. */
function frameRate(codes: string[]): number {
  const seconds = new Map<string, number>();
  for (const c of codes) {
    const s = c.slice(0, c.lastIndexOf(":"));
    seconds.set(s, (seconds.get(s) ?? 0) + 1);
  }
  const whole = [...seconds.values()].slice(1, -1).sort((a, b) => a - b);
  if (!whole.length || whole[whole.length - 1] < 10) {
    const last = codes.map((c) => Math.floor(Number(c.slice(c.lastIndexOf(":") + 1)))).filter(Number.isFinite);
    return last.length && Math.max(...last) < 30 ? 30 : 60;
  }
  const rate = whole[whole.length >> 1];
  return [24, 25, 30, 50, 60].reduce((a, b) => (Math.abs(b - rate) < Math.abs(a - rate) ? b : a));
}
