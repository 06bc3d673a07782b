// npm run suites: each suite without a scope and with one over its whole life, in a table; exit code 1 where a test fails
// that passes without, or where a suite could not be run to its end; the others are run all the same.
import {parseArgs} from 'node:util';
import {NotMeasured} from '../support/not-measured';
import {rowOf, SuitesPage} from './page';
import {runSuite} from './run-suite';
import {SUITES} from './suites';

async function main(): Promise<void> {
  const {values, positionals} = parseArgs({
    options: {update: {type: 'boolean', default: false}},
    allowPositionals: true,
  });
  if (process.geteuid?.() !== 0) throw new Error('the suites are scoped: run them as root');
  const unknown = positionals.find(name => !SUITES.some(suite => suite.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no suite ${unknown}: there are ${SUITES.map(({name}) => name).join(', ')}`);
  const chosen = SUITES.filter(({name}) => positionals.length === 0 || positionals.includes(name));
  const page = new SuitesPage();
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  for (const suite of chosen) {
    say(`• ${suite.name}`);
    try {
      const result = await runSuite(suite, say);
      const {failed, failing, broken, unsteady} = result.verdict;
      const {badEnds} = result;
      console.log(rowOf(result).join(' | '));
      const told = {'fails either way': failing, 'SCOPED ONLY': broken, unsteady, 'BROKE OFF': badEnds};
      for (const [what, names] of Object.entries(told)) {
        for (const name of names) console.log(`  ${what}: ${name}`);
      }
      if (failed.length > 0 || badEnds.length > 0) process.exitCode = 1;
      // What broke off is no figure.
      if (values.update && badEnds.length === 0) page.put(result);
    } catch (thrown) {
      if (thrown instanceof NotMeasured) console.log(`${suite.name} | NOT MEASURED: ${thrown.message}`);
      else
        console.log(
          `${suite.name} | FAILED: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`,
        );
      if (!(thrown instanceof NotMeasured) || process.env.CI !== undefined) process.exitCode = 1;
    }
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
