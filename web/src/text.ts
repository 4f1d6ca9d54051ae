/** Text of recordings in the encodings that phones, spreadsheets and Windows write: see `motion/text.py`. */

/** UTF-8 or UTF-16, with or without a byte order mark. */
export function decodeText(bytes: Uint8Array): string {
  const zeros = [...bytes.subarray(0, 64).keys()].filter((i) => bytes[i] === 0).map((i) => i % 2);
  const mark = (a: number, b: number) => bytes[0] === a && bytes[1] === b;
  const little = mark(0xff, 0xfe) || (zeros.length > 1 && zeros.every((z) => z === 1));
  const big = mark(0xfe, 0xff) || (zeros.length > 1 && zeros.every((z) => z === 0));
  const even = little || big ? bytes.subarray(0, bytes.length - (bytes.length % 2)) : bytes;
  return new TextDecoder(little ? "utf-16le" : big ? "utf-16be" : "utf-8", { fatal: true }).decode(even);
}
