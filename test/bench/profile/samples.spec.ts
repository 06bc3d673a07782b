import type {Sample} from './samples';
import {parseSamples, partOf, shares} from './samples';

const TEXT = `
    redis-server  ffffffff820368e9 tcp_v4_rcv ([kernel.kallsyms])
    redis-server      7f5dfea88c10 [unknown] (/memfd:scope-ring (deleted))
   scope decoder      7f11a9086160 <core::iter::Map<I,F> as core::iter::Iterator>::fold::h0123456789abcdef (/srv/dist/native/scope.node)
            node      7f3b2c3a1b20 Builtins_LoadIC ([vdso])
WARNING: the kernel map changed
`;

const sample = (file: string): Sample => ({thread: 'node', symbol: 'f', file});

describe('samples of perf', () => {
  it('a line is a thread, a function and its file; other lines are none', () => {
    expect(parseSamples(TEXT)).toEqual([
      {thread: 'redis-server', symbol: 'tcp_v4_rcv', file: '[kernel.kallsyms]'},
      {thread: 'redis-server', symbol: '[unknown]', file: '/memfd:scope-ring (deleted)'},
      {
        thread: 'scope decoder',
        symbol: '<core::iter::Map<I,F> as core::iter::Iterator>::fold',
        file: '/srv/dist/native/scope.node',
      },
      {thread: 'node', symbol: 'Builtins_LoadIC', file: '[vdso]'},
    ]);
  });

  it.each([
    ['[kernel.kallsyms]', 'kernel'],
    ['/memfd:scope-ring (deleted)', 'hooks'],
    ['/srv/dist/native/scope.node', 'decoder (Rust)'],
    ['/usr/bin/node', 'Node.js'],
    ['/tmp/perf-4711.map', 'JavaScript'],
    ['/usr/lib/x86_64-linux-gnu/libc.so.6', 'C library'],
    ['[vdso]', 'C library'],
    ['/usr/lib/x86_64-linux-gnu/libjemalloc.so.2', 'libjemalloc.so.2'],
    ['/usr/bin/redis-server', 'the program'],
    ['[unknown]', 'elsewhere'],
  ])('code of %s is %s', (file, part) => {
    expect(partOf(sample(file))).toBe(part);
  });

  it('shares are sorted, and sum up to all', () => {
    const samples = ['b', 'a', 'a', 'c'].map(sample);
    const by = ({file}: Sample): string => file;
    expect(shares(samples, by).map(({share}) => share)).toEqual([0.5, 0.25, 0.25]);
    expect(shares(samples, by, 0.3)).toEqual([
      {name: 'a', share: 0.5},
      {name: 'the rest', share: 0.5},
    ]);
    expect(shares([], by)).toEqual([]);
  });
});
