// Every call that opens, moves or closes shows up as the right event: test/targets/families.c makes each of them on a file
// or socket that carries the call's name, in amounts that no other call moves.
import {realpathSync} from 'node:fs';
import {join} from 'node:path';
import type {ScopeEvent} from '@scope/api';
import {Scope, ofKind, sum} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';

let stage: Stage;
let folder: string;
let events: readonly ScopeEvent[];
let children: ReadonlyMap<string, number>;

beforeAll(async () => {
  stage = new Stage();
  folder = realpathSync(stage.folder());
  const {program} = await startTester(stage, 'families.c', {args: [folder]});
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid, '--capture', 'fs,net,console');
  await new Promise(resolve => setTimeout(resolve, 500));
  program.send('go');
  const said = new Map<string, number>();
  for (;;) {
    const line = await program.line();
    if (line === 'done') break;
    const [, how = '', pid] = line.split(' ');
    said.set(how, Number(pid));
  }
  const ended = await scope.detach(program.pid);
  expect(ended.counts.lost).toBe(0);
  events = scope.events(session);
  children = said;
});

afterAll(async () => {
  await stage.close();
});

const about = (name: string): ScopeEvent[] =>
  events.filter(({attributes}) => attributes['file.path'] === join(folder, name));

const counts = ({attributes}: ScopeEvent): unknown => ({
  read: [attributes['scope.fs.read.calls'] ?? 0, attributes['scope.fs.read.bytes'] ?? 0],
  write: [attributes['scope.fs.write.calls'] ?? 0, attributes['scope.fs.write.bytes'] ?? 0],
});

/** The last close of the file: what its one or several descriptors carried in all. */
function closed(name: string): unknown {
  const closes = about(name).filter(ofKind('fs.close'));
  const last = closes.at(-1);
  return last === undefined ? `no fs.close of ${name}` : counts(last);
}

const carried = (read: readonly [number, number], write: readonly [number, number]): unknown => ({
  read: [...read],
  write: [...write],
});
const NOTHING: readonly [number, number] = [0, 0];

describe('opening', () => {
  it.each(['by-open', 'by-plain-open', 'by-openat', 'by-openat2', 'by-creat'])('%s', name => {
    expect(about(name).map(({event}) => event)).toEqual(['fs.open', 'fs.close']);
  });

  it('of what is not there is an fs.error with its reason', () => {
    const [error] = about('not-there');
    expect(error).toMatchObject({event: 'fs.error', attributes: {'error.type': 'ENOENT'}});
  });
});

describe('writing to files', () => {
  it.each([
    ['by-write', 2, 203],
    ['by-pwrite64', 1, 103],
    ['by-writev', 1, 30],
    ['by-pwritev', 1, 31],
    ['by-pwritev2', 1, 32],
  ] as const)('%s', (name, calls, bytes) => {
    expect(closed(name)).toEqual(carried(NOTHING, [calls, bytes]));
  });
});

describe('reading from files', () => {
  it.each([
    ['by-read', 2, 223],
    ['by-pread64', 1, 113],
    ['by-readv', 1, 33],
    ['by-preadv', 1, 34],
    ['by-preadv2', 1, 35],
  ] as const)('%s', (name, calls, bytes) => {
    expect(closed(name)).toEqual(carried([calls, bytes], NOTHING));
  });
});

describe('copying inside the kernel counts on both descriptors', () => {
  it.each([
    ['sendfile', 1001],
    ['copy', 1002],
    ['splice', 1003],
  ] as const)('%s', (name, bytes) => {
    expect(closed(`${name}-in`)).toEqual(carried([1, bytes], NOTHING));
    expect(closed(`${name}-out`)).toEqual(carried(NOTHING, [1, bytes]));
  });
});

describe('deleting and renaming', () => {
  it.each(['to-unlink', 'to-unlinkat'])('%s', name => {
    expect(about(name).filter(ofKind('fs.delete'))).toHaveLength(1);
  });

  it.each([
    ['to-rename', 'renamed'],
    ['to-renameat', 'renamed-at'],
    ['to-renameat2', 'renamed-at2'],
  ])('%s', (from, to) => {
    const renames = events
      .filter(ofKind('fs.rename'))
      .filter(({attributes}) => JSON.stringify(attributes).includes(`${join(folder, from)}"`));
    expect(renames).toHaveLength(1);
    expect(Object.values(renames[0]?.attributes ?? {})).toContain(join(folder, to));
  });
});

describe('descriptors that are copied: the file is closed with the last one', () => {
  it.each([
    ['by-dup', 121],
    ['by-dup2', 122],
    ['by-dup3', 123],
    ['by-dupfd', 124],
    ['by-dupfd-cloexec', 125],
    ['by-close-range', 126],
    ['by-replacing', 127],
    ['replacement', 128],
  ] as const)('%s', (name, bytes) => {
    expect(about(name).filter(ofKind('fs.close'))).toHaveLength(1);
    expect(closed(name)).toEqual(carried(NOTHING, [1, bytes]));
  });
});

describe('messages', () => {
  const unix = (): ScopeEvent[] =>
    events.filter(ofKind('net.close')).filter(({attributes}) => attributes['network.transport'] === 'unix');

  it('of every kind through a datagram pair', () => {
    // send, sendto, sendmsg and three by sendmmsg.
    const bytes = 201 + 202 + 203 + 210 + 211 + 212;
    const [from] = unix().filter(({attributes}) => attributes['scope.net.transmit.bytes'] === bytes);
    const [to] = unix().filter(({attributes}) => attributes['scope.net.receive.bytes'] === bytes);
    expect(from?.attributes).toMatchObject({'scope.net.transmit.bytes': bytes, 'scope.net.role': 'peer'});
    expect(to?.attributes).toMatchObject({'scope.net.receive.bytes': bytes, 'scope.net.role': 'peer'});
  });

  it('through a named unix socket, by accept4', () => {
    const [called] = unix().filter(({attributes}) => attributes['scope.net.receive.bytes'] === 241);
    const [caller] = unix().filter(({attributes}) => attributes['scope.net.transmit.bytes'] === 241);
    expect(called?.attributes).toMatchObject({'scope.net.role': 'server'});
    expect(caller?.attributes).toMatchObject({'scope.net.role': 'client'});
  });
});

describe.each([
  ['ipv4', '127.0.0.1'],
  ['ipv6', '::1'],
])('%s', (type, address) => {
  const of = (event: ScopeEvent['event'], transport: string): ScopeEvent[] =>
    events.filter(
      ({event: name, attributes}) =>
        name === event && attributes['network.type'] === type && attributes['network.transport'] === transport,
    );

  it('a TCP listener', () => {
    expect(of('net.listen', 'tcp')).toHaveLength(1);
    expect(of('net.listen', 'tcp')[0]?.attributes).toMatchObject({
      'network.local.address': address,
      'scope.net.role': 'listener',
    });
  });

  it('a TCP connection, from both ends; a look with MSG_PEEK is no call', () => {
    const closes = of('net.close', 'tcp').filter(
      ({attributes}) => attributes['network.peer.port'] !== undefined && attributes['scope.net.role'] !== undefined,
    );
    const called = closes.find(({attributes}) => attributes['scope.net.role'] === 'server');
    const caller = closes.find(
      ({attributes}) => attributes['scope.net.role'] === 'client' && Number(attributes['network.peer.port']) !== 1,
    );
    expect(called?.attributes).toMatchObject({
      'scope.net.receive.bytes': 221,
      // The one that got them, and the one that met the end.
      'scope.net.receive.calls': 2,
      'scope.net.transmit.bytes': 222,
      'network.local.address': address,
      'network.peer.address': address,
    });
    expect(caller?.attributes).toMatchObject({
      'scope.net.receive.bytes': 222,
      'scope.net.transmit.bytes': 221,
      'network.peer.port': called?.attributes['network.local.port'],
      'network.local.port': called?.attributes['network.peer.port'],
    });
    expect(of('net.open', 'tcp').filter(({attributes}) => Number(attributes['network.peer.port']) !== 1)).toHaveLength(
      2,
    );
  });

  it('datagrams by sendto and recvfrom', () => {
    expect(sum(of('net.close', 'udp'), 'scope.net.transmit.bytes')).toBe(231);
    expect(sum(of('net.close', 'udp'), 'scope.net.receive.bytes')).toBe(231);
  });
});

it('a connection that is refused is a net.error with its reason', () => {
  const errors = events.filter(ofKind('net.error'));
  expect(errors.map(({attributes}) => attributes['error.type'])).toContain('ECONNREFUSED');
});

describe('children', () => {
  it.each(['fork', 'vfork', 'clone', 'clone3'])('by %s are a process.fork with their pid', how => {
    const pid = children.get(how);
    expect(pid).toBeGreaterThan(0);
    const forks = events.filter(ofKind('process.fork')).map(({attributes}) => JSON.stringify(attributes));
    expect(forks.filter(text => new RegExp(`\\b${pid}\\b`).test(text))).toHaveLength(1);
  });

  it("do not count as the program itself: the child's execve is not its own", () => {
    expect(events.filter(ofKind('process.exec')).filter(({process}) => process.executable.endsWith('/true'))).toEqual(
      [],
    );
  });
});

it('a line on stderr is a console.line', () => {
  expect(
    events
      .filter(ofKind('console.line'))
      .map(({attributes}) => JSON.stringify(attributes))
      .join(),
  ).toContain('a line of console');
});

it('begins with process.scoped and ends with process.unscoped', () => {
  expect(events[0]?.event).toBe('process.scoped');
  expect(events.at(-1)?.event).toBe('process.unscoped');
});
