// The table of what scoping costs. A missed bar is printed as missed; the exit code is 0 either way, and 1 when something
// could not be measured at all.
import {mkdirSync, writeFileSync} from 'node:fs';
import {cpus, release} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {checkout} from '../support/checkout';
import {agentCost} from './agent-cost';
import {decoderRate} from './decoder-rate';
import type {Bench, BenchOptions, Figure} from './figure';
import {COLUMNS, isMet, rowOf} from './figure';
import {growth} from './growth';
import {writePage} from './page';
import {pause} from './pause';
import {profile} from './profile/profile';
import {alignedTable} from './table';
import {throughput} from './throughput';
import {writeCost} from './write-cost';

const BENCHES: Readonly<Record<string, Bench>> = {
  write: writeCost,
  pause,
  throughput,
  decoder: decoderRate,
  agent: agentCost,
  growth,
};

interface Outcome {
  readonly figures: readonly Figure[];
  /** Why what could not be measured could not. */
  readonly failures: readonly string[];
}

async function measure(names: readonly string[], options: BenchOptions): Promise<Outcome> {
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const name of names) {
    const bench = BENCHES[name];
    if (bench === undefined) throw new Error(`there is no bench ${name}: ${Object.keys(BENCHES).join(', ')}`);
    options.say(`• ${name}`);
    try {
      figures.push(...(await bench(options)));
    } catch (thrown) {
      failures.push(`${name}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
      options.say(`  could not be measured: ${failures.at(-1) ?? ''}`);
    }
  }
  return {figures, failures};
}

/** Every single measurement, kept: the file, relative to the checkout. */
function keep(quick: boolean, outcome: Outcome): string {
  const machine = {kernel: release(), cpus: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.version};
  const time = new Date().toISOString();
  const file = join('results', `bench-${time.replace(/[:.]/g, '-')}.json`);
  mkdirSync(join(checkout, 'results'), {recursive: true});
  writeFileSync(join(checkout, file), `${JSON.stringify({time, quick, machine, ...outcome}, undefined, 2)}\n`);
  return file;
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      quick: {type: 'boolean', default: false},
      only: {type: 'string', multiple: true},
      profile: {type: 'boolean', default: false},
      write: {type: 'boolean', default: false},
    },
  });
  const {quick, only, write} = values;
  if (process.geteuid?.() !== 0) throw new Error('the bench attaches to processes: run it as root');
  if (write && (quick || only !== undefined))
    throw new Error('docs/bench.md has the table of one whole run: --write goes with neither --quick nor --only');
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  const outcome = await measure(only ?? Object.keys(BENCHES), {quick, say});
  const {figures, failures} = outcome;
  const file = keep(quick, outcome);
  // The rest of a kernel's name is its builder's.
  const kernel = release().split('.', 2).join('.');
  const machine = `${cpus().length} cores, Linux ${kernel}, Node.js ${process.versions.node}`;
  const head = COLUMNS.map(name => name.toUpperCase());
  console.log(`\n${machine}${quick ? ', quick: rough figures' : ''}\n`);
  console.log(alignedTable([head, ...figures.map(rowOf)]));
  const met = figures.filter(figure => isMet(figure) === true).length;
  const missed = figures.filter(figure => isMet(figure) === false).length;
  console.log(`\n${met} bars met, ${missed} missed. Raw figures: ${file}`);
  for (const failure of failures) console.log(`Could not be measured: ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
  else if (write) await writePage(machine, figures);
  if (values.profile) console.log(`\n${await profile({quick, say})}`);
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
});
