/** SMPTE time codes with a fraction of a frame: see `motion/timecode.py`. */

import { median } from "./order";

const BASES = [15, 24, 25, 30, 48, 50, 60, 100, 120, 240]; // usual numbers of frames in a second of code
export const THOUSANDTHS = 1000; // the base of codes whose last field counts thousandths of a second
const PATTERN = /^(\d{1,2})[:;](\d{1,2})[:;](\d{1,2})(?:[:;](\d{1,3}(?:[.,]\d*)?)|([.,]\d+)?)$/;

export interface Timecode {
  second: number; // of the day
  frame: number; // within the second, with its fraction
  drop: boolean; // frame numbers are dropped
  base?: number; // frame numbers in a second, where the code itself says so
}

/** HH:MM:SS:FF, HH:MM:SS:FF.sub, drop-frame HH:MM:SS;FF or a clock HH:MM:SS.sss; null: none of them. */
export function parseTimecode(text: string): Timecode | null {
  const found = PATTERN.exec(text.trim());
  if (!found) return null;
  const second = 3600 * Number(found[1]) + 60 * Number(found[2]) + Number(found[3]);
  const decimal = (s: string) => Number(s.replace(",", "."));
  if (found[4] === undefined)
    return { second, frame: decimal(found[5] ?? "0") * THOUSANDTHS, drop: false, base: THOUSANDTHS };
  return { second, frame: decimal(found[4]), drop: text.includes(";") };
}

const droppedAMinute = (base: number, drop: boolean) => (drop && base % 30 === 0 ? base / 15 : 0);

function frameNumber(code: Timecode, base: number): number {
  const minutes = Math.floor(code.second / 60);
  return base * code.second + code.frame - droppedAMinute(base, code.drop) * (minutes - Math.floor(minutes / 10));
}

export function timecodeRate(base: number, drop: boolean): number {
  return droppedAMinute(base, drop) ? (base * 1000) / 1001 : base;
}

/** How many frame numbers a second has. */
export function timecodeBase(codes: Timecode[]): number {
  if (codes[0].base !== undefined) return codes[0].base;
  const numbers = codes.map((c) => Math.floor(c.frame));
  let least = numbers.reduce((a, b) => Math.max(a, b)) + 1;
  const steps = new Set<number>(), distances: [number, number, boolean][] = [];
  for (let i = 1; i < codes.length; i++) {
    const seconds = codes[i].second - codes[i - 1].second;
    if (seconds === 0 && numbers[i] > numbers[i - 1]) steps.add(numbers[i] - numbers[i - 1]);
    if (seconds === 1) distances.push([numbers[i - 1], numbers[i], codes[i].drop && codes[i].second % 60 === 0]);
  }
  const step = steps.size ? Math.min(...steps) : 1;
  const turns = distances.filter(([, , dropped]) => !dropped).map(([before, after]) => before + step - after);
  const evenly = steps.size < 2 && new Set(turns).size === 1 && turns[0] >= least;
  if (evenly && (turns.length > 1 || BASES.includes(turns[0]))) return turns[0];
  if (turns.length) least = Math.max(least, Math.ceil(0.95 * median(turns)));
  else if (new Set(codes.map((c) => c.second)).size === 1) least = Math.max(least, 30);
  return BASES.find((b) => b >= least) ?? THOUSANDTHS;
}

/** Frame numbers that run on over midnight. */
export function codeFrames(codes: Timecode[], base: number): number[] {
  const day = 86400 * base - droppedAMinute(base, codes[0].drop) * 1296;
  let shift = 0, last: number | null = null;
  return codes.map((code) => {
    const now = frameNumber(code, base);
    if (last !== null && Math.abs(now - last) > day / 2) shift += now < last ? day : -day;
    last = now;
    return now + shift;
  });
}
