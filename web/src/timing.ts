/** When the rows of a recording were taken: see `motion/timing.py`. */

import { differences, distinct, interpolate, median } from "./order";
import { THOUSANDTHS, Timecode, codeFrames, parseTimecode, timecodeBase, timecodeRate } from "./timecode";

const FPS = 30, SLOWEST = 10, FASTEST = 1000;
const EVEN = 0.25; // rows within this share of a frame from an even grid are frames as they stand
const GAP = 0.25; // seconds between rows that are worth a word
const LONGEST_GAP = 600, MOST_FRAMES = 1_000_000;
const LATEST = 1e20; // the largest number that can be a time

export type Moment = Timecode | number | null;

export interface RowTimes {
  seconds: (number | null)[];
  rate: number | null; // frames per second that the times imply
}

export interface Schedule {
  fps: number;
  order: number[]; // the rows by time
  at: number[] | null; // for every frame its place among the ordered rows; null: the rows are the frames
  notes: string[];
}

/** A time code, a clock or a number; null: the cell is empty; NaN: none of them. */
export function parseMoment(text: string): Moment {
  if (!text.trim()) return null;
  const value = parseTimecode(text) ?? Number(text.replace(",", "."));
  return typeof value === "number" && Math.abs(value) > LATEST ? NaN : value;
}

/** Whether a time can stand next to the first one of a file. */
export function isKindOf(moment: Moment, first: Moment): boolean {
  return moment === null || (typeof moment === typeof first && !Number.isNaN(moment));
}

/** Seconds of every row; `counterRate`: frames per second where numbers count rows. */
export function rowTimes(moments: Moment[], counterRate: number | null = null): RowTimes {
  const codes = moments.filter((m): m is Timecode => typeof m === "object" && m !== null);
  const numbers = moments.filter((m): m is number => typeof m === "number");
  const counted = counterRate !== null && numbers.every(Number.isInteger) && typicalStep(numbers) === 1;
  const unit = timeUnit(numbers);
  let known: RowTimes = { seconds: numbers.map((n) => n * unit), rate: null };
  if (codes.length) known = codeTimes(codes);
  else if (counted) known = { seconds: numbers.map((n) => n / counterRate), rate: counterRate };
  let next = 0;
  return { seconds: moments.map((m) => (m === null ? null : known.seconds[next++])), rate: known.rate };
}

function codeTimes(codes: Timecode[]): RowTimes {
  const base = timecodeBase(codes), rate = timecodeRate(base, codes[0].drop);
  let frames = codeFrames(codes, base);
  const steps = distinct(differences(frames.map(Math.floor).sort((a, b) => a - b)));
  let step = steps[0];
  if (steps.length === 1 && step > 0) frames = frames.map(Math.floor);
  else {
    const typical = typicalStep(frames);
    step = typical >= 1 ? Math.floor(typical + 0.5) : 1 / Math.floor(1 / (typical || 1) + 0.5);
  }
  const known = base !== THOUSANDTHS && rate / step >= SLOWEST;
  return { seconds: frames.map((f) => f / rate), rate: known ? rate / step : null };
}

function typicalStep(values: number[]): number {
  const steps = differences(distinct(values));
  return steps.length ? median(steps) : 0;
}

function timeUnit(values: number[]): number {
  const step = typicalStep(values);
  return step >= 4e6 ? 1e-9 : step >= 4e3 ? 1e-6 : step >= 4 ? 1e-3 : 1;
}

/** How rows taken at given times become frames at an even rate. */
export function scheduleRows(times: (number | null)[], rate: number | null, fallback: number, where: string): Schedule {
  const rows = [...times.keys()], stated = times.filter((t): t is number => t !== null);
  if (new Set(stated).size < 2) {
    const fps = rate ?? fallback;
    const note = `every row has the same time; they are played at ${short(fps)} frames per second`;
    return { fps, order: rows, at: null, notes: stated.length > 1 ? [note] : [] };
  }
  const filled = fillTimes(times, rows);
  const order = [...rows].sort((a, b) => filled[a] - filled[b]);
  const notes = differences(filled).some((d) => d < 0) ? ["rows out of order were sorted by time"] : [];
  const t = spreadTies(order.map((i) => filled[i]));
  const steps = differences(t), longest = steps.reduce((a, b, i) => (b > steps[a] ? i : a), 0);
  if (steps[longest] > LONGEST_GAP)
    throw new Error(`${where}: a gap of ${short(steps[longest])} s after ${short(t[longest])} s; cut the recording there`);
  const end = t[t.length - 1], measured = (t.length - 1) / end;
  const even = t.every((s, i) => Math.abs(s * measured - i) <= EVEN);
  if (even && measured >= SLOWEST && measured <= FASTEST) {
    const agrees = rate !== null && Math.abs(end * rate - (t.length - 1)) <= 0.5;
    return { fps: agrees ? rate : thousandths(measured), order, at: null, notes };
  }
  const fps = rate ?? usualRate(steps), frames = Math.floor(end * fps + 0.1) + 1;
  if (frames > MOST_FRAMES)
    throw new Error(`${where}: lasts ${short(end)} s, too long at ${short(fps)} frames per second; cut it`);
  const at = Array.from({ length: frames }, (_, i) => interpolate(i / fps, t, rows));
  const resampled = `${t.length} rows became ${frames} frames at ${short(fps)} frames per second`;
  return { fps, order, at, notes: [...notes, ...describeGaps(t, steps, longest), resampled] };
}

const thousandths = (x: number) => Math.round(x * 1000) / 1000;
const short = (x: number) => String(Number(x.toPrecision(6)));

function usualRate(steps: number[]): number {
  const most = 1.5 * median(steps), close = steps.filter((s) => s <= most);
  const fps = thousandths(close.length / close.reduce((a, b) => a + b));
  return fps >= SLOWEST && fps <= FASTEST ? fps : FPS;
}

/** Missing times from their neighbours', beyond the ends at the usual distance. */
function fillTimes(times: (number | null)[], rows: number[]): number[] {
  const at = rows.filter((i) => times[i] !== null), values = at.map((i) => times[i]!);
  const gaps = differences(at), step = median(differences(values).map((d, i) => d / gaps[i]));
  const first = at[0], last = at[at.length - 1];
  return rows.map((i) => interpolate(i, at, values) + step * (Math.min(i - first, 0) + Math.max(i - last, 0)));
}

/** Rows of one time, spread evenly up to the next; the first is at zero. */
function spreadTies(times: number[]): number[] {
  const values = distinct(times), steps = differences(values), usual = median(steps);
  const count = new Map<number, number>();
  for (const t of times) count.set(t, (count.get(t) ?? 0) + 1);
  return values.flatMap((v, i) => {
    const n = count.get(v)!, room = Math.min(steps[i] ?? Infinity, usual);
    return Array.from({ length: n }, (_, k) => v - values[0] + (room / n) * k);
  });
}

function describeGaps(times: number[], steps: number[], longest: number): string[] {
  const least = Math.max(GAP, 1.5 * median(steps)), gaps = steps.filter((s) => s > least).length;
  const many = gaps === 1 ? "a gap" : `${gaps} gaps, the longest`;
  return gaps ? [`${many} of ${steps[longest].toFixed(1)} s after ${times[longest].toFixed(1)} s: interpolated`] : [];
}

/** null gets the value before, at the start the first value; without any value, zero. */
export function holdLost(values: (number | null)[]): number[] {
  let last = values.find((v): v is number => v !== null) ?? 0;
  return values.map((v) => (last = v ?? last));
}

export function lostNotes(lost: number, count: number, what: string): string[] {
  return lost ? [`the face is lost in ${lost} of ${count} ${what}: the expression before is held`] : [];
}

/** A curve's rows as frames, linear between rows. */
export function atFrames(curve: number[], at: number[] | null): number[] {
  return at ? at.map((x) => {
    const a = Math.floor(x), b = Math.min(curve.length - 1, a + 1);
    return curve[a] + (curve[b] - curve[a]) * (x - a);
  }) : curve;
}
