import {ContainerScanner} from './container-scanner';
import {FakeProcSource} from './proc-source.fake';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const HOST = '0::/init.scope\n';
const inContainer = (id: string): {cgroup: string} => ({cgroup: `0::/docker/${id}\n`});

describe('ContainerScanner', () => {
  let proc: FakeProcSource;
  let scanner: ContainerScanner;

  beforeEach(() => {
    proc = new FakeProcSource();
    scanner = new ContainerScanner(proc);
  });

  it('gives the processes of each container, and forgets those that ended', () => {
    proc.processes.set(1, {cgroup: HOST}).set(10, inContainer(A)).set(11, inContainer(A)).set(20, inContainer(B));
    expect(Object.fromEntries(scanner.scan())).toEqual({[A]: [10, 11], [B]: [20]});
    proc.processes.delete(11);
    expect(scanner.scan().get(A)).toEqual([10]);
  });

  it('sees a process that moves into its container after its birth', () => {
    proc.processes.set(10, {cgroup: HOST});
    expect(scanner.scan().size).toBe(0);
    proc.processes.set(10, inContainer(A));
    expect(scanner.scan().get(A)).toEqual([10]);
  });

  it('does not read again what is settled', () => {
    proc.processes.set(1, {cgroup: HOST}).set(10, inContainer(A));
    for (let i = 0; i < 29; i += 1) scanner.scan();
    expect(proc.reads.get('10/cgroup')).toBe(1);
    expect(proc.reads.get('1/cgroup')).toBe(10);
  });

  it('notices in time that an id has been used again', () => {
    proc.processes.set(10, inContainer(A));
    scanner.scan();
    proc.processes.set(10, inContainer(B));
    for (let i = 0; i < 30; i += 1) scanner.scan();
    expect(scanner.scan().get(B)).toEqual([10]);
  });
});
