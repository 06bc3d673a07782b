// Runs a suite behind a gate: a shell that waits for a line and then becomes the suite, so that a scope can be there first.
import {existsSync, mkdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {SessionView} from '@scope/attach';
import {Program} from '../support/program';
import {Scope} from '../support/scope';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import type {Ended, Prepared, Suite, Verdict} from './suite';
import {badEnds, differences, verdictOf} from './suite';

/** Every event that there is. */
const EVERYTHING = ['--children', '--capture', 'fs,net,dns,http,console'];
const GATE = 'out=$1; shift; read -r _; exec "$@" >"$out" 2>&1 </dev/null';
const VARIABLES = ['HOME', 'GOROOT', 'GOCACHE', 'GOFLAGS', 'GOPROXY'];

/** What was scoped meanwhile. */
export interface Scoped {
  /** The suite's, and whatever it started, each time that it became another. */
  readonly programs: number;
  readonly events: number;
  /** Calls of which there is no record, as the agent told: its `scope_records_lost_total`. */
  readonly lost: number;
  /** As many by the `lost` of events in the histories that are kept: of the last 100 programs. */
  readonly told: number;
  /** Whose they were, of the sessions whose views are kept. */
  readonly losses: readonly string[];
}

export interface SuiteResult {
  readonly suite: string;
  readonly version: string;
  readonly part: string;
  readonly verdict: Verdict;
  /** Ends of the suite itself that no outcome of a test speaks of; none when all is right. */
  readonly badEnds: readonly string[];
  readonly scoped: Scoped;
  readonly seconds: {readonly plain: number; readonly scoped: number};
}

interface Round extends Ended {
  readonly seconds: number;
}

/** Both ways; where a test ended differently both ways again, to tell what is unsteady from what is our doing. */
export async function runSuite(suite: Suite, say: (text: string) => void): Promise<SuiteResult> {
  const stage = new Stage();
  try {
    const prepared = await suite.prepare(stage.folder());
    const plain = [await unscoped(stage, suite, prepared)];
    say(`  ${suite.name}: ${plain[0]?.outcomes.size ?? 0} tests unscoped in ${plain[0]?.seconds.toFixed(0) ?? ''} s`);
    const scoped = [await scopedRound(stage, suite, prepared)];
    say(`  ${suite.name}: ${scoped[0]?.outcomes.size ?? 0} scoped in ${scoped[0]?.seconds.toFixed(0) ?? ''} s`);
    const [first, second] = [plain[0]?.outcomes ?? new Map(), scoped[0]?.outcomes ?? new Map()];
    const differ = differences(first, second);
    if (plain[0]?.end !== scoped[0]?.end) differ.push(`${plain[0]?.end ?? ''} and ${scoped[0]?.end ?? ''}`);
    if (differ.length > 0) {
      say(`  ${suite.name}: ${differ.slice(0, 10).join(', ')} ended differently: once more, both ways`);
      plain.push(await unscoped(stage, suite, prepared));
      scoped.push(await scopedRound(stage, suite, prepared));
    }
    const verdict = verdictOf({
      plain: plain.map(({outcomes}) => outcomes),
      scoped: scoped.map(({outcomes}) => outcomes),
    });
    const {facts} = scoped[0] ?? {};
    if (facts === undefined) throw new Error('no scoped round');
    for (const line of facts.losses) say(`  ${suite.name}: lost of ${line}`);
    return {
      suite: suite.name,
      version: prepared.version,
      part: suite.part,
      verdict,
      badEnds: badEnds({plain, scoped}, prepared.crashCodes),
      scoped: facts,
      seconds: {plain: plain[0]?.seconds ?? 0, scoped: scoped[0]?.seconds ?? 0},
    };
  } finally {
    await stage.close();
  }
}

async function unscoped(stage: Stage, suite: Suite, prepared: Prepared): Promise<Round> {
  const gate = await startGate(stage, prepared);
  return finish(gate, suite, prepared);
}

async function scopedRound(stage: Stage, suite: Suite, prepared: Prepared): Promise<Round & {readonly facts: Scoped}> {
  const scope = await Scope.open(stage);
  const gate = await startGate(stage, prepared);
  await scope.attach(gate.program.pid, ...EVERYTHING);
  const round = await finish(gate, suite, prepared);
  const sessions = await until('all sessions to end', async () => {
    const views = (await scope.ask<{sessions: SessionView[]}>('GET', '/v1/sessions')).body.sessions;
    return views.every(({endedAt}) => endedAt !== undefined) && views;
  });
  const facts = await factsOf(scope, sessions);
  // The gate was one; what it became is another.
  if (facts.programs < 2) throw new Error(`${suite.name} itself was not scoped: ${facts.programs} programs`);
  return {...round, facts};
}

interface Gate {
  readonly program: Program;
  readonly output: string;
}

async function startGate(stage: Stage, {argv, cwd, env}: Prepared): Promise<Gate> {
  const folder = stage.folder();
  const output = join(folder, 'output');
  mkdirSync(join(folder, 'tmp'));
  const kept = Object.fromEntries(
    VARIABLES.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  const program = stage.use(
    await Program.start('/bin/sh', {
      args: ['-c', GATE, 'gate', output, ...argv],
      cwd,
      env: {...kept, TMPDIR: join(folder, 'tmp'), ...env},
    }),
  );
  return {program, output};
}

async function finish({program, output}: Gate, {minutes}: Suite, prepared: Prepared): Promise<Round> {
  const started = performance.now();
  program.send('go');
  const {code, signal} = await program.finish(minutes * 60_000);
  const seconds = (performance.now() - started) / 1000;
  const text = readFileSync(output, 'utf8');
  const outcomes = prepared.outcomes(text);
  if (outcomes.size === 0) throw new Error(`no test ran: ${text.slice(-1000)}`);
  return {outcomes, end: signal ?? `exit code ${code ?? 'none'}`, seconds};
}

/** By the agent's own counts, over all sessions: histories and views are kept of the last ones only. */
async function factsOf(scope: Scope, sessions: readonly SessionView[]): Promise<Scoped> {
  const {stdout} = await scope.command(['metrics', 'scope_*']);
  const sum = (name: string): number => {
    const found = [...stdout.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))];
    return found.reduce((total, [, value]) => total + Number(value), 0);
  };
  return {
    programs: sum('scope_events_total\\{event="process.scoped"\\}'),
    events: sum('scope_events_total'),
    lost: sum('scope_records_lost_total'),
    told: sessions
      .filter(({history}) => history !== undefined && existsSync(history))
      .flatMap(session => scope.events(session))
      .reduce((total, {lost}) => total + (lost?.records ?? 0), 0),
    losses: sessions
      .filter(({counts}) => counts.lost > 0)
      .map(({process, pid, counts}) => `${process.name} (${pid}): ${JSON.stringify(counts.losses)}`),
  };
}
