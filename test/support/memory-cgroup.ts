// A memory cgroup of a test's own, by whichever hierarchy this machine has.
import {existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {NotMeasured} from './not-measured';

interface Hierarchy {
  readonly root: string;
  readonly usage: string;
  readonly limit: string;
}

const HIERARCHIES: readonly Hierarchy[] = [
  {root: '/sys/fs/cgroup/memory', usage: 'memory.usage_in_bytes', limit: 'memory.limit_in_bytes'},
  {root: '/sys/fs/cgroup', usage: 'memory.current', limit: 'memory.max'},
];

let count = 0;

export class MemoryCgroup {
  private readonly folder: string;
  private readonly hierarchy: Hierarchy;

  /** An empty group without a limit. Throws NotMeasured where there is no memory controller. */
  constructor() {
    count += 1;
    const name = `scope-test-${process.pid}-${count}`;
    const found = HIERARCHIES.find(({root, usage}) => {
      const folder = join(root, name);
      if (!existsSync(join(root, 'cgroup.procs'))) return false;
      mkdirSync(folder);
      if (existsSync(join(folder, usage))) return true;
      rmdirSync(folder);
      return false;
    });
    if (found === undefined) throw new NotMeasured('there is no memory controller of cgroups here');
    this.hierarchy = found;
    this.folder = join(found.root, name);
  }

  /** What the process touches from now on is charged to the group. */
  add(pid: number): void {
    writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
  }

  get usageBytes(): number {
    return Number(readFileSync(join(this.folder, this.hierarchy.usage), 'latin1'));
  }

  set limitBytes(bytes: number) {
    writeFileSync(join(this.folder, this.hierarchy.limit), String(bytes));
  }

  /** Its processes must have ended. */
  close(): void {
    rmdirSync(this.folder);
  }
}
