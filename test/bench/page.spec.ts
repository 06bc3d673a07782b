import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from '../support/checkout';
import {tableRows} from '../support/markdown-table';
import {COLUMNS, rowOf} from './figure';
import {withTable} from './page';

const figures = [{what: 'pause', value: 2.5, unit: 'ms', bar: {atMost: 3}, raw: {}}] as const;
const page = readFileSync(join(checkout, 'docs/bench.md'), 'utf8');

it('the page has a place for the table, and a row for each figure once it is written', () => {
  const text = withTable(page, '2 cores, Linux 6', figures);
  expect(text).toContain('\n2 cores, Linux 6\n');
  expect(tableRows(text.split('<!-- bench: begin -->')[1] ?? '')).toEqual(figures.map(rowOf));
  expect(COLUMNS).toHaveLength(rowOf(figures[0]).length);
});

it('the next run’s table takes the place of the last one’s', () => {
  const once = withTable(page, '2 cores, Linux 6', figures);
  expect(withTable(once, '2 cores, Linux 6', figures)).toBe(once);
  expect(withTable(once, '4 cores, Linux 7', figures)).not.toContain('2 cores');
});

it('a page without the marks is refused', () => {
  expect(() => withTable('# A page', '', figures)).toThrow(/has no place for the table/);
});
