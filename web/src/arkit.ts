/** JSON files of ARKit weights: see `motion/arkit_json.py`. */

import type { ClipFacts } from "./payload";
import { type Moment, type RowTimes, atFrames, holdLost, isKindOf, lostNotes, parseMoment, rowTimes, scheduleRows } from "./timing";
import type { Names } from "./weights";

type Json = Record<string, unknown>;
type Weights = Record<string, unknown>;

const FPS = 30, LARGEST = 10;
const TIMES = ["time", "timestamp", "timeCode", "timecode"];
const MILLISECONDS = ["timestampMs", "timestamp_ms", "timeMs", "time_ms"];
const WEIGHTS = ["weights", "blendshapes", "blendShapes", "faceBlendshapes", "face_blendshapes"];
const NAMES = ["names", "facsNames", "blendshape_names", "blendShapeNames"];
const RATES = ["fps", "exportFps", "frameRate", "frame_rate"];
const CLOCKS = [...TIMES, ...MILLISECONDS];
const BESIDE = new Set([...CLOCKS, "rotation", "frame", "index"]);

const isObject = (v: unknown): v is Json => typeof v === "object" && v !== null && !Array.isArray(v);

function firstOf(data: unknown, keys: string[]): unknown {
  const key = isObject(data) ? keys.find((k) => k in data) : undefined;
  return key === undefined ? undefined : (data as Json)[key];
}

export function fromJson(name: string, text: string, names: Names): ClipFacts {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(`${name}: not a readable JSON file`);
  }
  const top = Array.isArray(data) ? { frames: data } : data;
  if (!isObject(top)) throw new Error(`${name}: no recording of ARKit weights`);
  const { frames, times } = readStream(name, top, names);
  const n = frames.length, lost = frames.filter((f) => f === null).length;
  if (!n || frames.every((f) => f && !Object.keys(f).length)) throw new Error(`${name}: holds no frame`);
  if (lost === n) throw new Error(`${name}: no frame shows a face; record it again`);
  const { fps, order, at, notes } = scheduleRows(times.seconds, statedRate(name, top), FPS, name);
  const ordered = order.map((i) => frames[i]);
  const curves: Record<string, number[]> = {};
  for (const key of new Set(frames.flatMap((f) => Object.keys(f ?? {})))) {
    const read = ordered.map((f, i) => (f === null ? null : weight(key in f ? f[key] : 0, `${name}: frame ${i + 1}: ${key}`)));
    curves[key] = atFrames(holdLost(read), at);
  }
  return { fps, frames: at ? at.length : n, curves, notes: [...lostNotes(lost, n, "frames"), ...notes] };
}

function weight(value: unknown, where: string): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || Math.abs(value) > LARGEST) throw new Error(`${where} is ${String(value).slice(0, 20)}; give a weight from 0 to 1`);
  return value;
}

function readStream(name: string, top: Json, names: Names): { frames: (Weights | null)[]; times: RowTimes } {
  const frames = firstOf(top, ["frames", "weightMat"]);
  if (!Array.isArray(frames)) return readCurves(name, top, names);
  const order = firstOf(top, NAMES) ?? firstOf(top.metadata, NAMES);
  return {
    frames: frames.map((f, i) => frameWeights(`${name}: frame ${i + 1}`, f, order, names)),
    times: frameTimes(name, frames.map((f) => (isObject(f) ? f : {}))),
  };
}

function readCurves(name: string, top: Json, names: Names): { frames: (Weights | null)[]; times: RowTimes } {
  const curves = new Map(Object.entries(top).filter((e): e is [string, unknown[]] => Array.isArray(e[1])));
  const clock = [...curves.keys()].find((k) => CLOCKS.includes(k));
  const times = clock === undefined ? [] : curves.get(clock)!.map((t) => ({ [clock]: t }));
  if (clock !== undefined) curves.delete(clock);
  checkNames(name, [...curves.keys()], names);
  const count = Math.max(0, ...[...curves.values()].map((v) => v.length));
  if ([...curves.values()].some((v) => v.length !== count) || ![0, count].includes(times.length))
    throw new Error(`${name}: its curves differ in length; export it again`);
  const frames = Array.from({ length: count }, (_, i) => {
    const frame = Object.fromEntries([...curves].map(([k, v]) => [k, v[i]]));
    return Object.values(frame).some((w) => w !== null) ? frame : null;
  });
  return { frames, times: frameTimes(name, times.length ? times : frames.map(() => ({}))) };
}

function checkNames(where: string, keys: string[], names: Names): void {
  for (const key of keys) if (!names.index.has(key)) throw new Error(`${where}: unknown expression '${key.slice(0, 40)}'`);
}

const isEmpty = (v: unknown) =>
  !v || (typeof v === "object" && Object.keys(v).length === 0);

/** One frame's weights by name; null: the face was lost. */
function frameWeights(where: string, frame: unknown, order: unknown, names: Names): Weights | null {
  if (frame === null || (typeof frame === "object" && isEmpty(frame))) return null;
  if (typeof frame !== "object") throw new Error(`${where}: is no object of weights`);
  let inner: unknown = frame;
  if (isObject(frame)) {
    if (!isEmpty(frame.rotation)) throw new Error(`${where}: has a head rotation, whose meaning is not known; remove 'rotation'`);
    const key = WEIGHTS.find((k) => k in frame);
    inner = key ? frame[key] : Object.fromEntries(Object.entries(frame).filter(([k]) => !BESIDE.has(k)));
  }
  inner = mediapipeWeights(inner);
  if (isEmpty(inner)) return null;
  if (Array.isArray(inner)) {
    if (!Array.isArray(order) || order.length !== inner.length) throw new Error(`${where}: ${inner.length} weights without as many 'names'`);
    inner = Object.fromEntries(inner.map((w, k) => [String(order[k]), w]));
  }
  if (!isObject(inner)) throw new Error(`${where}: its weights are neither a list nor named`);
  const named = Object.fromEntries(Object.entries(inner).filter(([k]) => k !== "_neutral"));
  const keys = Object.keys(named);
  checkNames(where, keys, names);
  return keys.length && keys.every((k) => named[k] === null) ? null : named;
}

/** The first face's scores by name, of weights in MediaPipe's form; others as they are. */
function mediapipeWeights(given: unknown): unknown {
  let weights = given;
  while (Array.isArray(weights) && Array.isArray(weights[0])) weights = weights[0];
  if (Array.isArray(weights) && isObject(weights[0]) && "categories" in weights[0]) weights = weights[0];
  if (isObject(weights) && Array.isArray(weights.categories)) weights = weights.categories;
  if (!Array.isArray(weights) || !weights.length || !weights.every(isObject)) return weights;
  return Object.fromEntries(weights.map((w) => [String(firstOf(w, ["categoryName", "category_name"])), w.score ?? null]));
}

function frameTimes(name: string, frames: Json[]): RowTimes {
  let first: Moment = null;
  const moments = frames.map((frame, i) => {
    const value = firstOf(frame, [...MILLISECONDS, ...TIMES]) ?? null;
    const usable = value === null || typeof value === "number" || typeof value === "string";
    const moment = usable ? parseMoment(String(value ?? "")) : NaN;
    first ??= moment;
    if (!isKindOf(moment, first)) throw new Error(`${name}: frame ${i + 1}: its time is ${String(value).slice(0, 20)}; give seconds`);
    return moment;
  });
  if (!frames.some((f) => MILLISECONDS.some((k) => k in f))) return rowTimes(moments);
  return { seconds: moments.map((m) => (typeof m === "number" ? m * 1e-3 : null)), rate: null };
}

function statedRate(name: string, top: Json): number | null {
  const stated = firstOf(top, RATES) ?? firstOf(top.metadata, RATES) ?? null;
  if (stated !== null && (typeof stated !== "number" || stated < 1 || stated > 1000))
    throw new Error(`${name}: fps is ${String(stated).slice(0, 20)}; give frames per second`);
  return stated;
}
