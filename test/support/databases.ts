// Databases with one client each, through a proxy that counts: what the server's connection must have carried is known.
import {chmodSync, chownSync, readdirSync} from 'node:fs';
import {createConnection} from 'node:net';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import type {CountingProxy} from './counting-proxy';
import {startCountingProxy} from './counting-proxy';
import {freePort, listening} from './ports';
import {Program, succeed} from './program';
import type {Stage} from './stage';

export interface Database {
  /** The process that serves the client. */
  readonly pid: number;
  readonly port: number;
  readonly proxy: CountingProxy;
  /** Sends one request and verifies its answer. */
  readonly ask: () => Promise<void>;
}

/** PostgreSQL and MariaDB refuse to be root. */
const NOBODY = 65534;

/** Server → how it and its client are started. */
export const DATABASES: Readonly<Record<string, (stage: Stage) => Promise<Database>>> = {
  PostgreSQL: async stage => {
    const bin = join('/usr/lib/postgresql', readdirSync('/usr/lib/postgresql').sort().at(-1) ?? '', 'bin');
    const [folder, port] = [ownedFolder(stage), await freePort()];
    const data = join(folder, 'data');
    await asNobody(join(bin, 'initdb'), ['--no-sync', '--auth=trust', '--username=postgres', '-D', data]);
    const args = ['-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1'];
    stage.use(await Program.start(join(bin, 'postgres'), {args, cwd: folder, uid: NOBODY}));
    await listening(port);
    const proxy = await startCountingProxy(stage, port);
    const login = ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'postgres', '-At', 'postgres'];
    const env = {PGSSLMODE: 'disable', PGGSSENCMODE: 'disable', HOME: folder};
    const client = stage.use(await Program.start(join(bin, 'psql'), {args: login, cwd: folder, env}));
    client.send('select pg_backend_pid();');
    return {pid: Number(await client.line()), port, proxy, ask: asker(client)};
  },
  MariaDB: async stage => {
    const [folder, port] = [ownedFolder(stage), await freePort()];
    const data = join(folder, 'data');
    const install = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal'];
    await asNobody('/usr/bin/mariadb-install-db', [...install, '--skip-test-db']);
    const socket = join(folder, 'socket');
    const args = [
      '--no-defaults',
      `--datadir=${data}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${socket}`,
    ];
    const server = stage.use(await Program.start('/usr/sbin/mariadbd', {args, cwd: folder, uid: NOBODY}));
    await listening(port);
    const proxy = await startCountingProxy(stage, port);
    const login = ['--no-defaults', '-h', '127.0.0.1', '-P', String(proxy.port), '-u', 'root', '-N', '-B', '-n'];
    const client = stage.use(await Program.start('/usr/bin/mariadb', {args: login, cwd: folder}));
    return {pid: server.pid, port, proxy, ask: asker(client)};
  },
  memcached: async stage => {
    const port = await freePort();
    const args = ['-u', 'nobody', '-l', '127.0.0.1', '-p', String(port), '-m', '64'];
    const server = stage.use(await Program.start('/usr/bin/memcached', {args, cwd: stage.folder()}));
    await listening(port);
    const proxy = await startCountingProxy(stage, port);
    const socket = createConnection({port: proxy.port, host: '127.0.0.1', noDelay: true});
    stage.defer('the client of memcached', () => void socket.destroy());
    const lines = createInterface({input: socket})[Symbol.asyncIterator]();
    let turn = 0;
    const ask = async (): Promise<void> => {
      const value = valueOf((turn += 1));
      socket.write(`set key 0 0 ${value.length}\r\n${value}\r\nget key\r\n`);
      for (const expected of ['STORED', `VALUE key 0 ${value.length}`, value, 'END']) {
        const line = await lines.next();
        if (line.value !== expected) throw new Error(`memcached said ${String(line.value)}, not ${expected}`);
      }
    };
    return {pid: server.pid, port, proxy, ask};
  },
};

/** The n-th value: of another length than its neighbours, from a few bytes to a few segments. */
const valueOf = (n: number): string => 'x'.repeat(1 + ((n * 7_919) % 5_000));

/** Asks an SQL client, whose answers are lines, for one value after another. */
function asker(client: Program): () => Promise<void> {
  let turn = 0;
  return async () => {
    const value = valueOf((turn += 1));
    client.send(`select '${value}';`);
    const line = await client.line();
    if (line !== value) throw new Error(`the server said ${line}, not ${value}`);
  };
}

/** A folder that nobody owns and can reach. */
function ownedFolder(stage: Stage): string {
  const folder = stage.folder();
  chmodSync(dirname(folder), 0o711);
  chownSync(folder, NOBODY, NOBODY);
  return folder;
}

const asNobody = (file: string, args: readonly string[]): Promise<string> =>
  succeed('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', file, ...args]);
