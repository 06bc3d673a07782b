import {goOutcomes, junitOutcomes, redisOutcomes, tapOutcomes} from './outcomes';
import type {Ended, Outcome} from './suite';
import {badEnds, differences, verdictOf} from './suite';

const plain = (outcomes: ReadonlyMap<string, Outcome>): Record<string, Outcome> => Object.fromEntries(outcomes);

it('reads go test -v; what crashed in the middle has failed', () => {
  const output =
    '=== RUN   TestA\n=== RUN   TestA/x\n    --- PASS: TestA/x (0.00s)\n--- PASS: TestA (0.01s)\n=== RUN   TestB\npanic';
  expect(plain(goOutcomes(output))).toEqual({'TestA/x': 'pass', TestA: 'pass', TestB: 'fail'});
});

it('reads regrtest’s XML', () => {
  const xml =
    '<testcase name="a" status="run" /><testcase name="b"><skipped>no</skipped></testcase>' +
    '<testcase name="c"><failure type="x">\n&lt;</failure></testcase><testcase name="d"><error/></testcase>';
  expect(plain(junitOutcomes(xml))).toEqual({a: 'pass', b: 'skip', c: 'fail', d: 'fail'});
});

it('reads redis’s runtest, colours and all', () => {
  const output =
    '\u001b[32m[ok]\u001b[0m: SET and GET (3 ms)\n[err]: PSYNC in tests/integration/x.tcl\n[skip]: big (needs more)\n[ok]: PSYNC2: Set #4 to replicate from #3 (0 ms)\n';
  expect(plain(redisOutcomes(output))).toEqual({
    'SET and GET': 'pass',
    PSYNC: 'fail',
    big: 'skip',
    'PSYNC2: Set # to replicate from #': 'pass',
  });
});

it('reads TAP', () => {
  expect(plain(tapOutcomes('1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP d\n'))).toEqual({
    a: 'pass',
    b: 'fail',
    c: 'skip',
  });
});

it('tells what is our doing from what fails anyhow and from what is unsteady', () => {
  const round = (text: string): ReadonlyMap<string, Outcome> => {
    const words = {p: 'pass', f: 'fail', s: 'skip'} as const;
    return new Map(Array.from(text).flatMap((letter, n) => (letter in words ? [[`t${n}`, words[letter as 'p']]] : [])));
  };
  expect(differences(round('ppf'), round('pff'))).toEqual(['t1']);
  const verdict = verdictOf({plain: [round('ppfppp'), round('ppfpfp')], scoped: [round('pff-ps'), round('pfffps')]});
  expect(verdict).toEqual({
    tests: 6,
    skipped: 1,
    failing: ['t2'],
    broken: ['t1', 't3', 't5'],
    failed: ['t1', 't3'],
    unsteady: ['t4'],
  });
});

describe('the end of a suite itself', () => {
  const ended = (end: string, outcome: Outcome = 'pass'): Ended => ({end, outcomes: new Map([['t', outcome]])});
  const [good, failing] = [ended('exit code 0'), ended('exit code 1', 'fail')];

  it('is what its tests say', () => {
    expect(badEnds({plain: [good], scoped: [good]})).toEqual([]);
    expect(badEnds({plain: [failing], scoped: [failing]})).toEqual([]);
    // One round of two failed a test: that test is unsteady.
    expect(badEnds({plain: [good, good], scoped: [failing, good]})).toEqual([]);
  });

  it('by a signal, by a code for it or with no test that failed is told, also where both ways end so', () => {
    const killed = ended('SIGSEGV', 'fail');
    expect(badEnds({plain: [killed], scoped: [killed]})).toEqual([
      'unscoped: SIGSEGV after 1 tests',
      'scoped: SIGSEGV after 1 tests',
    ]);
    expect(badEnds({plain: [good], scoped: [ended('exit code 1')]})).toEqual(['scoped: exit code 1 after 1 tests']);
    const panic = ended('exit code 2', 'fail');
    expect(badEnds({plain: [panic], scoped: [panic]}, [2])).toHaveLength(2);
  });

  it('that is always another one with a scope is told', () => {
    expect(badEnds({plain: [good, good], scoped: [failing, failing]})).toEqual([
      'unscoped: exit code 0, exit code 0; scoped: exit code 1, exit code 1',
    ]);
  });
});
