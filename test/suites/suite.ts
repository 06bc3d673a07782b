// A program's own test suite: where it comes from, how it is run, and how each of its tests ended.

export type Outcome = 'pass' | 'fail' | 'skip';
/** By the test's name, as the suite prints it. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/** Ready to be started. */
export interface Prepared {
  readonly version: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Exit codes that say that it broke off, not that a test failed. */
  readonly crashCodes?: readonly number[];
  /** Reads what a run said; `output` is its stdout and stderr as one. Called once a run, behind its end. */
  outcomes(output: string): Outcomes;
}

export interface Suite {
  readonly name: string;
  /** What is asked of it: a pattern of its tests, a list of its files. */
  readonly part: string;
  readonly minutes: number;
  /** Fetches and builds into the cache; `work` is a folder of this run's own. Rejects with NotMeasured where it can't be had. */
  prepare(work: string): Promise<Prepared>;
}

/** One run: how its tests ended, and how itself: "exit code 1", "SIGSEGV". */
export interface Ended {
  readonly outcomes: Outcomes;
  readonly end: string;
}

/** How the tests of a suite ended without and with a scope, once or, where that differed, twice each. */
export interface Rounds {
  readonly plain: readonly Outcomes[];
  readonly scoped: readonly Outcomes[];
}

export interface Verdict {
  readonly tests: number;
  readonly skipped: number;
  /** Failed in every round of both kinds. */
  readonly failing: readonly string[];
  /** Did not pass in any scoped round, and passed in each other: our doing. */
  readonly broken: readonly string[];
  /** Of those, the ones that failed, or that are missing; the others were skipped. */
  readonly failed: readonly string[];
  /** Anything else that was not the same in all rounds. */
  readonly unsteady: readonly string[];
}

export function differences(plain: Outcomes, scoped: Outcomes): string[] {
  const names = new Set([...plain.keys(), ...scoped.keys()]);
  return [...names].filter(name => plain.get(name) !== scoped.get(name)).sort();
}

/**
 * What the ends of the suite itself say that its tests don't: it broke off, or failed without a test that did, or always
 * ended in another way with a scope than without. A crash that comes both ways is none of the scope's doing, and still no
 * measure: what would have come behind it never ran.
 */
export function badEnds(
  {plain, scoped}: {readonly plain: readonly Ended[]; readonly scoped: readonly Ended[]},
  crashCodes: readonly number[] = [],
): string[] {
  const crashes = crashCodes.map(code => `exit code ${code}`);
  const isBad = ({outcomes, end}: Ended): boolean =>
    !end.startsWith('exit code ') ||
    crashes.includes(end) ||
    (end !== 'exit code 0' && ![...outcomes.values()].includes('fail'));
  const bad = Object.entries({unscoped: plain, scoped}).flatMap(([how, rounds]) =>
    rounds.filter(isBad).map(({end, outcomes}) => `${how}: ${end} after ${outcomes.size} tests`),
  );
  if (bad.length > 0 || plain.some(({end}) => scoped.some(other => other.end === end))) return bad;
  const ends = (rounds: readonly Ended[]): string => rounds.map(({end}) => end).join(', ');
  return [`unscoped: ${ends(plain)}; scoped: ${ends(scoped)}`];
}

export function verdictOf({plain, scoped}: Rounds): Verdict {
  const names = [...new Set([...plain, ...scoped].flatMap(outcomes => [...outcomes.keys()]))].sort();
  const in_ = (rounds: readonly Outcomes[], name: string): (Outcome | undefined)[] => rounds.map(one => one.get(name));
  const failing: string[] = [];
  const broken: string[] = [];
  const unsteady: string[] = [];
  for (const name of names) {
    const [without, with_] = [in_(plain, name), in_(scoped, name)];
    const all = [...without, ...with_];
    if (all.every(outcome => outcome === 'fail')) failing.push(name);
    else if (all.every(outcome => outcome === all[0])) continue;
    else if (without.every(outcome => outcome === 'pass') && with_.every(outcome => outcome !== 'pass'))
      broken.push(name);
    else unsteady.push(name);
  }
  const first = scoped[0];
  return {
    tests: names.length,
    skipped: names.filter(name => first?.get(name) === 'skip').length,
    failing,
    broken,
    failed: broken.filter(name => in_(scoped, name).some(outcome => outcome !== 'skip')),
    unsteady,
  };
}
