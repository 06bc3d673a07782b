// The suites that there are, and the short selection of them that runs with every torture.
import {cpythonSuite} from './cpython';
import {fastifySuite} from './fastify';
import {goSuite} from './go';
import {libuvSuite} from './libuv';
import {redisSuite} from './redis';
import type {Suite} from './suite';

const REDIS = [
  ...[
    'unit/auth',
    'unit/client-eviction',
    'unit/dump',
    'unit/expire',
    'unit/info',
    'unit/introspection',
    'unit/keyspace',
  ],
  ...['unit/limits', 'unit/multi', 'unit/networking', 'unit/other', 'unit/protocol', 'unit/pubsub', 'unit/querybuf'],
  ...['unit/scan', 'unit/scripting', 'unit/tracking', 'unit/type/list', 'unit/type/string'],
  ...['integration/aof', 'integration/rdb', 'integration/redis-cli'],
];
const REPLICATION = ['block-repl', 'psync2', 'replication-2', 'replication-4'].map(unit => `integration/${unit}`);

export const SUITES: readonly Suite[] = [
  goSuite('go-net', 'net'),
  goSuite('go-http', 'net/http'),
  cpythonSuite('cpython-socket', ['test_socket']),
  cpythonSuite('cpython-io', ['test_io']),
  cpythonSuite('cpython-subprocess', ['test_subprocess']),
  fastifySuite('node-fastify'),
  libuvSuite('libuv-glibc', 'gcc'),
  libuvSuite('libuv-musl', 'musl-gcc'),
  redisSuite('redis', REDIS, 20),
  redisSuite('redis-replication', REPLICATION, 20),
];

/** Less than two minutes. */
export const SHORT: readonly Suite[] = [
  goSuite(
    'go-net',
    'net',
    'TestDial|TestListen|TestConn|TestUnix|TestTCP|TestUDP|TestSendfile|TestSplice|TestCloseRead',
  ),
  cpythonSuite('cpython-socket', ['test_socket'], 'Basic*'),
];
