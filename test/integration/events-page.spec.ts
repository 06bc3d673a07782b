// docs/events.md against a real run: every event that there is, each with what the page says, and nothing else. With
// UPDATE_DOCS=1 the page's examples are taken from that run (then: npm run format).
import {mkdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import type {ScopeEvent} from '@scope/api';
import {EVENT_NAMES} from '@scope/api';
import {checkout} from '../support/checkout';
import {EventsPage, faultsOf} from '../support/events-page';
import {startNameServer} from '../support/name-server';
import {Program} from '../support/program';
import {Scope, ofKind} from '../support/scope';
import {Stage} from '../support/stage';

/** What the examples show: not a folder with a random name. */
const FOLDER = '/tmp/shop';
const NAME_SERVER = '127.53.0.54';
const EVERYTHING = ['--capture', 'fs,net,dns,http,console', '--header', 'x-request-id,content-type'];

let stage: Stage;
let scope: Scope;
let seen: ScopeEvent[];

async function startProgram(): Promise<Program> {
  const args = [join(checkout, 'test/targets/everything.py'), FOLDER, NAME_SERVER];
  const program = stage.use(await Program.start('/usr/bin/python3', {args}));
  await program.answer('ready');
  return program;
}

/** Of several events of a name the one that says most. */
function writeExamples(): void {
  for (const name of EVENT_NAMES) {
    const [most] = seen
      .filter(ofKind(name))
      .sort((a, b) => Object.keys(b.attributes).length - Object.keys(a.attributes).length);
    if (most !== undefined) new EventsPage().setExample(name, JSON.stringify(most));
  }
}

beforeAll(async () => {
  stage = new Stage();
  mkdirSync(FOLDER, {recursive: true});
  stage.defer(FOLDER, () => {
    rmSync(FOLDER, {recursive: true});
  });
  await startNameServer(stage, NAME_SERVER, new Map([['orders.shop.test', '192.0.2.7']]));
  scope = await Scope.open(stage);

  const first = await startProgram();
  const whole = await scope.attach(first.pid, ...EVERYTHING);
  await first.ask('everything', 'order');
  await scope.event(whole, 'what is still open, after ten seconds', ofKind('fs.io'));
  await scope.event(whole, 'what is still connected, after ten seconds', ofKind('net.io'));
  first.send('end');
  await first.finish();

  const second = await startProgram();
  const limited = await scope.attach(second.pid, '--rate-limit', '100');
  await second.ask('flood', 'done');
  // Within the second of the flood; and for as long as it takes until it is seen.
  second.send('become /bin/sleep 600');
  await scope.event(limited, 'that it is another program', ofKind('process.exec'));
  const isSleep = ({process}: ScopeEvent): boolean => process.executable.endsWith('/sleep');
  await scope.event(limited, 'that one to be scoped', event => event.event === 'process.scoped' && isSleep(event));
  second.signal('SIGTERM');
  await second.finish();

  for (const session of [whole, limited]) await scope.event(session, 'its end', ofKind('process.unscoped'));
  seen = [...scope.events(whole), ...scope.events(limited)];
  if (process.env.UPDATE_DOCS === '1') writeExamples();
});

afterAll(async () => {
  await stage.close();
});

it('every event of the page happens', () => {
  const missing = EVENT_NAMES.filter(name => !seen.some(({event}) => event === name));
  expect({missing, seen: missing.length === 0 ? [] : seen.map(event => JSON.stringify(event))}).toEqual({
    missing: [],
    seen: [],
  });
});

it('no event says more than the page does, nor less than it promises', () => {
  const page = new EventsPage();
  const sections = new Map(page.events().map(section => [section.name, section]));
  const process = page.fields('process');
  const faults = seen.flatMap(event => {
    const section = sections.get(event.event);
    if (section === undefined) return [`docs/events.md has no ${event.event}`];
    return [...faultsOf(event.attributes, section), ...faultsOf({...event.process}, process)];
  });
  expect([...new Set(faults)]).toEqual([]);
});
