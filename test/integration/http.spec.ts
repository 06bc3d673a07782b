// What HTTP/1 allows and servers meet: each is one http.exchange, told right, however its bytes were cut.
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {fileName, patternOf} from '../support/content';
import {RawConnection} from '../support/raw-http';
import {Scope, ofKind} from '../support/scope';
import type {HttpServer} from '../support/servers';
import {startNodeServer} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
let server: HttpServer;
let scope: Scope;
let session: SessionView;
let before: RawConnection;
let seen = 0;

beforeAll(async () => {
  stage = new Stage();
  server = await startNodeServer(stage);
  scope = await Scope.open(stage);
  before = stage.use(await RawConnection.open(server.port));
  before.say(`GET /${fileName(97)}?before HTTP/1.1\r\nHost: x\r\n\r\n`);
  await before.hear('HTTP/1.1 200');
  session = await scope.attach(
    server.program.pid,
    '--header',
    'x-request-id,authorization',
    '--redact',
    'authorization',
  );
});

afterAll(async () => {
  await stage.close();
});

/** The next `count` exchanges after those that earlier tests have taken; there must be no more. */
async function exchanges(count: number): Promise<ScopeEvent['attributes'][]> {
  const found = await until(
    `${count} exchanges`,
    () => {
      const all = scope.events(session).filter(ofKind('http.exchange')).slice(seen);
      return all.length >= count && all;
    },
    {intervalMs: 50},
  );
  await new Promise(resolve => setTimeout(resolve, 100));
  const all = scope.events(session).filter(ofKind('http.exchange')).slice(seen);
  seen += found.length;
  expect(all).toHaveLength(count);
  return all.map(({attributes}) => attributes);
}

const get = (path: string, ...headers: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n');

async function talk(use: (connection: RawConnection) => Promise<void>): Promise<void> {
  const connection = await RawConnection.open(server.port);
  try {
    await use(connection);
  } finally {
    connection.close();
  }
}

it('a connection that was open before the attach: the next request on it is seen', async () => {
  before.say(get('/echo?after'));
  await before.hear('HTTP/1.1 200');
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({
    'http.request.method': 'GET',
    'url.path': '/echo',
    'http.response.status_code': 200,
    'scope.http.role': 'server',
    'network.protocol.version': '1.1',
  });
});

it('an attach in the middle of a body: the exchange after it is seen whole', async () => {
  const other = await startNodeServer(stage);
  const connection = stage.use(await RawConnection.open(other.port));
  const body = patternOf(4000).toString('latin1');
  connection.say(`POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n${body.slice(0, 1000)}`);
  await new Promise(resolve => setTimeout(resolve, 100));
  const late = await scope.attach(other.program.pid);
  connection.say(body.slice(1000));
  await connection.hear('HTTP/1.1 200');
  connection.say(get(`/${fileName(97)}`));
  await connection.hear('HTTP/1.1 200');
  const first = await scope.event(
    late,
    'the exchange after',
    ({attributes}) => attributes['url.path'] === `/${fileName(97)}`,
  );
  expect(first.attributes).toMatchObject({'http.request.method': 'GET', 'http.response.status_code': 200});
  const [wrong] = scope
    .events(late)
    .filter(ofKind('http.exchange'))
    .filter(({attributes}) => !['GET', 'POST'].includes(String(attributes['http.request.method'])));
  expect(wrong).toBeUndefined();
  await scope.detach(other.program.pid);
});

it('ten requests in one segment, answered in order', async () => {
  await talk(async connection => {
    connection.say(Array.from({length: 10}, (_, i) => get(`/missing-${i}`)).join(''));
    await connection.hear('HTTP/1.1 404', 10);
  });
  const found = await exchanges(10);
  expect(found.map(exchange => exchange['url.path'])).toEqual(Array.from({length: 10}, (_, i) => `/missing-${i}`));
  expect(new Set(found.map(exchange => exchange['http.response.status_code']))).toEqual(new Set([404]));
});

it('a request whose every byte is a segment of its own', async () => {
  await talk(async connection => {
    await connection.spell(get(`/${fileName(97)}?slow=1`, 'X-Request-Id: spelled'));
    await connection.hear('HTTP/1.1 200');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({
    'url.path': `/${fileName(97)}`,
    'url.query': 'slow=1',
    'http.response.body.size': 97,
  });
  expect(JSON.stringify(exchange)).toContain('spelled');
});

it('an answer in chunks', async () => {
  await talk(async connection => {
    connection.say(get('/chunked'));
    await connection.hear('0\r\n\r\n');
    connection.say(get('/echo?next'));
    await connection.hear('HTTP/1.1 200');
  });
  const [chunked, next] = await exchanges(2);
  expect(chunked).toMatchObject({
    'url.path': '/chunked',
    'http.response.status_code': 200,
    'http.response.body.size': 14,
  });
  expect(next).toMatchObject({'url.query': 'next'});
});

it('a request in chunks', async () => {
  await talk(async connection => {
    connection.say(
      'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n',
    );
    await connection.hear('hello world');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({
    'http.request.method': 'POST',
    'http.request.body.size': 11,
    'http.response.body.size': 11,
  });
});

it('HEAD: the length of a body that does not come', async () => {
  await talk(async connection => {
    connection.say(`HEAD /${fileName(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n${get('/echo?behind')}`);
    await connection.hear('HTTP/1.1 200', 2);
  });
  const [head, behind] = await exchanges(2);
  expect(head).toMatchObject({'http.request.method': 'HEAD', 'http.response.status_code': 200});
  expect(behind).toMatchObject({'url.query': 'behind'});
});

it('100 Continue is not the answer', async () => {
  await talk(async connection => {
    connection.say('POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n');
    await connection.hear('HTTP/1.1 100');
    connection.say('continued');
    await connection.hear('continued');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'http.request.body.size': 9,
  });
});

it('HTTP/1.0, ended by the closing of the connection', async () => {
  await talk(async connection => {
    connection.say('GET /chunked HTTP/1.0\r\n\r\n');
    await connection.hear('three');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({
    'url.path': '/chunked',
    'http.response.status_code': 200,
    'network.protocol.version': '1.0',
  });
});

it('a method that nobody knows', async () => {
  await talk(async connection => {
    connection.say('PROPFIND /anything HTTP/1.1\r\nHost: x\r\n\r\n');
    await connection.hear('HTTP/1.1 404');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND'});
});

it('headers are told when asked for, and hidden when asked to', async () => {
  await talk(async connection => {
    connection.say(get('/missing', 'X-Request-Id: abc-1', 'Authorization: Bearer secret', 'Cookie: hidden=1'));
    await connection.hear('HTTP/1.1 404');
  });
  const text = JSON.stringify(await exchanges(1));
  expect(text).toContain('abc-1');
  expect(text).not.toContain('secret');
  expect(text).not.toContain('hidden');
});

it('what is no HTTP is no exchange', async () => {
  await talk(async connection => {
    connection.say('\u0016\u0003\u0001GET / HTTP/1.1 is not at the start of this\r\n\r\n');
    await connection.hear('HTTP/1.1 400');
  });
  await talk(async connection => {
    connection.say(get('/missing-last'));
    await connection.hear('HTTP/1.1 404');
  });
  const [exchange] = await exchanges(1);
  expect(exchange).toMatchObject({'url.path': '/missing-last'});
});
