// Servers with and without a scope, in turns, on the same two cores as their load generator and the agent that decodes
// every event; and what a request takes of whose processor time, which explains the figure.
import {cpuSeconds} from '../support/proc';
import {Scope} from '../support/scope';
import {startGoServer, startNginx, startNodeServer, startRedis} from '../support/servers';
import {Stage} from '../support/stage';
import type {Bar, Bench, BenchOptions, Figure} from './figure';
import {flawOf} from './figure';
import type {Answered} from './load-generators';
import {redisBenchmark, wrk} from './load-generators';
import {differences, median, ratios, spread} from './statistics';

interface Contest {
  readonly what: string;
  readonly bar: Bar;
  readonly start: (stage: Stage) => Promise<{pid: number; load: (seconds: number) => Promise<Answered>}>;
}

const CONTESTS: readonly Contest[] = [
  {
    what: 'redis',
    bar: {atLeast: 0.93},
    start: async stage => {
      const {program, port} = await startRedis(stage);
      return {pid: program.pid, load: seconds => redisBenchmark(port, seconds)};
    },
  },
  {
    what: 'nginx',
    bar: {atLeast: 0.93},
    start: async stage => {
      const {program, port} = await startNginx(stage, {accessLog: false});
      return {pid: program.pid, load: seconds => wrk(port, seconds)};
    },
  },
  {
    what: 'Node',
    bar: {atLeast: 0.93},
    start: async stage => {
      const {program, port} = await startNodeServer(stage);
      return {pid: program.pid, load: seconds => wrk(port, seconds)};
    },
  },
  {
    what: 'Go',
    bar: {atLeast: 0.88},
    start: async stage => {
      const {program, port} = await startGoServer(stage);
      return {pid: program.pid, load: seconds => wrk(port, seconds)};
    },
  },
];

/** Requests a second, and microseconds of processor time that one of them takes of each process. */
interface Round {
  readonly perSecond: number;
  readonly us: readonly number[];
}

async function measure(load: () => Promise<Answered>, pids: readonly number[]): Promise<Round> {
  const before = pids.map(cpuSeconds);
  const {requests, perSecond} = await load();
  const took = differences(pids.map(cpuSeconds), before);
  return {perSecond, us: took.map(seconds => (seconds * 1e6) / requests)};
}

async function contend({what, start, bar}: Contest, {quick, say}: BenchOptions): Promise<Figure> {
  const stage = new Stage();
  try {
    const {pid, load} = await start(stage);
    const scope = await Scope.open(stage);
    const seconds = quick ? 1 : 3;
    const plain: Round[] = [];
    const scoped: Round[] = [];
    let lost = 0;
    let events = 0;
    await load(1);
    for (let round = 0; round < (quick ? 2 : 8); round++) {
      plain.push(await measure(() => load(seconds), [pid]));
      await scope.attach(pid, '--no-history');
      scoped.push(await measure(() => load(seconds), [pid, scope.agent.pid]));
      const {counts} = await scope.detach(pid);
      lost += counts.lost;
      events += counts.delivered;
    }
    const rates = {plain: plain.map(({perSecond}) => perSecond), scoped: scoped.map(({perSecond}) => perSecond)};
    const took = (rounds: readonly Round[], process: number): number[] =>
      rounds.map(({us}) => us[process] ?? Number.NaN);
    const us = {plainUs: took(plain, 0), scopedUs: took(scoped, 0), agentUs: took(scoped, 1)};
    const [before, under, agent] = Object.values(us).map(each => median(each).toFixed(1));
    say(`${what}: ${median(rates.plain).toFixed(0)}/s plain, ${median(rates.scoped).toFixed(0)}/s scoped`);
    return {
      what: `${what}: throughput scoped ÷ unscoped`,
      value: median(rates.scoped) / median(rates.plain),
      spread: spread(ratios(rates.scoped, rates.plain)),
      unit: '×',
      bar,
      flaw: flawOf(lost),
      note: `${median(rates.plain).toFixed(0)}/s plain; a request takes ${before} µs of the server plain, ${under} scoped, ${agent} of the agent; ${events} events`,
      raw: {...rates, ...us},
    };
  } finally {
    await stage.close();
  }
}

export const throughput: Bench = async options => {
  const figures: Figure[] = [];
  for (const contest of CONTESTS) figures.push(await contend(contest, options));
  return figures;
};
