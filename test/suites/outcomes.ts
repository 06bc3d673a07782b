// What suites print, as outcomes. The worst counts where a name comes twice.
import type {Outcome, Outcomes} from './suite';

const WORST: readonly Outcome[] = ['skip', 'pass', 'fail'];

function gather(found: Iterable<readonly [name: string, outcome: Outcome]>): Outcomes {
  const outcomes = new Map<string, Outcome>();
  for (const [name, outcome] of found) {
    const before = outcomes.get(name);
    if (before === undefined || WORST.indexOf(outcome) > WORST.indexOf(before)) outcomes.set(name, outcome);
  }
  return outcomes;
}

/** `go test -v`: "--- PASS: TestDial (0.01s)". A test that began and never ended has failed: a crash takes all with it. */
export function goOutcomes(output: string): Outcomes {
  const words = {PASS: 'pass', FAIL: 'fail', SKIP: 'skip'} as const;
  const ended = [...output.matchAll(/--- (PASS|FAIL|SKIP): (\S+) \(\d/g)].map(
    ([, word, name = '']) => [name, words[word as keyof typeof words]] as const,
  );
  const known = new Set(ended.map(([name]) => name));
  const begun = [...output.matchAll(/^=== RUN {3}(\S+)$/gm)].map(([, name = '']) => name);
  return gather([...ended, ...begun.filter(name => !known.has(name)).map(name => [name, 'fail'] as const)]);
}

/** regrtest's --junit-xml. */
export function junitOutcomes(xml: string): Outcomes {
  const cases = xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs);
  return gather(
    [...cases].map(([, attributes = '', body = '']) => {
      const name = /\bname="([^"]*)"/.exec(attributes)?.[1] ?? '';
      if (/<(failure|error)\b/.test(body)) return [name, 'fail'];
      return [name, /<skipped\b/.test(body) ? 'skip' : 'pass'];
    }),
  );
}

/** redis's runtest: "[ok]: name (12 ms)", "[err]: name in tests/unit/x.tcl", "[exception]: Executing test client: …". */
export function redisOutcomes(output: string): Outcomes {
  const bare = output.replaceAll(/\u001b\[[0-9;]*m/g, '');
  const lines = bare.matchAll(/^\[(ok|err|exception|skip|ignore|timeout)\]: (.+)$/gm);
  return gather(
    [...lines].map(([, word = '', line = '']) => {
      // Which servers of a layout, and how far they were, is left to chance.
      const text = line.replaceAll(/#\d+/g, '#').replace(/\(x = \d+\)/, '(x)');
      if (word === 'ok') return [text.replace(/ \(\d+ ms\)$/, ''), 'pass'];
      if (word === 'skip' || word === 'ignore') return [text.replace(/ *\(.*\)$/, ''), 'skip'];
      return [text.replace(/ in tests\/\S+$/, '').replace(/\.$/, ''), 'fail'];
    }),
  );
}

/** TAP, within others' tests as well: "ok 1 - name", "not ok 2 - name", "ok 3 - name # SKIP why". */
export function tapOutcomes(output: string): Outcomes {
  const lines = output.matchAll(/^ *(not )?ok \d+ - (.+?)(?:\s+# (SKIP|TODO).*)?$/gm);
  return gather(
    [...lines].map(([, not, name = '', directive]) => [
      name,
      directive === 'SKIP' ? 'skip' : not === undefined ? 'pass' : 'fail',
    ]),
  );
}
