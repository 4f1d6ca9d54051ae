/** The avatar inside the page: gzipped safetensors with JSON in its metadata. */

export type Arrays = Float32Array | Int32Array | Int16Array | Uint32Array | Uint16Array | Uint8Array;

export interface ViewFacts {
  K: number[][];
  cam_from_world: number[][];
  size: [number, number];
  center: [number, number, number];
  pose: { rotation: number[]; translation: number[]; neck: number[]; jaw: number[] };
  weights: Record<string, number>;
}

export interface ClipFacts {
  fps: number;
  frames: number;
  curves: Record<string, number[]>;
  neck?: number[][];
  gaze?: number[][][];
  camera_yaw?: number[];
  labels?: string[];
  notes?: string[];
}

export interface Facts {
  title: string;
  expressions: string[];
  joints: string[];
  parents: number[];
  views: { front: ViewFacts; source: ViewFacts };
  poses: Record<string, Record<string, number>>;
  clips: Record<string, ClipFacts>;
  shells: { name: string; opaque: boolean }[];
  info: Record<string, unknown>;
  marks: Record<string, unknown>;
}

export interface Payload {
  facts: Facts;
  arrays: Map<string, Arrays>;
}

const KINDS: Record<string, (b: ArrayBuffer, at: number, n: number) => Arrays> = {
  F32: (b, at, n) => new Float32Array(b, at, n / 4),
  I32: (b, at, n) => new Int32Array(b, at, n / 4),
  I16: (b, at, n) => new Int16Array(b, at, n / 2),
  U32: (b, at, n) => new Uint32Array(b, at, n / 4),
  U16: (b, at, n) => new Uint16Array(b, at, n / 2),
  U8: (b, at, n) => new Uint8Array(b, at, n),
};

/** Reads safetensors; arrays are views into the buffer where alignment allows. */
export function readPayload(buffer: ArrayBuffer): Payload {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const facts = JSON.parse(header.__metadata__.viewer) as Facts;
  const arrays = new Map<string, Arrays>();
  for (const [name, entry] of Object.entries(header) as [string, { dtype: string; data_offsets: number[] }][]) {
    if (name === "__metadata__") continue;
    const [from, to] = entry.data_offsets;
    const start = 8 + length + from;
    const part = start % 4 ? buffer.slice(start, 8 + length + to) : null;
    arrays.set(name, KINDS[entry.dtype](part ?? buffer, part ? 0 : start, to - from));
  }
  return { facts, arrays };
}

/** An array that must be there. */
export function need<T extends Arrays>(arrays: Map<string, Arrays>, name: string): T {
  const found = arrays.get(name);
  if (!found) throw new Error(`the avatar in this page lacks '${name}'`);
  return found as T;
}
