import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import type {HttpLoad} from './http-load';
import {startHttpLoad} from './http-load';
import {faultsSince, footprint} from './intact';
import type {Load} from './load';
import {Scope, isBetween, quietMoment} from './scope';
import type {HttpServer} from './servers';
import type {Stage} from './stage';
import {until} from './until';

const served = ({event, attributes}: ScopeEvent): boolean =>
  event === 'http.exchange' && attributes['scope.http.role'] === 'server';

export const expectNoErrors = (load: HttpLoad): void => {
  expect(load.errors.slice(0, 3)).toEqual([]);
};

/** So many attaches and detaches, some answers in each. */
export async function attachAgainAndAgain(
  scope: Scope,
  target: string | number,
  load: Load,
  times: number,
): Promise<void> {
  for (let n = 0; n < times; n++) {
    await scope.attach(target);
    const atAttach = load.done;
    await until('answers while it is scoped', () => load.done > atAttach + 20);
    await scope.detach(target);
  }
}

/**
 * Attaches while requests fly, so many times; of the last session, every exchange between two quiet moments is seen exactly
 * once, and after its detach the program is as it was and answers on.
 */
export async function expectEveryExchange(
  stage: Stage,
  server: HttpServer,
  {target, lanes = 4, times = 1}: {target: string | number; lanes?: number; times?: number},
): Promise<void> {
  const {program, echoes, heads = true} = server;
  const {pid} = program;
  const scope = await Scope.open(stage);
  const before = footprint(pid);
  const load = stage.use(startHttpLoad(server, {lanes, heads}));
  await until('the first answers', () => load.done > 50);
  await attachAgainAndAgain(scope, target, load, times - 1);

  const session = await scope.attach(target);
  expect(session.pid).toBe(pid);
  await sleep(500);
  await load.pause();
  expectNoErrors(load);
  const [from, answeredBefore] = [await quietMoment(), load.done];
  load.resume();
  await until('some hundred more answers', () => load.done > answeredBefore + 400);
  await load.pause();
  const answered = load.done - answeredBefore;
  const to = await quietMoment();
  const exchanges = (): ScopeEvent[] => scope.events(session).filter(served).filter(isBetween(from, to));
  await until('all of them to be told', () => exchanges().length >= answered);

  load.resume();
  await sleep(100);
  const ended = await scope.detach(target);
  expect(ended.state).toBe('Detached');
  expect(ended.counts.lost).toBe(0);
  expect(exchanges()).toHaveLength(answered);
  expect(exchanges().filter(({attributes}) => attributes['http.response.status_code'] !== 200)).toEqual([]);
  const methods = new Set(exchanges().map(({attributes}) => attributes['http.request.method']));
  expect([...methods].sort()).toEqual(['GET', ...(heads ? ['HEAD'] : []), ...(echoes ? ['POST'] : [])]);
  const atDetach = load.done;
  await until('answers after the detach', () => load.done > atDetach + 50);
  await load.close();
  expectNoErrors(load);
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
}
