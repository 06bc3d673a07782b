import type {Figure} from './figure';
import {COLUMNS, flawOf, isMet, rowOf} from './figure';

const pause: Figure = {what: 'pause', value: 2.5, unit: 'ms', bar: {atMost: 3}, note: 'longest: 4 ms', raw: {}};

describe('a figure and its bar', () => {
  it('is met on the bar and on its better side, either way round', () => {
    expect(isMet({...pause, value: 3})).toBe(true);
    expect(isMet({...pause, value: 3.01})).toBe(false);
    expect(isMet({...pause, bar: {atLeast: 0.96}, value: 0.96})).toBe(true);
    expect(isMet({...pause, bar: {atLeast: 0.96}, value: 0.95})).toBe(false);
  });

  it('what could not be measured meets no bar', () => {
    expect(isMet({...pause, value: Number.NaN})).toBe(false);
  });

  it('a flawed one meets none, and says why', () => {
    const flawed = {...pause, flaw: flawOf(7)};
    expect(isMet(flawed)).toBe(false);
    expect(rowOf(flawed).slice(-2)).toEqual(['MISSED', '7 records lost; longest: 4 ms']);
    expect(flawOf(0)).toBeUndefined();
  });

  it('is a row with a cell for each column', () => {
    expect(rowOf({...pause, spread: 0.25})).toEqual(['pause', '2.50 ms', '± 0.250', '≤ 3', 'met', 'longest: 4 ms']);
    expect(rowOf({what: 'strace', value: 123_456, unit: 'ns', raw: {}})).toEqual([
      'strace',
      '123456 ns',
      '',
      '',
      '',
      '',
    ]);
    expect(rowOf(pause)).toHaveLength(COLUMNS.length);
  });
});
