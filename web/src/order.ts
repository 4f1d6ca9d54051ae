/** Order statistics of a few numbers. */

/** The distinct values, ascending. */
export function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

export function differences(values: readonly number[]): number[] {
  return values.slice(1).map((v, i) => v - values[i]);
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Linear between the points (x, y), x ascending; constant beyond them. */
export function interpolate(at: number, x: readonly number[], y: readonly number[]): number {
  let low = 0, high = x.length - 1;
  if (at <= x[0]) return y[0];
  if (at >= x[high]) return y[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle;
    else high = middle;
  }
  return y[low] + ((y[high] - y[low]) * (at - x[low])) / (x[high] - x[low]);
}
