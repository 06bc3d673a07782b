import {geteuid} from 'node:process';

// Failing here once says more than a hundred refusals.
if (geteuid?.() !== 0) throw new Error('these tests attach to processes: run them as root');

jest.setTimeout(5 * 60_000);
