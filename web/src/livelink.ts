/** Live Link Face recordings: see `motion/livelink.py`. */

import type { ClipFacts } from "./payload";
import { axisAngleFromMatrix, matrixFromAxisAngle, multiply3 } from "./rotation";
import { type Moment, atFrames, holdLost, isKindOf, lostNotes, parseMoment, rowTimes, scheduleRows } from "./timing";
import type { Names } from "./weights";

const FPS = 60, COUNTER_RATE = 60; // of files without times, and of rows that are merely numbered
const STEMS = /^(eye|jaw|mouth|brow|cheek|nose|tongue)/; // another name of that kind is a misspelling
const EXTRAS = ["Head", "LeftEye", "RightEye"].flatMap((w) => ["Yaw", "Pitch", "Roll"].map((a) => w + a));
const TIME = "Timecode", COUNT = "BlendShapeCount";
const DROP_CODE = /^([^0-9]*)(\d{1,2}:\d{1,2}:\d{1,2};\d{1,3}(?:[.,]\d*)?)(?=;)/; // unquoted between semicolons

interface Row {
  line: number;
  cells: string[];
}

interface Table {
  header: string[]; // known names; empty: not read
  rows: Row[];
  notes: string[];
}

export function fromCsv(name: string, text: string, names: Names): ClipFacts {
  const table = withoutCutRow(readTable(name, text, names), names);
  const { header, rows } = table, n = rows.length;
  const times = rowTimes(readMoments(name, table), COUNTER_RATE);
  const { fps, order, at, notes } = scheduleRows(times.seconds, times.rate, FPS, name);
  const lost = rows.map((r) => isLost(header, r.cells, names));
  const gone = lost.filter(Boolean).length;
  const values: Record<string, number[]> = {};
  for (const { line, cells } of rows)
    if (cells.slice(header.length).some((c) => c.trim()))
      throw new Error(`${name}: line ${line} has ${cells.length} cells, the header ${header.length}; mend it`);
  header.forEach((h, i) => {
    if (!isValue(h, names)) return;
    const read = rows.map((r, t) => (lost[t] ? null : cell(name, r, i)));
    values[h] = holdLost(order.map((t) => read[t]));
  });
  if (gone === n) throw new Error(`${name}: no row shows a face; record it again`);
  const curves: Record<string, number[]> = {};
  for (const [h, v] of Object.entries(values)) if (names.index.has(h)) curves[h] = atFrames(v, at);
  const across = (rows3: number[][]) => rows3[0].map((_, k) => atFrames(rows3.map((r) => r[k]), at));
  const turned = across(headRotation(values, n)), gaze = eyeGaze(values, n);
  const looks = gaze && across(gaze);
  const frames = at ? at.length : n;
  return {
    fps, frames, curves,
    neck: Array.from({ length: frames }, (_, t) => turned.map((c) => c[t])),
    gaze: looks && Array.from({ length: frames }, (_, t) => [[looks[0][t], looks[1][t]], [looks[2][t], looks[3][t]]]),
    notes: [...table.notes, ...lostNotes(gone, n, "rows"), ...notes],
  };
}

function readTable(name: string, text: string, names: Names): Table {
  let lines = text.split(/\r\n?|\n/).map((line, i) => ({ line: i + 1, text: line }));
  lines = lines.filter((l) => /[^ \t,;\ufeff]/.test(l.text));
  const stated = /^sep=(.)$/i.exec(lines[0]?.text.trim() ?? "");
  if (stated) lines.shift();
  const top = lines[0]?.text ?? "", count = (d: string) => top.split(d).length;
  const delimiter = stated?.[1] ?? [",", ";", "\t"].reduce((a, b) => (count(b) > count(a) ? b : a));
  if (top && !/[A-Za-z]/.test(top)) throw new Error(`${name}: not a readable CSV file; export it again`);
  if (lines.length < 2) throw new Error(`${name}: holds no frame`);
  const whole = (t: string) => splitCells(delimiter === ";" ? t.replace(DROP_CODE, '$1"$2"') : t, delimiter);
  const [given, ...rows] = lines.map((l) => ({ line: l.line, cells: whole(l.text) }));
  const { header, notes } = nameColumns(name, given.cells.map((h) => h.trim()), names);
  return { header, rows, notes };
}

/** The cells of a line; quotes keep delimiters in, doubled quotes are quotes. */
function splitCells(line: string, delimiter: string): string[] {
  const cells = [""];
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i], last = cells.length - 1;
    if (quoted && c === '"' && line[i + 1] === '"') cells[last] += line[++i];
    else if (c === '"' && (quoted || !cells[last])) quoted = !quoted;
    else if (c === delimiter && !quoted) cells.push("");
    else cells[last] += c;
  }
  return cells;
}

const fold = (h: string) => h.toLowerCase().replace(/^blendshapes\./, "").replace(/[^a-z0-9]/g, "");
const isValue = (h: string, names: Names) => names.index.has(h) || EXTRAS.includes(h);

function nameColumns(name: string, given: string[], names: Names): { header: string[]; notes: string[] } {
  const known = new Map([...names.names, ...EXTRAS, TIME, COUNT].map((n) => [fold(n), n]));
  known.set("time", TIME).set("timestamp", TIME);
  const header = given.map((h) => known.get(fold(h)) ?? "");
  header.forEach((h, i) => {
    if (!h && STEMS.test(fold(given[i]))) throw new Error(`${name}: unknown column '${given[i].slice(0, 40)}'`);
    if (h && header.indexOf(h) < i) throw new Error(`${name}: the column '${given[i]}' stands twice; remove one`);
  });
  if (!header.some((h) => names.index.has(h))) throw new Error(`${name}: has no expression column such as 'JawOpen'`);
  const others = given.filter((h, i) => h && !header[i]);
  const shown = others.slice(0, 3).map((h) => h.slice(0, 20)).join(", ") + (others.length > 3 ? " ..." : "");
  return { header, notes: others.length ? [`columns of another kind are left out: ${shown}`] : [] };
}

/** Without a last row that breaks off, unless it is the only one. */
function withoutCutRow(table: Table, names: Names): Table {
  if (table.rows.length < 2) return table;
  const { header, rows } = table, { cells } = rows[rows.length - 1];
  const last = header.reduce((a, h, i) => (h ? i : a), 0);
  let cut = cells.length <= last && !isLost(header, cells, names);
  if (!cut && cells.length === last + 1 && isValue(header[last], names))
    cut = cells[last].trim() !== "" && Number.isNaN(cellValue(cells[last]));
  return cut
    ? { header, rows: rows.slice(0, -1), notes: [...table.notes, "the last row breaks off and is left out"] }
    : table;
}

const cellValue = (text: string) => (text.trim() ? Number(text.replace(",", ".")) : NaN);

/** Whether a row shows no face: all values empty, or zero with a count of no blendshapes. */
function isLost(header: string[], cells: string[], names: Names): boolean {
  const values = cells.filter((c, i) => c.trim() && isValue(header[i] ?? "", names));
  const count = header.indexOf(COUNT);
  if (!values.length) return (count >= 0 && count < cells.length) || cells.length >= header.length;
  return values.every((c) => cellValue(c) === 0) && cellValue(cells[count] ?? "") === 0;
}

function cell(name: string, row: Row, column: number): number | null {
  const text = row.cells[column];
  if (text !== undefined && !text.trim()) return null;
  const value = cellValue(text ?? "");
  if (Number.isNaN(value)) throw new Error(`${name}: line ${row.line} has no number in column ${column + 1}; mend or remove it`);
  if (Math.abs(value) > 10) throw new Error(`${name}: line ${row.line}, column ${column + 1}: ${value} is out of range; mend or remove it`);
  return value;
}

function readMoments(name: string, { header, rows }: Table): Moment[] {
  const column = header.indexOf(TIME);
  let first: Moment = null;
  return rows.map(({ line, cells }) => {
    const text = (column < 0 ? "" : cells[column]) ?? "", moment = parseMoment(text);
    first ??= moment;
    if (!isKindOf(moment, first)) throw new Error(`${name}: line ${line}: '${text.slice(0, 20)}' is no time code; write HH:MM:SS:FF`);
    return moment;
  });
}

function headRotation(values: Record<string, number[]>, n: number): number[][] {
  return Array.from({ length: n }, (_, t) => {
    const turn = (h: string, axis: number[]) => {
      const angle = Math.min(Math.PI, Math.max(-Math.PI, values[h]?.[t] ?? 0));
      return matrixFromAxisAngle(axis.map((a) => a * angle));
    };
    const [yaw, pitch, roll] = [turn("HeadYaw", [0, 1, 0]), turn("HeadPitch", [1, 0, 0]), turn("HeadRoll", [0, 0, 1])];
    return axisAngleFromMatrix(multiply3(multiply3(yaw, pitch), roll));
  });
}

/** Left yaw and pitch, right yaw and pitch, unless the eyeLook* weights say. */
function eyeGaze(values: Record<string, number[]>, n: number): number[][] | undefined {
  const looks = Object.keys(values).some((k) => k.startsWith("eyeLook"));
  const eyes = Object.keys(values).some((k) => /Eye(Yaw|Pitch)/.test(k));
  const get = (h: string, t: number) => values[h]?.[t] ?? 0;
  return looks || !eyes
    ? undefined
    : Array.from({ length: n }, (_, t) => ["Left", "Right"].flatMap((s) => [get(`${s}EyeYaw`, t), -get(`${s}EyePitch`, t)]));
}
