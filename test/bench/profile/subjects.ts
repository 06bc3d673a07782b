// What is profiled: the agent while it decodes, and programs while they are scoped.
import {rmSync} from 'node:fs';
import {Scope} from '../../support/scope';
import {startNginx, startRedis, startTester} from '../../support/servers';
import type {Stage} from '../../support/stage';
import {ab, redisBenchmark, wrk} from '../load-generators';
import {settled} from '../settled';
import {sampled} from './perf';
import type {Sample} from './samples';

export interface Subject {
  readonly what: string;
  readonly profile: (stage: Stage, quick: boolean) => Promise<Sample[]>;
}

const EXCHANGES = 100_000;

/** So that perf can name what V8 has compiled. It makes the agent a little slower: the bench proper does without. */
const NAMED = ['--perf-basic-prof-only-functions'];

const agent: Subject = {
  what: 'the agent, 100,000 HTTP exchanges to NDJSON history',
  profile: async (stage, quick) => {
    const {program, port} = await startNginx(stage, {accessLog: false});
    const scope = await Scope.open(stage, {nodeFlags: NAMED});
    const names = `/tmp/perf-${scope.agent.pid}.map`;
    stage.defer(names, () => {
      rmSync(names, {force: true});
    });
    const session = await scope.attach(program.pid);
    return sampled(stage, scope.agent.pid, async () => {
      for (let round = 0; round < (quick ? 1 : 3); round++) await ab(port, EXCHANGES);
      await settled(scope, session);
    });
  },
};

/** A program that is scoped, under load. */
async function scoped(stage: Stage, pid: number, load: () => Promise<unknown>): Promise<Sample[]> {
  const scope = await Scope.open(stage);
  await scope.attach(pid, '--no-history');
  await load();
  return sampled(stage, pid, load);
}

export const SUBJECTS: readonly Subject[] = [
  agent,
  {
    what: 'redis, scoped, under redis-benchmark',
    profile: async (stage, quick) => {
      const {program, port} = await startRedis(stage);
      return scoped(stage, program.pid, () => redisBenchmark(port, quick ? 1 : 5));
    },
  },
  {
    what: 'nginx, scoped, under wrk',
    profile: async (stage, quick) => {
      const {program, port} = await startNginx(stage, {accessLog: false});
      return scoped(stage, program.pid, () => wrk(port, quick ? 1 : 5));
    },
  },
  {
    what: 'a C program that writes 64 bytes to a socket, scoped',
    profile: async (stage, quick) => {
      const {program} = await startTester(stage, 'writer.c', {args: ['socket']});
      return scoped(stage, program.pid, () => program.ask(`measure ${quick ? 200 : 1_000} 200 1000`, 'took', 60_000));
    },
  },
];
