// When an exchange began, and when its answer did: by the calls that moved the bytes, however long nothing happened before.
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import {join} from 'node:path';
import {checkout} from '../support/checkout';
import {Program} from '../support/program';
import {Scope, ofKind} from '../support/scope';
import {Stage} from '../support/stage';
import {until} from '../support/until';

/** Seconds: the server thinks that long; between two requests it is quiet for a multiple of it. */
const THINKS = 0.2;
const QUIET = 1.5;
const ROUNDS = 3;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it('counts neither the quiet before a request, nor says that an answer came with its request', async () => {
  const program = stage.use(
    await Program.start('/usr/bin/python3', {args: [join(checkout, 'test/targets/keep-alive.py')]}),
  );
  await program.answer('ready');
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid);
  const began: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(QUIET * 1000);
    began.push(Date.now());
    expect(await program.ask(String(THINKS), 'got')).toBe('abc');
  }
  const exchanges = await until('all exchanges', () => {
    const found = scope.events(session).filter(ofKind('http.exchange'));
    return found.length >= 2 * ROUNDS && found;
  });
  expect(exchanges).toHaveLength(2 * ROUNDS);
  for (const role of ['server', 'client']) {
    const own = exchanges.filter(({attributes}) => attributes['scope.http.role'] === role);
    expect(own).toHaveLength(ROUNDS);
    for (const [round, event] of own.entries()) expect(faultsIn(event, began[round] ?? 0)).toEqual([]);
  }
});

function faultsIn({time, attributes}: ScopeEvent, beganMs: number): string[] {
  const duration = Number(attributes['scope.http.duration']);
  const first = Number(attributes['scope.http.first_byte']);
  const late = (Date.parse(time) - beganMs) / 1000;
  const what = `${String(attributes['scope.http.role'])}: began after ${late}, first byte after ${first}, whole ${duration}`;
  const isRight =
    late >= -0.01 && late < QUIET / 2 && first >= THINKS && first <= duration && duration < THINKS + QUIET / 2;
  return isRight ? [] : [what];
}
