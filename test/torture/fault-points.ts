// At which of its operations a program is to be killed (--fault-at): all of them in the end, scattered.
const POINTS = process.env.SCOPE_POINTS;
/** Where nothing is asked for: as many as go into this time, but no fewer deaths than these. */
const SECONDS = 15;
const FEWEST = 50;
/** Higher than any operation's number: such a run goes through, and says how many it made. */
const NEVER = 1 << 30;

export interface Toll {
  /** How many runs were killed, each after another operation. */
  readonly killed: number;
  /** How many were to be, and had ended before: under load the number of operations varies from run to run. */
  readonly beyond: number;
  /** Operations of the longest whole run. */
  readonly operations: number;
}

/** One run with --fault-at: undefined when it was killed, else the number of operations that it says it made. */
export type Interrupt = (operation: number) => Promise<number | undefined>;

async function longestOfThree(interrupt: Interrupt): Promise<number> {
  let longest = 0;
  for (let run = 0; run < 3; run++) longest = Math.max(longest, (await interrupt(NEVER)) ?? 0);
  return longest;
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

/** 1…last, each once, in an order of which every beginning is spread over the whole. */
function* scattered(last: number): Generator<number> {
  let stride = Math.max(1, Math.round(last * 0.618));
  while (commonDivisor(stride, last) !== 1) stride += 1;
  for (let i = 0; i < last; i++) yield 1 + ((i * stride) % last);
}

/** Kills at as many of the operations as are wanted. A run that is not killed must have ended before its operation. */
export async function killThrough(interrupt: Interrupt): Promise<Toll> {
  const operations = await longestOfThree(interrupt);
  const most = POINTS === undefined || POINTS === 'all' ? operations : Math.min(operations, Number(POINTS));
  const until = POINTS === undefined ? performance.now() + SECONDS * 1000 : Infinity;
  let killed = 0;
  let beyond = 0;
  let shortest = operations;
  for (const operation of scattered(operations)) {
    if (killed === most || (performance.now() > until && killed >= FEWEST)) break;
    const made = await interrupt(operation);
    if (made === undefined) {
      killed += 1;
      continue;
    }
    expect(made).toBeLessThan(operation);
    beyond += 1;
    shortest = Math.min(shortest, made);
  }
  // Whatever no run can end before was killed at, all of it where the time was enough.
  expect(killed).toBeGreaterThanOrEqual(Math.max(1, Math.min(FEWEST, most, shortest)));
  return {killed, beyond, operations};
}

/** What a toll is in words, to be put behind "killed". */
export const after = ({killed, beyond, operations}: Toll): string =>
  `after ${killed} of ${operations} operations` + (beyond > 0 ? ` (${beyond} runs had ended before theirs)` : '');
