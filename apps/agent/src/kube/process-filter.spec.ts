import {compileFilter} from './process-filter';

const nginx = {
  name: 'nginx',
  executable: '/usr/sbin/nginx',
  argv: ['nginx:', 'worker', 'process'],
  containerPid: 7,
};

describe('compileFilter', () => {
  it.each([
    ['no filter', undefined, true],
    ['the name', {names: ['nginx']}, true],
    ['a glob', {names: ['redis', 'ng*']}, true],
    ['one character', {names: ['ngin?']}, true],
    ['another name', {names: ['redis']}, false],
    ['part of a name', {names: ['ngin']}, false],
    ['a dot is no wildcard', {names: ['ngin.']}, false],
    ['part of the command line', {commandLine: 'worker'}, true],
    ['an anchored command line', {commandLine: '^worker'}, false],
    ['a flag at the start', {commandLine: '(?s)nginx.*process'}, true],
    ['the id inside the container', {pids: [1, 7]}, true],
    ['another id', {pids: [1]}, false],
    ['all must pass', {names: ['nginx'], pids: [1]}, false],
  ])('%s', (_what, filter, expected) => {
    expect(compileFilter(filter)(nginx)).toBe(expected);
  });

  it('refuses what linear time does not suffice for, and says what to do', () => {
    expect(refusal('(?=x)y')).toMatchObject({
      reason: 'InvalidArgument',
      advice: expect.stringContaining('lookaround') as string,
    });
  });

  it('does not hang on a hostile expression', () => {
    const argv = ['a'.repeat(20_000)];
    expect(compileFilter({commandLine: '(a+)+b'})({...nginx, argv})).toBe(false);
  });
});

function refusal(commandLine: string): unknown {
  try {
    compileFilter({commandLine});
    return undefined;
  } catch (error) {
    return error;
  }
}
