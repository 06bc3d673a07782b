/** What stands before the value of `key` in a line. A quote inside a JSON string is always escaped: no value holds it. */
export const fieldMark = (key: string): string => `"${key}":`;

/** Longer than any number that the decoder writes. */
const NUMBER_LENGTH = 32;

/**
 * Values of one NDJSON line by the marks of their keys, without parsing it. A search begins where the last one ended, and
 * again from the start where it finds nothing: fast in the order that the decoder writes them in, right in every order.
 */
export class LineFields {
  private at = 0;

  constructor(private readonly line: string) {}

  /** undefined when there is none, or it is no number. */
  number(mark: string): number | undefined {
    const from = this.behind(mark);
    if (from < 0) return undefined;
    const value = Number.parseFloat(this.line.slice(from, from + NUMBER_LENGTH));
    return Number.isNaN(value) ? undefined : value;
  }

  /** A string that holds no escape; undefined when there is none. */
  text(mark: string): string | undefined {
    const from = this.behind(mark);
    if (from < 0 || this.line[from] !== '"') return undefined;
    const to = this.line.indexOf('"', from + 1);
    return to < 0 ? undefined : this.line.slice(from + 1, to);
  }

  private behind(mark: string): number {
    let found = this.line.indexOf(mark, this.at);
    if (found < 0 && this.at > 0) found = this.line.indexOf(mark);
    if (found < 0) return -1;
    this.at = found + mark.length;
    return this.at;
  }
}
