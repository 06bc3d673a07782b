// What `npm run demo` shows: a server that runs already, its events live, and the proof that nothing of it was changed.
import type {ChildProcess} from 'node:child_process';
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {get} from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';
import {product} from '../support/checkout';
import {fileName} from '../support/content';
import {faultsSince, footprint, isPatched} from '../support/intact';
import {startTime} from '../support/proc';
import {Scope} from '../support/scope';
import {startNginx, startPythonServer} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const LIVE_MS = 6_000;
const PATHS = [`/${fileName(1_500)}`, `/${fileName(97)}?user=7`, '/not-there', `/${fileName(20_000)}`];

const bold = process.stdout.isTTY
  ? (text: string): string => `\u001b[1m${text}\u001b[0m`
  : (text: string): string => text;
const out = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** The status of one answer, on a connection of its own. */
async function ask(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = get({host: '127.0.0.1', port, path, agent: false}, response => {
      response.resume().on('end', () => {
        resolve(response.statusCode ?? 0);
      });
    });
    outgoing.on('error', reject);
  });
}

/** A visitor: two requests a second until it is told to stop. */
function startClient(port: number): {answered: () => number; failed: () => number; stop: () => void} {
  let answered = 0;
  let failed = 0;
  let turn = 0;
  const timer = setInterval(() => {
    turn += 1;
    ask(port, PATHS[turn % PATHS.length] ?? '/').then(
      () => (answered += 1),
      () => (failed += 1),
    );
  }, 500);
  return {
    answered: () => answered,
    failed: () => failed,
    stop: () => {
      clearInterval(timer);
    },
  };
}

/** Runs bin/scope with its words on our screen. */
function show(scope: Scope, args: readonly string[]): ChildProcess {
  out(`\n${bold(`$ scope ${args.join(' ')}`)}`);
  return spawn(product.command(), args, {
    env: {...process.env, HOME: scope.home, SCOPE_SOCKET: scope.socket},
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

async function finished(child: ChildProcess, what: string): Promise<void> {
  const code = await new Promise(resolve => child.once('close', resolve));
  if (code !== 0) throw new Error(`${what} failed (exit code ${String(code)})`);
}

async function main(stage: Stage): Promise<void> {
  const server = existsSync('/usr/sbin/nginx') ? await startNginx(stage) : await startPythonServer(stage);
  const {pid} = server.program;
  const began = startTime(pid);
  const before = footprint(pid);
  const client = startClient(server.port);
  stage.defer('the client', client.stop);
  out(
    `\nA web server (${server.program.file}) runs as process ${pid}, called ${server.name}; a client visits it twice a second.`,
  );
  await until('the first answers', () => client.answered() >= 2);

  const scope = await Scope.open(stage, {agent: 'on demand'});
  await finished(show(scope, ['attach', server.name]), 'the attach');
  out(isPatched(pid) ? '(The server runs on; the calls that it makes are now seen.)' : '(Nothing was hooked?)');

  const live = show(scope, ['events', '-f', '-o', 'text']);
  await sleep(LIVE_MS);
  live.kill('SIGINT');
  await new Promise(resolve => live.once('close', resolve));

  await finished(show(scope, ['detach', server.name]), 'the detach');
  await finished(show(scope, ['history', 'show', 'latest']), 'the history');

  const answered = client.answered();
  await until('answers after the detach', () => client.answered() >= answered + 2);
  client.stop();
  const faults = faultsSince(before, {descriptors: 'ours'});
  out(`\n${bold('Is the server untouched?')}`);
  const checks: readonly (readonly [string, boolean])[] = [
    [`it is the same process: ${pid}, never restarted`, startTime(pid) === began && server.program.alive],
    [
      'every byte of its code is the one on disk; no mapping, no descriptor, no stopped thread was left',
      faults.length === 0,
    ],
    [`it answers: ${client.answered()} requests, ${client.failed()} failed`, client.failed() === 0],
  ];
  for (const [what, holds] of checks) out(`${holds ? '✓' : '✗'} ${what}`);
  for (const fault of faults) out(`  ${fault}`);
  if (!checks.every(([, holds]) => holds)) throw new Error('the server is not as it was');
}

const stage = new Stage();
main(stage)
  .catch((thrown: unknown) => {
    process.stderr.write(`✗ ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exitCode = 1;
  })
  .finally(() => stage.close())
  .catch((thrown: unknown) => {
    process.stderr.write(`✗ cleaning up: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exitCode = 1;
  });
