import type {ContainerProcess} from './container-process';
import {chosenProcesses} from './container-process';

const process = (pid: number, parentPid: number, name: string): ContainerProcess => ({
  container: {name: 'app', id: 'containerd://x'},
  containerId: 'x',
  pid,
  parentPid,
  startTime: '1',
  name,
  executable: `/bin/${name}`,
  argv: [name],
  containerPid: pid,
});
const pidsOf = (processes: readonly ContainerProcess[]): number[] => processes.map(({pid}) => pid);

describe('chosenProcesses', () => {
  const shell = process(1, 0, 'sh');
  const server = process(2, 1, 'server');
  const helper = process(3, 2, 'helper');
  const grandchild = process(4, 3, 'tool');
  const other = process(5, 1, 'cron');
  const all = [shell, server, helper, grandchild, other];
  const isServer = ({name}: {name: string}): boolean => name === 'server';

  it('takes those that pass and what descends from them', () => {
    expect(pidsOf(chosenProcesses(all, isServer, true, new Set()))).toEqual([2, 3, 4]);
  });

  it('leaves children alone when told to', () => {
    expect(pidsOf(chosenProcesses(all, isServer, false, new Set()))).toEqual([2]);
  });

  it('takes the children of what is scoped although it passes no more', () => {
    expect(pidsOf(chosenProcesses(all, () => false, true, new Set([3])))).toEqual([4]);
  });

  it('ends where ids have been used again', () => {
    const ring = [process(1, 2, 'a'), process(2, 1, 'b')];
    expect(chosenProcesses(ring, () => false, true, new Set())).toEqual([]);
  });
});
