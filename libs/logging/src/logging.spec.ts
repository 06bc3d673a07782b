import {Writable} from 'node:stream';
import pino from 'pino';
import {logWarnings} from '.';

it('logs what Node.js warns of as JSON, instead of its text', () => {
  const lines: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  const before = process.listeners('warning');
  try {
    logWarnings(pino(stream));
    expect(process.listenerCount('warning')).toBe(1);
    process.emit('warning', Object.assign(new Error('old'), {name: 'DeprecationWarning'}));
  } finally {
    process.removeAllListeners('warning');
    for (const listener of before) process.on('warning', listener);
  }
  expect(lines.map(line => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({level: 40, name: 'DeprecationWarning', msg: 'old'}),
  ]);
});
