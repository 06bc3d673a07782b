import fc from 'fast-check';
import {parsePasswd} from './passwd.parser';
import {isKernelThread, isZombie, parseStat} from './stat.parser';
import {parseStatus} from './status.parser';

const stat = (name: string, state = 'S', flags = 4_194_560): string =>
  `1234 (${name}) ${state} 1 1234 1234 0 -1 ${flags} 500 0 0 0 10 5 0 0 20 0 7 0 8675309 1000000 200 18446744073709551615 1 1 0\n`;

describe('parseStat', () => {
  it('reads the fields after the last parenthesis', () => {
    expect(parseStat(stat('nginx'))).toEqual({
      pid: 1234,
      name: 'nginx',
      state: 'S',
      parentPid: 1,
      flags: 4_194_560,
      threads: 7,
      startTime: '8675309',
    });
  });

  it('is not fooled by any name', () => {
    fc.assert(
      fc.property(fc.string({maxLength: 15}), name => {
        expect(parseStat(stat(name))).toMatchObject({name, startTime: '8675309'});
      }),
    );
    expect(parseStat(stat(') Z 1 2 (x'))?.state).toBe('S');
  });

  it('tells kernel threads and the dead', () => {
    const kernel = parseStat(stat('kworker/0:1', 'I', 0x0420_8060));
    const dead = parseStat(stat('gone', 'Z'));
    const alive = parseStat(stat('nginx'));
    expect([kernel, dead, alive].map(one => one !== undefined && isKernelThread(one))).toEqual([true, false, false]);
    expect([kernel, dead, alive].map(one => one !== undefined && isZombie(one))).toEqual([false, true, false]);
  });

  it.each(['', 'nonsense', '12 (x', '12 (x) S 1'])('gives nothing for %p', text => {
    expect(parseStat(text)).toBeUndefined();
  });
});

describe('parseStatus', () => {
  const text =
    'Name:\tnginx\nTgid:\t1234\nPid:\t1234\nTracerPid:\t99\nUid:\t0\t33\t33\t33\nGid:\t0\t0\t0\t0\nNSpid:\t1234\t7\n';

  it('reads the effective user, the tracer, and the ids by namespace', () => {
    expect(parseStatus(text)).toEqual({uid: 33, tracerPid: 99, namespacePids: [1234, 7]});
  });

  it('gives nothing for a text cut short', () => {
    expect(parseStatus('Name:\tnginx\n')).toBeUndefined();
  });
});

describe('parsePasswd', () => {
  it('reads entries and leaves out the rest', () => {
    const text = 'root:x:0:0:root:/root:/bin/bash\n# no\n+::::::\nweb:x:33:33::/var/www:/usr/sbin/nologin\n';
    expect(parsePasswd(text)).toEqual([
      {name: 'root', uid: 0, home: '/root'},
      {name: 'web', uid: 33, home: '/var/www'},
    ]);
  });
});
