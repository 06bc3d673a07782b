import {table} from './table';

/** NAME and value, a line each, values aligned; what is undefined is left out. */
export function facts(
  rows: readonly (readonly [name: string, value: string | number | undefined])[],
  width = Infinity,
): string {
  const known = rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return table(['', ''], known, width).trimStart();
}
