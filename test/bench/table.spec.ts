import {tableRows} from '../support/markdown-table';
import {alignedTable, markdownTable} from './table';

it('columns are as wide as their widest cell, and nothing trails', () => {
  const rows = [
    ['WHAT', 'FIGURE', 'NOTE'],
    ['pause', '2.50 ms', ''],
  ];
  expect(alignedTable(rows)).toBe('WHAT   FIGURE   NOTE\npause  2.50 ms');
});

it('a Markdown table gives back its rows, bars in cells too', () => {
  const rows = [
    ['pause | felt', '2.50 ms'],
    ['write', ''],
  ];
  expect(tableRows(markdownTable(['what', 'figure'], rows))).toEqual(rows);
});
