// perf(1), as far as the bench needs it: which function a process is in, some thousand times a second.
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {NotMeasured} from '../../support/not-measured';
import {Program, run} from '../../support/program';
import type {Stage} from '../../support/stage';
import {until} from '../../support/until';
import type {Sample} from './samples';
import {parseSamples} from './samples';

const SAMPLES_PER_SECOND = 1_999; // a prime number: no timer of the program's own keeps step with it
const SCRIPT_LIMIT_MS = 300_000;
const START_MS = 300;

/** Cycles where the processor's counters can be had, the kernel's clock of used processor time elsewhere (most guests). */
export async function samplingEvent(): Promise<string> {
  const tried = await run('perf', ['stat', '-e', 'cycles', 'true']).catch((thrown: unknown) => {
    throw new NotMeasured(`perf can't be had: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  });
  return tried.code === 0 && /\d\s+cycles/.test(tried.stderr) ? 'cycles' : 'cpu-clock';
}

/** Samples of all threads of the process while `during` runs. NotMeasured where this machine has no perf. */
export async function sampled(stage: Stage, pid: number, during: () => Promise<unknown>): Promise<Sample[]> {
  const event = await samplingEvent();
  const file = join(stage.folder(), 'perf.data');
  const args = ['record', '-q', '-e', event, '-F', String(SAMPLES_PER_SECOND), '-p', String(pid), '-o', file];
  const perf = stage.use(await Program.start('perf', {args}));
  await until('perf to record', () => {
    if (!perf.alive) throw new NotMeasured(`perf can't record: ${perf.stderr.trim()}`);
    return existsSync(file);
  });
  await sleep(START_MS);
  await during();
  perf.signal('SIGINT');
  await perf.finish();
  const {stdout} = await run('perf', ['script', '-i', file, '-F', 'comm,ip,sym,dso'], {timeoutMs: SCRIPT_LIMIT_MS});
  const samples = parseSamples(stdout);
  if (samples.length === 0) throw new NotMeasured(`perf recorded no sample of process ${pid}: ${perf.stderr.trim()}`);
  return samples;
}
