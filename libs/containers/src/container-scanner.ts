import type {ContainerMembership} from './cgroup.parser';
import {parseCgroups} from './cgroup.parser';
import type {ProcSource} from './proc-source.port';

interface Known {
  readonly membership: ContainerMembership | undefined;
  /** In how many scans it has been read. */
  readonly looks: number;
}

/** A process is born in the cgroup of whoever starts the container and moves into the container's a moment later. */
const LOOKS_BEFORE_SETTLED = 10;
/** Every so many scans all is read anew: an id may have been used again. */
const FULL_SCAN_EVERY = 30;

/**
 * Which processes each container has. A scan reads one small file per process that is not yet known to be in a
 * container or out of all; the rest is remembered, so that scanning every second costs next to nothing.
 */
export class ContainerScanner {
  private known = new Map<number, Known>();
  private scans = 0;

  constructor(private readonly proc: ProcSource) {}

  /** Ids of the processes of each container, by container id. */
  scan(): ReadonlyMap<string, readonly number[]> {
    if (this.scans % FULL_SCAN_EVERY === 0) this.known = new Map();
    this.scans += 1;
    const next = new Map<number, Known>();
    const byContainer = new Map<string, number[]>();
    for (const pid of this.proc.pids()) {
      const known = this.look(pid);
      next.set(pid, known);
      if (known.membership === undefined) continue;
      const {containerId} = known.membership;
      const pids = byContainer.get(containerId);
      if (pids === undefined) byContainer.set(containerId, [pid]);
      else pids.push(pid);
    }
    this.known = next;
    return byContainer;
  }

  private look(pid: number): Known {
    const before = this.known.get(pid);
    if (before !== undefined && (before.membership !== undefined || before.looks >= LOOKS_BEFORE_SETTLED))
      return before;
    const text = this.proc.read(pid, 'cgroup');
    return {membership: text === undefined ? undefined : parseCgroups(text), looks: (before?.looks ?? 0) + 1};
  }
}
