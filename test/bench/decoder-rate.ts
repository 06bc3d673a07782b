// How many records a second one core decodes, from the ring to finished lines, for several mixes of records: nothing
// beside the decoder is measured, and its writer shares the core with it (native/decoder/examples/bench-decode.rs).
import {cpus} from 'node:os';
import {compileDecoderExample} from '../support/compile';
import {succeed} from '../support/program';
import type {DecodeRun} from './decode-run';
import {MIXES, parseRuns} from './decode-run';
import type {Bench, Figure} from './figure';
import {median, spread} from './statistics';

export const decoderRate: Bench = async ({quick, say}) => {
  const program = await compileDecoderExample('bench-decode');
  const core = String(cpus().length - 1);
  const runs: DecodeRun[] = [];
  for (let round = 0; round < (quick ? 3 : 9); round++) {
    runs.push(...parseRuns(await succeed('taskset', ['-c', core, program, ...(quick ? ['10'] : [])])));
  }
  return Object.entries(MIXES).map(([mix, what]): Figure => {
    const own = runs.filter(run => run.mix === mix);
    const rates = own.map(({records, cpuNs}) => (records * 1000) / cpuNs);
    const [{records, events, bytes} = {records: Number.NaN, events: 0, bytes: 0}] = own;
    say(`decoder, ${what}: ${median(rates).toFixed(1)} million records/s`);
    return {
      what: `decoder on one core: ${what}`,
      value: median(rates),
      spread: spread(rates),
      unit: 'million/s',
      bar: {atLeast: 3},
      note: `records; ${(events / records).toFixed(2)} events and ${(bytes / records).toFixed(0)} bytes of lines for each`,
      raw: {rates},
    };
  });
};
