import {MIXES, parseRuns} from './decode-run';

const line = (mix: string): string => `{"mix":"${mix}","records":600,"events":2,"bytes":880,"cpuNs":24000}\n`;

it('a line for each mix', () => {
  const runs = parseRuns(Object.keys(MIXES).map(line).join(''));
  expect(runs[0]).toEqual({mix: 'reads', records: 600, events: 2, bytes: 880, cpuNs: 24_000});
  expect(runs).toHaveLength(4);
});

it('a mix that is missing is not left out silently', () => {
  expect(() => parseRuns(line('reads'))).toThrow('bench-decode ran reads: reads, writes');
});
