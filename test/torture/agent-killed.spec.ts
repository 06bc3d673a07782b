// SIGKILL of the agent while its targets are under load: they run on with hooks that nobody reads, and the next agent
// takes the session back, without touching the target, and goes on with it.
import {setTimeout as sleep} from 'node:timers/promises';
import {inject} from '../support/injector';
import {faultsSince, footprint, isPatched, textDifferences} from '../support/intact';
import {Scope, ofKind} from '../support/scope';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import {kinds} from './victims';

const DEATHS = Number(process.env.SCOPE_DEATHS ?? 3);

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it.each(['nginx', 'redis', 'go', 'node', 'two hundred threads'])(
  '%s lives through the deaths of its agent',
  async name => {
    const start = kinds[name];
    if (start === undefined) throw new Error(`no kind ${name}`);
    const victim = await start(stage);
    const {pid} = victim.program;
    const before = footprint(pid);
    const scope = await Scope.open(stage);
    const first = await victim.done();
    const session = await scope.attach(pid);
    const hooked = textDifferences(pid);
    const more = async (): Promise<void> => {
      const {delivered} = (await scope.session(session.id)).counts;
      await until('more events', async () => (await scope.session(session.id)).counts.delivered > delivered);
    };
    for (let death = 0; death < DEATHS; death++) {
      await more();
      await sleep(50 * death);
      scope.agent.signal('SIGKILL');
      await scope.agent.finish();
      // Nobody reads the ring: it fills, and the hooks go on without it.
      const alone = await victim.done();
      await sleep(500);
      victim.assertUnharmed();
      await until('work without an agent', async () => (await victim.done()) > alone);
      expect(isPatched(pid)).toBe(true);
      const told = scope.events(session).filter(ofKind('scope.lost')).length;
      await scope.startAgent();
      expect((await scope.session(session.id)).state).toBe('Scoped');
      await until('what was missed', () => scope.events(session).filter(ofKind('scope.lost')).length > told);
      victim.assertUnharmed();
      expect(textDifferences(pid)).toEqual(hooked);
    }
    await more();
    expect((await scope.detach(pid)).state).toBe('Detached');
    const work = (await victim.done()) - first;
    await victim.rest();
    victim.assertUnharmed();
    // A detach may leave inert code where a thread could still return to it; the next one takes that away too.
    if (faultsSince(before, {descriptors: 'ours'}).length > 0) await inject('detach', pid);
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
    expect(work).toBeGreaterThan(DEATHS);
    console.log(`${name}: the agent was killed ${DEATHS} times, ${work} pieces of work verified meanwhile`);
  },
  300_000,
);
