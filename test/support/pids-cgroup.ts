// A pids cgroup of a test's own, by whichever hierarchy this machine has.
import {existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {NotMeasured} from './not-measured';

/** Of cgroups v1 and v2: where it is one, a new group has a pids.max. */
const ROOTS = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'];

let count = 0;

export class PidsCgroup {
  private readonly folder: string;

  /** An empty group without a limit. Throws NotMeasured where there is no pids controller. */
  constructor() {
    count += 1;
    const name = `scope-test-${process.pid}-${count}`;
    const found = ROOTS.map(root => join(root, name)).find(folder => {
      if (!existsSync(join(folder, '../cgroup.procs'))) return false;
      mkdirSync(folder);
      if (existsSync(join(folder, 'pids.max'))) return true;
      rmdirSync(folder);
      return false;
    });
    if (found === undefined) throw new NotMeasured('there is no pids controller of cgroups here');
    this.folder = found;
  }

  add(pid: number): void {
    writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
  }

  /** From now on no task can be made in it. */
  fill(): void {
    writeFileSync(join(this.folder, 'pids.max'), readFileSync(join(this.folder, 'pids.current')));
  }

  /** How often a task was refused. */
  get refused(): number {
    return Number(/^max (\d+)/m.exec(readFileSync(join(this.folder, 'pids.events'), 'latin1'))?.[1]);
  }

  /** Its processes must have ended. */
  close(): void {
    rmdirSync(this.folder);
  }
}
