import {fakeBatch} from '../batch.fake';
import {FlowTable} from './flow-table.sink';

const open = (fd: number, port: number): [string, object] => [
  'net.open',
  {
    'scope.fd': fd,
    'scope.net.role': 'server',
    'network.transport': 'tcp',
    'network.local.address': '127.0.0.1',
    'network.local.port': 80,
    'network.peer.address': '::1',
    'network.peer.port': port,
  },
];
const close = (fd: number, more: object = {}): [string, object] => [
  'net.close',
  {'scope.fd': fd, 'scope.net.receive.bytes': 10, 'scope.net.transmit.bytes': 20, ...more},
];

describe('FlowTable', () => {
  it('follows a connection from its opening to its close', () => {
    const table = new FlowTable();
    table.write(fakeBatch(['fs.open'], open(4, 1000)));
    expect(table.list()).toMatchObject([{descriptor: 4, local: '127.0.0.1:80', peer: '[::1]:1000', receivedBytes: 0}]);
    table.write(fakeBatch(['net.io', close(4)[1]]));
    expect(table.list()).toMatchObject([{receivedBytes: 10, transmittedBytes: 20}]);
    expect(table.list()[0]).not.toHaveProperty('closedAt');
    const ended = {'scope.net.close.reason': 'error', 'error.type': 'ECONNRESET'};
    table.write(fakeBatch(close(4, {'scope.net.receive.bytes': 99, ...ended})));
    expect(table.list()).toMatchObject([
      {role: 'server', peer: '[::1]:1000', receivedBytes: 99, closeReason: 'error', error: 'ECONNRESET'},
    ]);
    expect(table.list()[0]?.closedAt).toBeDefined();
  });

  it('reads no line of a batch whose summary names no connection', () => {
    const table = new FlowTable();
    const batch = fakeBatch(open(4, 1000));
    table.write({...batch, summary: {events: {'fs.open': 1}, exchanges: []}});
    expect(table.list()).toEqual([]);
    table.write({...batch, summary: {events: {'net.open': 1}, exchanges: []}});
    expect(table.list()).toHaveLength(1);
  });

  it('does not mix up connections that had one descriptor after the other', () => {
    const table = new FlowTable();
    table.write(fakeBatch(open(4, 1000), close(4), open(4, 2000)));
    expect(table.list().map(({peer, closedAt}) => [peer, closedAt !== undefined])).toEqual([
      ['[::1]:1000', true],
      ['[::1]:2000', false],
    ]);
  });

  it('keeps a bounded number, open ones before closed ones', () => {
    const table = new FlowTable();
    table.write(fakeBatch(open(3, 1)));
    for (let n = 0; n < 5000; n += 1) table.write(fakeBatch(open(4, n), close(4)));
    const flows = table.list();
    expect(flows).toHaveLength(4096);
    expect(flows.filter(({closedAt}) => closedAt === undefined).map(({descriptor}) => descriptor)).toEqual([3]);
  });
});
