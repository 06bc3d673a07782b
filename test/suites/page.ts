// docs/suites.md: how each suite's tests ended, as `npm run suites -- --update` measured it.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from '../support/checkout';
import {tableRows} from '../support/markdown-table';
import type {SuiteResult} from './run-suite';

const path = join(checkout, 'docs/suites.md');
const HEAD = [
  'suite',
  'version',
  'tests',
  'skipped',
  'fail either way',
  'fail scoped only',
  'skipped scoped only',
  'unsteady',
  'programs',
  'events',
  'lost',
];
const [BEGIN, END] = ['<!-- suites: begin -->', '<!-- suites: end -->'];

/** The page's row. */
export function rowOf({suite, version, part, verdict, scoped}: SuiteResult): string[] {
  const list = (names: readonly string[]): string =>
    names.length === 0 ? 'none' : names.map(name => `\`${name}\``).join(' ');
  const skipped = verdict.broken.filter(name => !verdict.failed.includes(name));
  return [
    `${suite} (${part})`,
    version,
    String(verdict.tests),
    String(verdict.skipped),
    list(verdict.failing),
    list(verdict.failed),
    list(skipped),
    list(verdict.unsteady),
    ...[scoped.programs, scoped.events, scoped.lost].map(String),
  ];
}

export class SuitesPage {
  /** Puts the suite's row in the place of its last one. */
  put(result: SuiteResult): void {
    const text = readFileSync(path, 'utf8');
    const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
    const row = rowOf(result);
    const isIts = ([name = '']: readonly string[]): boolean => name.startsWith(`${result.suite} (`);
    const rows = tableRows(text.slice(from, to));
    const at = rows.findIndex(isIts);
    if (at < 0) rows.push(row);
    else rows[at] = row;
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const table = [HEAD, HEAD.map(() => '---'), ...rows].map(line).join('\n');
    writeFileSync(path, `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`);
  }
}
