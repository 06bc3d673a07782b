import {faultsSince, footprint} from './intact';
import type {Program} from './program';
import {startTester} from './servers';
import type {Stage} from './stage';

/** A program that stands still, so that nothing at all may change in it. */
export async function startIdleTarget(stage: Stage): Promise<{program: Program; intact: () => void}> {
  const {program} = await startTester(stage, 'gap.c');
  const before = footprint(program.pid);
  return {
    program,
    intact: () => {
      program.assertAlive();
      expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
    },
  };
}
