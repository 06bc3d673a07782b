// A program as a client: Python's urllib against a server of the test's, attached to under way.
import type {Server} from 'node:http';
import {createServer} from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';
import {patternOf} from '../support/content';
import {faultsSince, footprint} from '../support/intact';
import {Scope, isBetween, ofKind, quietMoment} from '../support/scope';
import {startPythonClient} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Answers /pattern/N with its pattern, /slow byte by byte, anything else with 404. */
async function startServer(): Promise<{base: string; port: number}> {
  const server: Server = createServer((request, response) => {
    const size = /^\/pattern\/(\d+)$/.exec(request.url ?? '')?.[1];
    if (size !== undefined) {
      response.end(patternOf(Number(size)));
      return;
    }
    if (request.url === '/slow') {
      response.socket?.setNoDelay(true);
      response.writeHead(200, {'content-length': 20});
      void (async () => {
        for (const byte of 'twenty bytes, slowly') {
          response.write(byte);
          await sleep(2);
        }
        response.end();
      })();
      return;
    }
    response.writeHead(404).end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  stage.defer('the server', () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return {base: `http://127.0.0.1:${address.port}`, port: address.port};
}

const requestsOf = (answer: string): number => Number(answer.split(' ')[0]);

it('every request that it counted is one http.exchange in the client’s role', async () => {
  const {base, port} = await startServer();
  const {program, name} = await startPythonClient(stage, base);
  const scope = await Scope.open(stage);
  const before = footprint(program.pid);
  await program.ask('run', 'running');
  const session = await scope.attach(name);
  await sleep(300);
  const first = requestsOf(await program.ask('pause', 'paused'));
  const since = await quietMoment();
  await program.ask('run', 'running');
  await sleep(800);
  const second = requestsOf(await program.ask('pause', 'paused'));
  expect(await program.ask('one /nothing', 'got')).toBe('404 0');
  expect(await program.ask('one /slow', 'got')).toBe('200 20');
  const ended = await scope.detach(program.pid);
  expect(ended.counts.lost).toBe(0);

  const exchanges = scope.events(session).filter(ofKind('http.exchange')).filter(isBetween(since));
  expect(exchanges).toHaveLength(second - first + 2);
  for (const {attributes} of exchanges) {
    expect(attributes).toMatchObject({'scope.http.role': 'client', 'http.request.method': 'GET', 'server.port': port});
  }
  const [nothing, slow] = exchanges.slice(-2);
  expect(nothing?.attributes).toMatchObject({'url.path': '/nothing', 'http.response.status_code': 404});
  expect(slow?.attributes).toMatchObject({'url.path': '/slow', 'http.response.body.size': 20});

  await until('requests after the detach', async () => {
    await program.ask('run', 'running');
    await sleep(200);
    return requestsOf(await program.ask('pause', 'paused')) > second;
  });
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
  await program.ask('quit', 'paused');
  expect(await program.finish()).toEqual({code: 0, signal: null});
});
