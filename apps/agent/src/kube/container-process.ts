import type {ProcessTable} from '@scope/attach';
import type {ProcSource} from '@scope/containers';
import {parseContainerId, parseNamespacePid} from '@scope/containers';
import type {ScopeTarget} from '@scope/api';
import type {FilterFacts} from './process-filter';

type Container = ScopeTarget['spec']['containers'][number];

/** A process of one of the target's containers. */
export interface ContainerProcess extends FilterFacts {
  readonly container: Container;
  /** Without the runtime's name. */
  readonly containerId: string;
  /** As the agent sees it. */
  readonly pid: number;
  readonly startTime: string;
  readonly parentPid: number;
}

/** Which processes each container on this node has, by container id. */
export type PidsByContainer = ReadonlyMap<string, readonly number[]>;

/** The live processes of the target's containers. One that ends while it is looked at is left out. */
export function processesOf(
  target: ScopeTarget,
  pids: PidsByContainer,
  table: ProcessTable,
  proc: ProcSource,
): readonly ContainerProcess[] {
  return target.spec.containers.flatMap(container => {
    const containerId = parseContainerId(container.id)?.id;
    if (containerId === undefined) return [];
    return (pids.get(containerId) ?? []).flatMap(pid => {
      const facts = table.read(pid);
      const status = proc.read(pid, 'status');
      if (facts === undefined || status === undefined || facts.zombie || facts.kernelThread) return [];
      const {name, executable, argv, startTime, parentPid} = facts;
      const containerPid = parseNamespacePid(status) ?? pid;
      return [{container, containerId, pid, startTime, parentPid, name, executable, argv, containerPid}];
    });
  });
}

/**
 * Those that pass `test` and, with `children`, all that descend from one of them or from one in `rooted` (already
 * scoped): a child is meant although it bears another name.
 */
export function chosenProcesses(
  processes: readonly ContainerProcess[],
  test: (facts: FilterFacts) => boolean,
  children: boolean,
  rooted: ReadonlySet<number>,
): readonly ContainerProcess[] {
  const chosen = new Set(processes.filter(test).map(({pid}) => pid));
  if (children) {
    const parents = new Map(processes.map(({pid, parentPid}) => [pid, parentPid]));
    for (const {pid} of processes) {
      if (descendsFrom(pid, parents, ancestor => chosen.has(ancestor) || rooted.has(ancestor))) chosen.add(pid);
    }
  }
  return processes.filter(({pid}) => chosen.has(pid));
}

function descendsFrom(pid: number, parents: ReadonlyMap<number, number>, isRoot: (pid: number) => boolean): boolean {
  // Bounded by the number of processes: a parent's id may have been used again, so there could be a ring.
  let ancestor = parents.get(pid);
  for (let steps = 0; ancestor !== undefined && steps < parents.size; steps += 1) {
    if (isRoot(ancestor)) return true;
    ancestor = parents.get(ancestor);
  }
  return false;
}
