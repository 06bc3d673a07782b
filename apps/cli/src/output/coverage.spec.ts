import {coverageText, parseSurvey} from './coverage';

const raw = {
  ok: true,
  abi: 1,
  pid: 812,
  scoped: true,
  hookedNow: 188,
  target: {kind: 'glibc-dynamic', go: null, executable: '/usr/sbin/nginx', threads: 4},
  sites: {
    found: 572,
    unknown: 0,
    hooked: 188,
    skipped: [
      {reason: 'NotInteresting', count: 379},
      {reason: 'New', count: 5},
    ],
  },
  calls: {
    hooked: ['read', 'accept4'],
    partial: [{call: 'writev', why: ['puts at 0x7f01: too short', 'herror at 0x7f02: too short']}],
    missing: ['openat2'],
    memoryFollowed: true,
  },
};
const subject = {
  pid: 812,
  name: 'nginx',
  libc: 'glibc 2.36 (/lib/libc.so.6)',
  session: 'nginx-812-x by cli, since noon',
};

function told(more: object = {}, width?: number, about: object = subject): string[] {
  const survey = parseSurvey({...raw, ...more});
  if (survey === undefined) throw new Error('not understood');
  return coverageText(survey, {...subject, ...about}, width).split('\n');
}

it('is a head, then a line per call with what is not hooked and why', () => {
  expect(told()).toEqual([
    'Process     nginx (812), /usr/sbin/nginx',
    'State       scoped as nginx-812-x by cli, since noon',
    'Kind        glibc-dynamic',
    'C library   glibc 2.36 (/lib/libc.so.6)',
    'Threads     4',
    'Call sites  188 hooked of 572; 379 make other calls; 5 New',
    '',
    'CALL     HOOKED  WHY NOT',
    'accept4  yes',
    'openat2  no      no place that makes this call was found',
    'read     yes',
    'writev   partly  puts at 0x7f01: too short',
    '                 herror at 0x7f02: too short',
  ]);
});

it('does not say of a call that part of it is seen where none is', () => {
  const partial = [{call: 'read', seen: false, why: [' at 0x7f01: changed in memory']}];
  expect(told({calls: {...raw.calls, hooked: [], partial}})).toContain(
    'read     no       at 0x7f01: changed in memory',
  );
});

it('says of one that is not scoped what an attach would do', () => {
  expect(told({scoped: false, hookedNow: undefined})[1]).toBe(
    'State       not scoped: this is what an attach would hook',
  );
});

it('says what is not as it should be', () => {
  const lines = told({hookedNow: 180, calls: {...raw.calls, memoryFollowed: false}}, Infinity, {session: undefined});
  expect(lines[1]).toBe('State       scoped, by no session of this agent');
  expect(lines[6]).toBe('Hooked now  180');
  expect(lines[7]).toMatch(/^Memory map {2}not followed/);
  expect(told({target: {...raw.target, ioUrings: 1}})).toContain('io_uring    used: what goes through it is not seen');
});

it('is cut at the width of the screen', () => {
  const lines = told({}, 30);
  expect(Math.max(...lines.map(line => line.length))).toBe(30);
  expect(lines).toContain('openat2  no      no place tha…');
});

it('leaves alone what another version laid out', () => {
  expect(parseSurvey({...raw, calls: {seen: []}})).toBeUndefined();
});
