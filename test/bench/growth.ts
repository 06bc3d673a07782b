// How much memory of its own a process needs more for being scoped: before, scoped, and after the detach, each under the
// same load. Every round has a new process, since the pages whose text was changed stay its own after the first detach.
import {setTimeout as sleep} from 'node:timers/promises';
import {startHttpLoad} from '../support/http-load';
import {Scope} from '../support/scope';
import {startNginx, startTester} from '../support/servers';
import {Stage} from '../support/stage';
import type {Bench, BenchOptions, Figure} from './figure';
import type {PrivateMemory} from './private-memory';
import {privateMemory} from './private-memory';
import {median, spread} from './statistics';

const WARM_UP_MS = 1_000;
const SAMPLES = 9;
const SAMPLE_EVERY_MS = 50;

interface Grower {
  readonly what: string;
  /** Under load from then on until the stage closes. */
  readonly start: (stage: Stage) => Promise<number>;
}

const GROWERS: readonly Grower[] = [
  {
    what: 'a C program that writes to a socket',
    start: async stage => {
      const {program} = await startTester(stage, 'writer.c', {args: ['socket']});
      const end = new AbortController();
      const writing = (async () => {
        while (!end.signal.aborted) await program.ask('measure 500 200 500', 'took');
      })();
      writing.catch(() => undefined); // it is awaited when the stage closes
      stage.defer('the writing', async () => {
        end.abort();
        await writing;
      });
      return program.pid;
    },
  },
  {
    what: 'nginx',
    start: async stage => {
      const server = await startNginx(stage);
      stage.use(startHttpLoad(server, {lanes: 4}));
      return server.program.pid;
    },
  },
];

/** The middle of some samples: what a single moment holds, a buffer that comes and goes, does not count. */
async function sampled(pid: number): Promise<PrivateMemory> {
  const samples: PrivateMemory[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    samples.push(privateMemory(pid));
    await sleep(SAMPLE_EVERY_MS);
  }
  return {total: median(samples.map(({total}) => total)), rings: median(samples.map(({rings}) => rings))};
}

async function grow({what, start}: Grower, {quick, say}: BenchOptions): Promise<Figure> {
  const scopeStage = new Stage();
  try {
    const scope = await Scope.open(scopeStage);
    const scoped: number[] = [];
    const rings: number[] = [];
    const detached: number[] = [];
    for (let round = 0; round < (quick ? 2 : 9); round++) {
      const stage = new Stage();
      try {
        const pid = await start(stage);
        await sleep(WARM_UP_MS);
        const before = await sampled(pid);
        await scope.attach(pid, '--no-history');
        await sleep(WARM_UP_MS);
        const under = await sampled(pid);
        await scope.detach(pid);
        const after = await sampled(pid);
        scoped.push(under.total - before.total);
        rings.push(under.rings);
        detached.push(after.total - before.total);
      } finally {
        await stage.close();
      }
    }
    say(`private growth of ${what}: ${median(scoped)} KiB scoped, ${median(detached)} KiB after the detach`);
    return {
      what: `private growth of ${what}`,
      value: median(scoped) / 1024,
      spread: spread(scoped) / 1024,
      unit: 'MiB',
      bar: {atMost: 1},
      note: `${median(rings)} KiB of it unread in the rings; ${median(detached)} KiB after the detach`,
      raw: {scoped, rings, detached},
    };
  } finally {
    await scopeStage.close();
  }
}

export const growth: Bench = async options => {
  const figures: Figure[] = [];
  for (const grower of GROWERS) figures.push(await grow(grower, options));
  return figures;
};
