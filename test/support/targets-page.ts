// docs/targets.md: what was measured of each kind of program. The specs check what the page says, or, with UPDATE_DOCS=1,
// write it.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from './checkout';
import {succeed} from './program';

const path = join(checkout, 'docs/targets.md');
const updates = process.env.UPDATE_DOCS === '1';

/**
 * How a column's words are compared with what is measured: to the letter; within a quarter; it is the version of what
 * was measured, and is not compared; to the letter, but only for the very version that the page tells of.
 */
export type Comparison = 'exactly' | 'about' | 'version' | 'exactly for a version';

/** One table of the page, between two marks that name it. The first column names the row and never changes. */
export class TargetsTable {
  private readonly name: string;
  private readonly columns: Readonly<Record<string, Comparison>>;
  private readonly measured: string[][] = [];

  constructor(name: string, columns: Readonly<Record<string, Comparison>>) {
    this.name = name;
    this.columns = columns;
  }

  /** Notes a row, and says where it is not what the page says; with UPDATE_DOCS=1 it is what the page will say. */
  faults(row: readonly string[]): string[] {
    this.measured.push([...row]);
    if (updates) return [];
    const [what = ''] = row;
    const written = this.rows().find(([name]) => name === what);
    if (written === undefined)
      return [`docs/targets.md has no row "${what}" in "${this.name}": run with UPDATE_DOCS=1`];
    const version = Object.values(this.columns).indexOf('version');
    const isSame = version < 0 || written[version] === row[version];
    return Object.entries(this.columns).flatMap(([column, comparison], i) => {
      const [page = '', now = ''] = [written[i], row[i]];
      return agrees(comparison, page, now, isSame)
        ? []
        : [`docs/targets.md says "${page}" under "${column}", measured: "${now}"`];
    });
  }

  /** Writes the rows that were measured; rows that were not stay as they are. */
  async finish(): Promise<void> {
    if (!updates || this.measured.length === 0) return;
    const rows = this.rows().map(row => this.measured.find(([name]) => name === row[0]) ?? row);
    rows.push(...this.measured.filter(([name]) => !rows.some(row => row[0] === name)));
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const names = Object.keys(this.columns);
    const table = [line(names), line(names.map(() => '---')), ...rows.map(line)].join('\n');
    const {before, after} = this.around();
    writeFileSync(path, `${before}\n\n${table}\n\n${after}`);
    await succeed(join(checkout, 'node_modules/.bin/prettier'), ['--write', path], {cwd: checkout});
  }

  private around(): {before: string; table: string; after: string} {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const [begin, end] = [`<!-- ${this.name}: begin -->`, `<!-- ${this.name}: end -->`];
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from)
      throw new Error(`${path} has no place for "${this.name}": put ${begin} and ${end} there`);
    return {
      before: text.slice(0, from + begin.length),
      table: text.slice(from + begin.length, to),
      after: text.slice(to),
    };
  }

  private rows(): string[][] {
    return this.around()
      .table.split('\n')
      .filter(line => line.startsWith('|'))
      .slice(2)
      .map(line =>
        line
          .split('|')
          .slice(1, -1)
          .map(cell => cell.trim()),
      );
  }
}

function agrees(comparison: Comparison, page: string, now: string, isSameVersion: boolean): boolean {
  switch (comparison) {
    case 'exactly':
      return page === now;
    case 'about':
      return page === now || Math.abs(Number(page) - Number(now)) <= Number(page) / 4;
    case 'exactly for a version':
      return !isSameVersion || page === now;
    case 'version':
      return true;
  }
}
