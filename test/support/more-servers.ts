// More of the servers that people run, each in a private folder on a loopback port, ready when the promise resolves.
import {readdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from './checkout';
import {environment, targets} from './compile';
import {succeed} from './program';
import type {HttpServer} from './servers';
import {place, PYTHON, serve, startNginx} from './servers';
import type {Stage} from './stage';

/** Server → how it is started. Each serves the files of content.ts in one process. */
export const MORE_SERVERS: Readonly<Record<string, (stage: Stage) => Promise<HttpServer>>> = {
  'Apache httpd, threads': async stage => {
    const where = await place(stage, 'apa');
    const modules = ['mpm_event', 'authz_core'].map(
      name => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
    );
    const configuration = `
ServerName localhost
ServerRoot ${where.folder}
Listen 127.0.0.1:${where.port}
PidFile ${where.folder}/httpd.pid
DefaultRuntimeDir ${where.folder}
${modules.join('\n')}
ErrorLog ${where.folder}/error.log
MaxKeepAliveRequests 0
KeepAliveTimeout 60
EnableMMAP Off
DocumentRoot ${where.content}
<Directory ${where.content}>
  Require all granted
</Directory>`;
    const file = write(where.folder, 'httpd.conf', configuration);
    return serve(stage, where, '/usr/sbin/apache2', ['-X', '-f', file], false);
  },
  lighttpd: async stage => {
    const where = await place(stage, 'lig');
    const configuration = `
server.document-root = "${where.content}"
server.bind = "127.0.0.1"
server.port = ${where.port}
server.errorlog = "${where.folder}/error.log"
server.max-keep-alive-requests = 1000000`;
    const file = write(where.folder, 'lighttpd.conf', configuration);
    return serve(stage, where, '/usr/sbin/lighttpd', ['-D', '-f', file], false);
  },
  'HAProxy, two threads, in front of nginx': async stage => {
    const {port} = await startNginx(stage);
    const where = await place(stage, 'hap');
    const configuration = `
global
  nbthread 2
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen proxy
  bind 127.0.0.1:${where.port}
  server nginx 127.0.0.1:${port}
`;
    const file = write(where.folder, 'haproxy.cfg', configuration);
    return serve(stage, where, '/usr/sbin/haproxy', ['-db', '-f', file], false);
  },
  PHP: async stage => {
    const where = await place(stage, 'php');
    return serve(stage, where, '/usr/bin/php', ['-S', `127.0.0.1:${where.port}`, '-t', where.content], false);
  },
  Ruby: async stage => {
    const where = await place(stage, 'rub');
    const args = ['-run', '-e', 'httpd', where.content, '-p', String(where.port), '-b', '127.0.0.1'];
    return serve(stage, where, '/usr/bin/ruby', args, false);
  },
  Erlang: async stage => {
    const where = await place(stage, 'erl');
    const root = '/usr/lib/erlang';
    const bin = join(root, readdirSync(root).find(name => name.startsWith('erts-')) ?? '', 'bin');
    const options = [
      `{port, ${where.port}}`,
      '{bind_address, {127, 0, 0, 1}}',
      '{server_name, "localhost"}',
      `{server_root, "${where.folder}"}`,
      `{document_root, "${where.content}"}`,
    ];
    const program = `inets:start(), {ok, _} = inets:start(httpd, [${options.join(', ')}]).`;
    const flags = ['-root', root, '-bindir', bin, '-progname', 'erl', '--', '-home', where.folder];
    const args = ['--', ...flags, '--', '-noshell', '-eval', program];
    const env = {ROOTDIR: root, BINDIR: bin, EMU: 'beam', HOME: where.folder};
    return {...(await serve(stage, where, join(bin, 'beam.smp'), args, false, env)), heads: false};
  },
  'Python, uvicorn on uvloop': async stage => {
    const where = await place(stage, 'uvi');
    return serve(stage, where, PYTHON, [join(targets, 'asgi-server.py'), String(where.port), where.content], false);
  },
  Deno: async stage => {
    const where = await place(stage, 'den');
    const args = ['run', '-A', '--no-lock', join(targets, 'fetch-server.mjs'), String(where.port), where.content];
    return serve(stage, where, await npmProgram('deno'), args, true, {
      DENO_DIR: where.folder,
      DENO_NO_UPDATE_CHECK: '1',
    });
  },
  Bun: async stage => {
    const where = await place(stage, 'bun');
    const args = [join(targets, 'fetch-server.mjs'), String(where.port), where.content];
    return serve(stage, where, await npmProgram('bun'), args, true);
  },
};

function write(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const npmProgram = async (name: string): Promise<string> =>
  (await succeed(process.execPath, [join(checkout, 'scripts/lib/npm-program.mjs'), name], {env: environment()})).trim();
