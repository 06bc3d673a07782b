// docs/bench.md: the table of one whole run of `npm run bench -- --write`, between two marks.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from '../support/checkout';
import {succeed} from '../support/program';
import type {Figure} from './figure';
import {COLUMNS, rowOf} from './figure';
import {markdownTable} from './table';

const path = join(checkout, 'docs/bench.md');
const [BEGIN, END] = ['<!-- bench: begin -->', '<!-- bench: end -->'];

/** `text` with the run's table in the place of the last one's. Throws where there is no such place. */
export function withTable(text: string, machine: string, figures: readonly Figure[]): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for the table: put ${BEGIN} and ${END} there`);
  const table = `${machine}\n\n${markdownTable(COLUMNS, figures.map(rowOf))}`;
  return `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`;
}

/** Writes the page. `machine` is the line above the table. */
export async function writePage(machine: string, figures: readonly Figure[]): Promise<void> {
  writeFileSync(path, withTable(readFileSync(path, 'utf8'), machine, figures));
  await succeed(join(checkout, 'node_modules/.bin/prettier'), ['--write', '--log-level', 'warn', path], {
    cwd: checkout,
  });
}
