// A cgroup of a test's own whose processes get only so much processor time, by whichever hierarchy this machine has.
import {existsSync, mkdirSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {NotMeasured} from './not-measured';

/** The period of the quota in µs, as kubelets set it. */
const PERIOD_US = 100_000;

interface Hierarchy {
  readonly root: string;
  /** Writes the quota: microseconds in each period. */
  readonly limit: (folder: string, us: number) => void;
  readonly file: string;
}

const HIERARCHIES: readonly Hierarchy[] = [
  {
    root: '/sys/fs/cgroup/cpu',
    file: 'cpu.cfs_quota_us',
    limit: (folder, us) => {
      writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(us));
    },
  },
  {
    root: '/sys/fs/cgroup',
    file: 'cpu.max',
    limit: (folder, us) => {
      writeFileSync(join(folder, 'cpu.max'), `${us} ${PERIOD_US}`);
    },
  },
];

let count = 0;

export class CpuCgroup {
  private readonly folder: string;

  /** An empty group with a quota in processors: 0.5 is 50 ms in each 100. Throws NotMeasured where there is no such controller. */
  constructor(processors: number) {
    count += 1;
    const name = `scope-test-${process.pid}-${count}`;
    const found = HIERARCHIES.find(({root, file}) => {
      const folder = join(root, name);
      if (!existsSync(join(root, 'cgroup.procs'))) return false;
      mkdirSync(folder);
      if (existsSync(join(folder, file))) return true;
      rmdirSync(folder);
      return false;
    });
    if (found === undefined) throw new NotMeasured('there is no cpu controller of cgroups here');
    this.folder = join(found.root, name);
    found.limit(this.folder, processors * PERIOD_US);
  }

  /** The process and all its threads. */
  add(pid: number): void {
    writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
  }

  /** Its processes must have ended. */
  close(): void {
    rmdirSync(this.folder);
  }
}
