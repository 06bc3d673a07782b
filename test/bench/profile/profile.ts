// Where the processor time goes: for each subject its parts, and the functions at the top of them.
import {NotMeasured} from '../../support/not-measured';
import {Stage} from '../../support/stage';
import type {BenchOptions} from '../figure';
import {alignedTable} from '../table';
import type {Sample, Share} from './samples';
import {partOf, shares} from './samples';
import {SUBJECTS} from './subjects';

const TOP = 20;
const WIDTH = 90;

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`.padStart(7);
const row = ({name, share}: Share): string[] => [percent(share), name.slice(0, WIDTH)];

/** By part; below, by function with the part that it is of. */
export function profileTable(samples: readonly Sample[]): string {
  const functions = shares(samples, sample => `${partOf(sample)}: ${sample.symbol}`).slice(0, TOP);
  return [shares(samples, partOf), functions].map(rows => alignedTable(rows.map(row))).join('\n\n');
}

/** The tables of all subjects. Where perf can't be had the text says so. */
export async function profile({quick, say}: BenchOptions): Promise<string> {
  const sections: string[] = [];
  for (const subject of SUBJECTS) {
    say(`• profile: ${subject.what}`);
    const stage = new Stage();
    try {
      const samples = await subject.profile(stage, quick);
      sections.push(`${subject.what} (${samples.length} samples)\n\n${profileTable(samples)}`);
    } catch (thrown) {
      if (!(thrown instanceof NotMeasured)) throw thrown;
      sections.push(`${subject.what}: NOT MEASURED: ${thrown.message}`);
    } finally {
      await stage.close();
    }
  }
  return sections.join('\n\n');
}
