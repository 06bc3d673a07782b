import {facts} from './facts';
import {bytes, duration, table} from './table';

describe('table', () => {
  it('has columns as wide as their widest cell, and no blanks at the end', () => {
    expect(
      table(
        ['ID', 'COMMAND'],
        [
          [1, 'sleep 600'],
          [12, ''],
        ],
      ),
    ).toBe('ID  COMMAND\n1   sleep 600\n12');
  });

  it('is cut at the width of a screen, and full without one', () => {
    const rows = [[7, 'nginx: master process']];
    expect(table(['PID', 'COMMAND'], rows, 12)).toBe('PID  COMMAND\n7    nginx:…');
    expect(table(['PID', 'COMMAND'], rows)).toContain('master process');
  });

  it('shows no control character that a process put into its name', () => {
    expect(table(['NAME'], [['a\u001b[2Jb\nc']])).toBe('NAME\na?[2Jb?c');
  });
});

it('facts without a value are left out', () => {
  expect(
    facts([
      ['Kind', 'static'],
      ['Go', undefined],
      ['Threads', 0],
    ]),
  ).toBe('Kind     static\nThreads  0');
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [123_456, '123 kB'],
  [5_600_000_000_000_000, '5600 TB'],
])('%d bytes are %s', (count, said) => {
  expect(bytes(count)).toBe(said);
});

it.each([
  [0.000812, '812 µs'],
  [0.0042, '4.2 ms'],
  [59.94, '59.9 s'],
  [192, '3m12s'],
  [7500, '2h05m'],
])('%d seconds are %s', (seconds, said) => {
  expect(duration(seconds)).toBe(said);
});
