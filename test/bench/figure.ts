export type Bar = {readonly atMost: number} | {readonly atLeast: number};

/** One row of the table. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: 'ns' | 'ms' | 's' | 'KiB' | 'MiB' | '×' | 'million/s';
  /** How far single measurements lie apart, in the same unit. */
  readonly spread?: number;
  /** What it is held to. */
  readonly bar?: Bar;
  /** Why it is no measure of what the bar asks for, and so meets none: records were lost, say. */
  readonly flaw?: string | undefined;
  readonly note?: string;
  /** Every single measurement, by what it was. */
  readonly raw: Readonly<Record<string, readonly number[]>>;
}

export interface BenchOptions {
  /** Fewer repetitions: to see that it runs. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

export type Bench = (options: BenchOptions) => Promise<Figure[]>;

const reaches = (value: number, bar: Bar): boolean => ('atMost' in bar ? value <= bar.atMost : value >= bar.atLeast);

/** undefined: there is no bar. A figure that is flawed or no number meets none. */
export function isMet({value, bar, flaw}: Figure): boolean | undefined {
  return bar === undefined ? undefined : flaw === undefined && reaches(value, bar);
}

/** Of a figure that must have seen everything. */
export const flawOf = (lost: number): string | undefined => (lost === 0 ? undefined : `${lost} records lost`);

const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
const limit = (bar: Bar): string => ('atMost' in bar ? `≤ ${bar.atMost}` : `≥ ${bar.atLeast}`);

export const COLUMNS = ['what', 'figure', 'spread', 'bar', '', 'note'] as const;

/** A cell for each of COLUMNS. */
export function rowOf(figure: Figure): string[] {
  const {what, value, unit, bar, spread, flaw = '', note = ''} = figure;
  const met = isMet(figure);
  const verdict = met === undefined ? '' : met ? 'met' : 'MISSED';
  const notes = [flaw, note].filter(text => text !== '');
  return [
    what,
    `${digits(value)} ${unit}`,
    spread === undefined ? '' : `± ${digits(spread)}`,
    bar === undefined ? '' : limit(bar),
    verdict,
    notes.join('; '),
  ];
}
