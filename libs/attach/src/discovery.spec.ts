import {bearsName, checkPid, commandLine, findByName, parseTarget} from './discovery';
import {fakeProcess} from './proc/process-table.fake';

describe('parseTarget', () => {
  it('takes a number for a PID and anything else for a NAME', () => {
    expect(parseTarget('42')).toEqual({kind: 'pid', pid: 42});
    expect(parseTarget('nginx')).toEqual({kind: 'name', name: 'nginx'});
    expect(parseTarget('7zip')).toEqual({kind: 'name', name: '7zip'});
  });

  it.each(['0', '-1', '-99999', '99999999999', '', '  '])('refuses %p', argument => {
    expect(() => parseTarget(argument)).toThrow(expect.objectContaining({reason: 'InvalidArgument'}) as Error);
  });
});

describe('checkPid', () => {
  it.each([0, -1, 1.5, NaN, '12', null, undefined, 2 ** 31])('refuses %p', pid => {
    expect(() => checkPid(pid)).toThrow(expect.objectContaining({reason: 'InvalidArgument'}) as Error);
  });
});

describe('names', () => {
  const worker = fakeProcess({pid: 5, name: 'nginx', executable: '/usr/sbin/nginx', argv: ['nginx: worker process']});
  const script = fakeProcess({
    pid: 6,
    name: 'python3',
    executable: '/usr/bin/python3.11',
    argv: ['/opt/bin/myserver', '-v'],
  });
  const zombie = fakeProcess({pid: 7, name: 'nginx', executable: undefined, argv: [], zombie: true});

  it('are comm, the program’s file, or the first argument’s', () => {
    expect(
      ['nginx', 'worker', 'python3', 'python3.11', 'myserver', '/opt/bin/myserver'].map(name => [
        bearsName(worker, name),
        bearsName(script, name),
      ]),
    ).toEqual([
      [true, false],
      [false, false],
      [false, true],
      [false, true],
      [false, true],
      [false, false],
    ]);
  });

  it('mean the living; the dead only when nobody else bears the name; never those excepted', () => {
    expect(findByName([worker, zombie], 'nginx', []).map(({pid}) => pid)).toEqual([5]);
    expect(findByName([zombie], 'nginx', []).map(({pid}) => pid)).toEqual([7]);
    expect(findByName([worker], 'nginx', [5])).toEqual([]);
  });

  it('do not drive a terminal', () => {
    expect(commandLine(fakeProcess({pid: 1, argv: ['a\u001b[31m', 'b\nc']}))).toBe('a?[31m b?c');
    expect(commandLine(zombie)).toBe('[nginx]');
  });
});
