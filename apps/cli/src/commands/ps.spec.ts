import {FakeProcessTable, fakeProcess} from '@scope/attach';
import type {CommandContext} from '../context';
import {ps} from './ps';

function setUp(terminal: {isScreen: boolean; width: number}) {
  const said: string[] = [];
  const processes = new FakeProcessTable(
    fakeProcess({pid: 7, name: 'nginx', user: 'www', argv: ['nginx:', 'worker', 'process']}),
    fakeProcess({pid: 9, name: 'kworker', kernelThread: true, argv: []}),
    fakeProcess({pid: 11, name: 'sh', zombie: true, argv: []}),
  );
  const counts = {delivered: 12, lost: 0};
  const problems: {reason: string; message: string}[] = [];
  const session = {id: 'nginx-7-x', pid: 7, startTime: '1000', state: 'Scoped', counts, problems};
  const context = {
    terminal: {...terminal, out: (text: string) => said.push(text), err: (text: string) => said.push(`err: ${text}`)},
    processes,
    agent: {get: () => Promise.resolve({sessions: [session]})},
  } as unknown as CommandContext;
  return {context, said, session};
}

const PIPED = {isScreen: false, width: 20};

it('says what is scoped, and why what can not be can not', async () => {
  const {context, said} = setUp(PIPED);
  await ps(context, {});
  expect(said.join('\n').split('\n')).toEqual([
    'PID  USER  SCOPED  REASON  COMMAND',
    '7    www   true    -       nginx: worker process',
    '11   web   false   Zombie  [sh]',
  ]);
});

it('says of what is scoped when a part of it is not seen', async () => {
  const {context, said, session} = setUp(PIPED);
  session.problems.push({reason: 'PartlySeen', message: 'it uses io_uring'});
  await ps(context, {scoped: true});
  expect(said.join('\n').split('\n')[1]).toBe('7    www   true    PartlySeen  nginx: worker process');
});

it('is cut on a screen only', async () => {
  const {context, said} = setUp({isScreen: true, width: 35});
  await ps(context, {});
  expect(said.join('\n').split('\n')[1]).toBe('7    www   true    -       nginx: …');
});

it('shows kernel threads where they are asked for, and more in wide', async () => {
  const {context, said} = setUp(PIPED);
  await ps(context, {all: true, output: 'wide'});
  expect(said[0]).toMatch(/^PID +USER +SCOPED +REASON +SESSION +EVENTS +LOST +COMMAND$/m);
  expect(said[0]).toMatch(/^7 .* nginx-7-x +12 +0 /m);
  expect(said[0]).toMatch(/^9 .* KernelThread /m);
});

it('says so when nothing is scoped', async () => {
  const {context, said, session} = setUp(PIPED);
  session.state = 'Detached';
  await ps(context, {scoped: true});
  expect(said).toEqual(['err: Nothing is scoped.']);
});
