import {backoffMs} from './backoff';

describe('backoffMs', () => {
  it('doubles its ceiling up to the bound', () => {
    const ceilings = [0, 1, 2, 3, 50].map(attempt => backoffMs(attempt, {baseMs: 100, maxMs: 500}, () => 1));
    expect(ceilings).toEqual([100, 200, 400, 500, 500]);
  });

  it('spreads over the whole range', () => {
    expect(backoffMs(3, {baseMs: 100, maxMs: 10_000}, () => 0)).toBe(0);
    expect(backoffMs(3, {baseMs: 100, maxMs: 10_000}, () => 0.5)).toBe(400);
  });
});
