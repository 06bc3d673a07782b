// Nothing is copied of streams whose bytes nobody looks at, by descriptors' numbers. What a number stands for next is looked
// at again: not one exchange is missed where numbers go from one protocol to another all the time.
import type {Socket} from 'node:net';
import {connect} from 'node:net';
import {targets} from '../support/compile';
import {Lanes} from '../support/load';
import {freePort, listening} from '../support/ports';
import {Program} from '../support/program';
import {Scope, ofKind, quietMoment, sum} from '../support/scope';
import {PYTHON} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import {join} from 'node:path';

const CONNECTIONS = 4_000;
const HTTP_REQUESTS = 3;
const REQUEST = 'GET /two HTTP/1.1\r\nHost: h\r\n\r\n';
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Sends, and waits for the answer to be whole. */
async function ask(socket: Socket, text: string, expected: string): Promise<void> {
  const answer = await new Promise<string>((resolve, reject) => {
    let got = '';
    socket.on('data', (part: Buffer) => {
      got += part.toString('latin1');
      if (got.length >= expected.length) resolve(got);
    });
    socket.once('error', reject);
    socket.once('close', () => {
      reject(new Error('closed'));
    });
    socket.write(text);
  });
  socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
  if (answer !== expected) throw new Error(`${answer.slice(0, 60)} instead of ${expected.slice(0, 60)}`);
}

it('a number that was another protocol’s is looked at again', async () => {
  const port = await freePort();
  const program = stage.use(await Program.start(PYTHON, {args: [join(targets, 'two-protocols.py'), String(port)]}));
  await program.answer('ready');
  await listening(port);
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid);
  await quietMoment();

  const told = {requests: 0, sent: 0, received: 0};
  let turn = 0;
  const step = async (): Promise<void> => {
    const n = (turn += 1);
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    socket.on('error', () => undefined);
    await new Promise(resolve => socket.once('connect', resolve));
    if (n % 2 === 0) {
      for (let k = 0; k < HTTP_REQUESTS; k++) {
        await ask(socket, REQUEST, ANSWER);
        told.requests += 1;
      }
    } else {
      // One piece tells what it is; of all behind it nothing need be copied.
      const text = `\x16\x03\x01${'b'.repeat(1 + ((n * 131) % 3_000))}`;
      for (let k = 0; k < 1 + (n % 5); k++) await ask(socket, text, text);
    }
    told.sent += socket.bytesWritten;
    told.received += socket.bytesRead;
    socket.destroy();
  };
  const load = stage.use(new Lanes([step, step, step, step]));
  await until('all connections', () => load.done >= CONNECTIONS, {timeoutMs: 120_000});
  await load.pause();
  await quietMoment();
  const ended = await scope.detach(program.pid);
  expect(load.errors.slice(0, 3)).toEqual([]);
  expect(ended.counts.lost).toBe(0);
  const events = scope.events(session);
  expect(events.filter(ofKind('http.exchange'))).toHaveLength(told.requests);
  const ours = events.filter(ofKind('net.close')).filter(({attributes}) => attributes['network.local.port'] === port);
  expect(sum(ours, 'scope.net.receive.bytes')).toBe(told.sent);
  expect(sum(ours, 'scope.net.transmit.bytes')).toBe(told.received);
});
