// The follower ends itself with SIGKILL after its K-th operation on those whom it follows (--fault-at K): in the middle of
// a birth, of a program that is loaded, of anything. The children must end as they would have, their parent must go on, and
// the next attach and detach must mend what was left. K goes over all operations, scattered, as far as the time allows;
// SCOPE_POINTS (the runner's --points) is how many they are to be, or "all".
import {product} from '../support/checkout';
import {C_FLAGS, compileC} from '../support/compile';
import {injected} from '../support/injector';
import {faultsSince, footprint} from '../support/intact';
import {Program} from '../support/program';
import {Stage} from '../support/stage';
import {after, killThrough} from './fault-points';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/**
 * One run of the follower while children are made: undefined when it was killed, else how many operations it made. The
 * parent itself checks what became of each child.
 */
async function followOnce(program: Program, ways: readonly string[], operation: number): Promise<number | undefined> {
  await injected('attach', program.pid);
  const args = ['follow', '--pid', String(program.pid), '--fault-at', String(operation)];
  const follower = await Program.start(product.injector(), {args});
  // Lets each child go as its ring would be read; says when it is there, or gone.
  const attended = attend(follower);
  await attended.begun;
  for (const way of ways) await program.ask(way, 'child');
  follower.endInput();
  const {code, signal} = await follower.finish();
  const made = await attended.over;
  await injected('detach', program.pid);
  if (signal === 'SIGKILL') return undefined;
  if (code !== 0 || made === undefined)
    throw new Error(`the follower ended with ${code ?? signal}: ${follower.stderr}`);
  return made;
}

function attend(follower: Program): {begun: Promise<void>; over: Promise<number | undefined>} {
  let begin: () => void = () => undefined;
  const begun = new Promise<void>(resolve => {
    begin = resolve;
  });
  const over = (async () => {
    let made: number | undefined;
    for (;;) {
      const line = await follower.line().catch(() => undefined);
      if (line === undefined) break;
      const event = JSON.parse(line) as {event?: string; pid?: number; operations?: number};
      made = event.operations;
      if (event.event === 'following') begin();
      if (event.event === 'attached') follower.send(`go ${event.pid}`);
    }
    begin();
    return made;
  })();
  return {begun, over};
}

it.each([
  ['fork and posix_spawn, dynamic', [], ['fork', 'posix_spawn']],
  ['fork in vfork and vfork, static', ['-static'], ['fork-in-vfork', 'vfork']],
] as const)(
  '%s: killed after any operation',
  async (what, flags, ways) => {
    const folder = stage.folder();
    const file = await compileC('children.c', {flags: [...C_FLAGS, ...flags]});
    const program = stage.use(await Program.start(file, {args: [folder], cwd: folder}));
    await program.answer('ready');
    const before = footprint(program.pid);
    const toll = await killThrough(operation => followOnce(program, ways, operation));
    program.assertAlive();
    expect(faultsSince(before)).toEqual([]);
    program.send('quit');
    expect(await program.finish()).toEqual({code: 0, signal: null});
    console.log(`${what}: the follower was killed ${after(toll)}`);
  },
  600_000,
);
