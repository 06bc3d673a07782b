// Programs' own test suites, scoped for their whole life with every event on, and without: a short selection. All of them:
// `npm run suites`.
import {measuredOrSaid} from '../support/not-measured';
import {runSuite} from '../suites/run-suite';
import {SHORT} from '../suites/suites';

it.each(SHORT.map(suite => [suite.name, suite.part, suite] as const))('%s (%s)', async (name, _part, suite) => {
  const said: string[] = [];
  const result = await measuredOrSaid(name, () => runSuite(suite, text => said.push(text)));
  if (result === undefined) return;
  const {tests, failing, failed, unsteady} = result.verdict;
  const {programs, events, lost, told} = result.scoped;
  console.log(
    `${name} ${result.version}: ${tests} tests, ${failing.length} fail either way, ${unsteady.length} unsteady; ` +
      `${programs} programs, ${events} events, ${lost} lost`,
  );
  expect(failed).toEqual([]);
  expect(result.badEnds).toEqual([]);
  // Some may be lost where a burst meets a reader that gets no processor; none without a word.
  expect(told).toBe(lost);
  expect(tests - failing.length).toBeGreaterThan(20);
});
