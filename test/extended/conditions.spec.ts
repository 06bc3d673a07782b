// Programs as containers, sandboxes and hardened services run them: each is attached to and counted to the byte, or it is
// refused with the reason that the page names; either way it goes on as if nothing had been.
import type {Condition} from '../support/conditions';
import {conditions} from '../support/conditions';
import {inject, injected} from '../support/injector';
import {faultsSince, footprint} from '../support/intact';
import type {Tester} from '../support/measure';
import {measureServer, measureTester} from '../support/measure';
import {measuredOrSaid} from '../support/not-measured';
import {Scope} from '../support/scope';
import {startNginx} from '../support/servers';
import {Stage} from '../support/stage';
import {TargetsTable} from '../support/targets-page';

const table = new TargetsTable('conditions', {condition: 'exactly', verdict: 'exactly'});

let agent: Stage;
let scope: Scope;
let stage: Stage;
beforeAll(async () => {
  agent = new Stage();
  scope = await Scope.open(agent);
});
afterAll(async () => {
  await agent.close();
  await table.finish();
});
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** An attach that must be refused: what came instead, and what it did to the tester. */
async function faultsOfRefusal({program, pid}: Tester, reason: string): Promise<string[]> {
  const before = footprint(pid);
  await program.ask('run', 'running');
  const {reply, code, signal} = await inject('attach', pid);
  const answer =
    reply?.ok === true ? 'no refusal' : (reply?.reason ?? `the end of the injector (${code ?? signal ?? ''})`);
  const faults = answer === reason ? [] : [`${answer} instead of ${reason}: ${reply?.message ?? ''}`];
  if (reply?.ok === true) await inject('detach', pid);
  program.assertAlive();
  faults.push(...faultsSince(before, {mappings: 'all', descriptors: 'ours'}));
  await program.ask('quit', 'paused', 60_000);
  const end = await program.finish();
  return end.code === 0 ? faults : [...faults, `it ended with ${end.code ?? end.signal ?? ''}`];
}

async function faultsOf({start, refused, enter = false}: Condition): Promise<string[]> {
  const tester = await start(stage);
  if (enter) {
    await injected('attach', tester.pid, '--enter');
    await injected('detach', tester.pid, '--enter');
  }
  if (refused !== undefined) return faultsOfRefusal(tester, refused);
  const {faults, bytes} = await measureTester(scope, tester);
  return bytes > 1000 ? [...faults] : [...faults, `only ${bytes} bytes were moved`];
}

it.each(Object.entries(conditions))('%s', async (what, condition) => {
  await measuredOrSaid(what, async () => {
    const verdict = condition.refused === undefined ? 'every byte counted' : `refused: ${condition.refused}`;
    const faults = await faultsOf(condition);
    expect([...faults, ...(faults.length === 0 ? table.faults([what, verdict]) : [])]).toEqual([]);
  });
});

it('one thread', async () => {
  const {faults, coverage} = await measureServer(scope, await startNginx(stage));
  expect(coverage.target?.threads).toBe(1);
  expect([...faults, ...table.faults(['one thread', 'every exchange and byte counted'])]).toEqual([]);
});
