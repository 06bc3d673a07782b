/** The middle of the values (the mean of the two middle ones). NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  const high = sorted[Math.ceil((sorted.length - 1) / 2)] ?? Number.NaN;
  return (low + high) / 2;
}

/** Half of the distance between the quartiles: how far a typical value lies from the median. */
export function spread(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return (at(0.75) - at(0.25)) / 2;
}

/** Element by element: what `changed` is more than `plain`, measured side by side. */
export function differences(changed: readonly number[], plain: readonly number[]): number[] {
  return changed.map((value, index) => value - (plain[index] ?? Number.NaN));
}

/** Element by element: what share of `plain` `changed` is. */
export function ratios(changed: readonly number[], plain: readonly number[]): number[] {
  return changed.map((value, index) => value / (plain[index] ?? Number.NaN));
}
