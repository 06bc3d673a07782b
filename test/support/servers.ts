// Real servers, each in a private folder on a loopback port, ready when the promise resolves.
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {GoOptions} from './compile';
import {compileC, compileGo, compileJava, targets} from './compile';
import {writeContent} from './content';
import {libcs} from './libcs';
import {freePort, listening} from './ports';
import {Program} from './program';
import type {Stage} from './stage';

/** A server that answers HTTP with the files of content.ts. */
export interface HttpServer {
  readonly program: Program;
  readonly port: number;
  /** What /proc/PID/comm says, unlike any other process's. */
  readonly name: string;
  /** It gives back what is posted to /echo. */
  readonly echoes: boolean;
  /** Its files, or another folder of its own. */
  readonly folder: string;
  /** Default true; false: it drops the connection when it is asked for a HEAD. */
  readonly heads?: boolean;
}

export interface ServerOptions {
  /** Begins the process's name; what is added makes it unlike others. */
  readonly name?: string;
}

let count = 0;

/** At most 15 bytes, as the kernel keeps them. */
function uniqueName(kind: string): string {
  count += 1;
  return `${kind}-${process.pid.toString(36)}${count.toString(36)}`.slice(0, 15);
}

export interface Place {
  readonly folder: string;
  readonly content: string;
  readonly port: number;
  readonly name: string;
}

/** A folder with content to serve, a free port, and a name for the process. */
export async function place(stage: Stage, kind: string): Promise<Place> {
  const folder = stage.folder();
  const content = join(folder, 'content');
  mkdirSync(content);
  writeContent(content);
  return {folder, content, port: await freePort(), name: uniqueName(kind)};
}

/** Starts a server there; ready when it says so (it does if it `echoes`) and accepts. */
export async function serve(
  stage: Stage,
  {folder, port, name}: Place,
  file: string,
  args: readonly string[],
  echoes: boolean,
  env: Readonly<Record<string, string>> = {},
): Promise<HttpServer> {
  const program = stage.use(await Program.start(file, {args, cwd: folder, name, env}));
  if (echoes) await program.answer('ready', 60_000);
  await listening(port);
  return {program, port, name, echoes, folder};
}

export interface NginxOptions {
  /** Default 0: one process does everything. */
  readonly workers?: number;
  readonly sendfile?: boolean;
  /** Default true: every request is a line in folder/access.log. */
  readonly accessLog?: boolean;
}

const nginxConfiguration = (
  {folder, content, port}: Place,
  {workers = 0, sendfile = false, accessLog = true}: NginxOptions,
): string => `
daemon off;
${workers === 0 ? 'master_process off;' : `worker_processes ${workers};`}
user root;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 512; }
http {
  access_log ${accessLog ? `${folder}/access.log` : 'off'};
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile ${sendfile ? 'on' : 'off'};
  keepalive_timeout 300;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:${port} backlog=512;
    root ${content};
    location = /hello { return 200 "hello\\n"; }
  }
}
`;

/** nginx with a configuration of its own and keep-alive, its access log in folder/access.log. */
export async function startNginx(stage: Stage, options: NginxOptions = {}): Promise<HttpServer> {
  const where = await place(stage, 'ngx');
  const configuration = join(where.folder, 'nginx.conf');
  writeFileSync(configuration, nginxConfiguration(where, options));
  return serve(stage, where, '/usr/sbin/nginx', ['-c', configuration, '-p', where.folder], false);
}

export async function startNodeServer(stage: Stage): Promise<HttpServer> {
  const where = await place(stage, 'njs');
  return serve(
    stage,
    where,
    process.execPath,
    [join(targets, 'node-server.cjs'), String(where.port), where.content],
    true,
  );
}

/** Debian's own Python: the one whose interpreter is no shell script. */
export const PYTHON = '/usr/bin/python3';

export async function startPythonServer(stage: Stage): Promise<HttpServer> {
  const where = await place(stage, 'pys');
  return serve(stage, where, PYTHON, [join(targets, 'python-server.py'), String(where.port), where.content], true);
}

export async function startJavaServer(stage: Stage): Promise<HttpServer> {
  const classes = await compileJava('Server.java');
  const where = await place(stage, 'jav');
  const flags = ['-XX:+UseSerialGC', '-Xmx256m', '-XX:-UsePerfData', '-Dsun.net.httpserver.nodelay=true'];
  const args = [...flags, '-cp', classes, 'Server', String(where.port), where.content];
  return serve(stage, where, '/usr/bin/java', args, true);
}

export async function startGoServer(stage: Stage, options: GoOptions = {}): Promise<HttpServer> {
  return startCompiled(stage, 'gos', await compileGo('go-server', options));
}

/** A compiled server of test/targets: the port and the folder are its arguments. */
export async function startCompiled(stage: Stage, kind: string, file: string): Promise<HttpServer> {
  const where = await place(stage, kind);
  return serve(stage, where, file, [String(where.port), where.content], true);
}

/** A threaded C server with musl as its C library. */
export async function startMuslServer(stage: Stage): Promise<HttpServer> {
  return startCompiled(stage, 'mus', await (await libcs.musl()).compile('server.c'));
}

/** Debian's static busybox: it forks for each connection, and closes it after the answer. */
export async function startBusybox(stage: Stage): Promise<HttpServer> {
  const where = await place(stage, 'busybox'); // that it begins so makes it look at its arguments
  const args = ['httpd', '-f', '-p', `127.0.0.1:${where.port}`, '-h', where.content];
  return serve(stage, where, '/bin/busybox', args, false);
}

export interface RedisServer {
  readonly program: Program;
  readonly port: number;
  readonly name: string;
}

/** redis-server without persistence, its clock at one tick a second so that it can be caught standing still. */
export async function startRedis(stage: Stage): Promise<RedisServer> {
  const folder = stage.folder();
  const port = await freePort();
  const name = uniqueName('red');
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
    '--hz',
    '1',
  ];
  const program = stage.use(await Program.start('/usr/bin/redis-server', {args, cwd: folder, name}));
  await listening(port);
  return {program, port, name};
}

export interface TesterOptions {
  readonly args?: readonly string[];
  /** Default: with this machine's C library. */
  readonly compile?: (source: string) => Promise<string>;
  readonly cwd?: string;
  readonly uid?: number;
}

/** A tester of test/targets that says "ready". */
export async function startTester(
  stage: Stage,
  source: string,
  {args = [], compile = compileC, cwd = stage.folder(), uid}: TesterOptions = {},
): Promise<{program: Program; name: string; ready: string}> {
  const file = await compile(source);
  const name = uniqueName(source.slice(0, 5));
  const program = stage.use(await Program.start(file, {args, cwd, name, ...(uid !== undefined && {uid})}));
  return {program, name, ready: await program.answer('ready')};
}

/** Python's urllib, requesting from `base` on command; every body is verified in it. */
export async function startPythonClient(stage: Stage, base: string): Promise<{program: Program; name: string}> {
  const name = uniqueName('pyc');
  const options = {args: [join(targets, 'python-client.py'), base], cwd: stage.folder(), name};
  const program = stage.use(await Program.start(PYTHON, options));
  await program.answer('ready');
  return {program, name};
}
