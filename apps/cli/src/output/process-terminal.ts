import {createInterface} from 'node:readline';
import type {Terminal} from './terminal';

/** This process's own streams. A reader of stdout that goes away (`| head`) ends the command quietly. */
export function processTerminal(): Terminal {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  return {
    out: text => {
      process.stdout.write(`${text}\n`);
    },
    err: text => {
      process.stderr.write(`${text}\n`);
    },
    isInteractive: process.stdin.isTTY && (process.stdout.isTTY || process.stderr.isTTY),
    isScreen: process.stdout.isTTY,
    width: process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity,
    ask: async () => {
      const reader = createInterface({input: process.stdin});
      try {
        for await (const line of reader) return line;
        return undefined;
      } finally {
        reader.close();
      }
    },
  };
}
