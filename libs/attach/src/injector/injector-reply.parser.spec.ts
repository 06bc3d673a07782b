import {parseReply, parseReport} from './injector-reply.parser';

const good = {
  ok: true,
  abi: 1,
  pid: 7,
  startTime: '1000',
  ring: {address: '0x7f00', bytes: 8_650_752, mapFile: '/proc/7/map_files/7f00-7fff'},
  target: {kind: 'glibc-dynamic', libc: 'glibc 2.36', executable: '/usr/sbin/nginx', threads: 4},
  sites: {found: 530, hooked: 121, skipped: [{reason: 'NotInteresting', count: 380}]},
  calls: {hooked: ['read'], partial: [], missing: []},
  stop: {threads: 4, microseconds: 812},
  leftovers: false,
};

const run = (stdout: string, code: number | null = 0, stderr = '') => ({stdout, stderr, code});

describe('the injector’s answer', () => {
  it('is the last line', () => {
    const report = parseReport(parseReply('attach', 7, run(`talk\n${JSON.stringify(good)}\n`)));
    expect(report).toMatchObject({
      pid: 7,
      startTime: '1000',
      stopMicroseconds: 812,
      ring: good.ring,
      sites: good.sites,
    });
    expect(report.target).not.toHaveProperty('go');
  });

  it('throws the refusal that it names, with its words', () => {
    const refused = {ok: false, reason: 'AlreadyTraced', message: 'gdb has it', details: {tracer: 9}};
    expect(() => parseReply('attach', 7, run(JSON.stringify(refused), 1))).toThrow(
      expect.objectContaining({reason: 'AlreadyTraced', message: 'gdb has it', details: {pid: 7, tracer: 9}}) as Error,
    );
  });

  it.each([
    ['nothing', ''],
    ['no JSON', 'Segmentation fault'],
    ['a reason that nobody knows', '{"ok":false,"reason":"Whim","message":"x"}'],
    ['half a line', '{"ok":tr'],
  ])('%s is an InternalError that carries what it said', (_, stdout) => {
    expect(() => parseReply('attach', 7, run(stdout, null, 'panicked at x'))).toThrow(
      expect.objectContaining({
        reason: 'InternalError',
        message: expect.stringContaining('panicked at x') as string,
      }) as Error,
    );
  });

  it('of another shape is an InternalError: the process may be patched all the same', () => {
    const {sites: _, ...without} = good;
    expect(() => parseReport(without)).toThrow(expect.objectContaining({reason: 'InternalError'}) as Error);
  });
});
