import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {CONDITION_REASONS} from '@scope/api';
import {checkout} from '../support/checkout';
import {tableRows} from '../support/markdown-table';

/** The reasons of the table of conditions on a resource's page, but for the links to the page of failures. */
function reasonsOn(kind: string): readonly string[] {
  const text = readFileSync(join(checkout, `docs/api/${kind}.md`), 'utf8');
  const [, from = ''] = text.split('\n## Conditions\n');
  const [section = ''] = from.split('\n## ');
  return tableRows(section)
    .flatMap(([, , reasons = '']) => reasons.split(', '))
    .filter(word => /^[A-Za-z]+$/.test(word));
}

it('the pages of the resources tell of each reason of a condition, and of no other', () => {
  const told = ['ScopeAttach', 'ScopeTarget'].flatMap(reasonsOn);
  expect([...new Set(told)].sort()).toEqual([...CONDITION_REASONS].sort());
});
