import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {REASONS} from '@scope/api';
import {REASON_TABLE} from '@scope/core';
import {checkout} from '../support/checkout';
import {tableRows} from '../support/markdown-table';

const page = join(checkout, 'docs/reasons.md');

it('docs/reasons.md is the table of reasons (UPDATE_DOCS=1 writes it; then npm run format)', () => {
  const rows = REASONS.map(reason => {
    const {meaning, advice, disposition, exitCode} = REASON_TABLE[reason];
    return [reason, meaning, advice, disposition, String(exitCode)];
  });
  const text = readFileSync(page, 'utf8');
  if (process.env.UPDATE_DOCS === '1') {
    const cells = rows.map(row => `| ${row.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`);
    const head = text
      .split('\n')
      .filter(line => !line.startsWith('|'))
      .join('\n')
      .trimEnd();
    const names = '| reason | means | what to do | handled | exit code |\n| --- | --- | --- | --- | --- |';
    writeFileSync(page, `${head}\n\n${names}\n${cells.join('\n')}\n`);
    return;
  }
  expect(tableRows(text)).toEqual(rows);
});
