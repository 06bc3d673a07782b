/**
 * Columns two spaces apart, as wide as their widest cell, left-aligned; no trailing blanks. Lines are cut at `width`.
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly (string | number | boolean)[])[],
  width = Infinity,
): string {
  const cells = [header, ...rows.map(row => row.map(cell => printable(String(cell))))];
  const widths = header.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)));
  return cells
    .map(row => row.map((cell, column) => (column === header.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))))
    .map(row => row.join('  ').trimEnd())
    .map(line => (line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line))
    .join('\n');
}

/** Control characters become "?": what a process is called or writes must not drive the terminal. */
export function printable(line: string): string {
  return line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

/** 1234567 → "1.2 MB": three figures at most. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** Seconds as a person says them: "812 µs", "4.2 ms", "1.5 s", "3m12s", "2h05m". */
export function duration(seconds: number): string {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${pad(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h${pad(minutes % 60)}m`;
}

const pad = (value: number): string => String(Math.floor(value)).padStart(2, '0');
