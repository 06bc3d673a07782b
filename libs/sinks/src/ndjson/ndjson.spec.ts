import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {EventBatch, ScopeError} from '@scope/core';
import {FakeClock} from '@scope/core';
import {fakeBatch, session} from '../batch.fake';
import {HistoryFolder} from './history-folder';
import type {LogFile} from './log-file.port';
import {NdjsonSink} from './ndjson.sink';
import {RotatingFile} from './rotating-file';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scope-sinks-'));
});
afterEach(() => {
  rmSync(folder, {recursive: true});
});

/** A file whose appends wait to be let go, or fail as told. */
class HeldFile implements LogFile {
  readonly written: string[] = [];
  failure: Error | undefined;
  private release: () => void = () => undefined;
  private gate: Promise<void> = Promise.resolve();

  hold(): void {
    this.gate = new Promise(resolve => {
      this.release = resolve;
    });
  }

  letGo(): void {
    this.release();
  }

  async append(parts: readonly Buffer[]): Promise<void> {
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    this.written.push(Buffer.concat(parts).toString());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('NdjsonSink', () => {
  function setUp(capacityBytes = 10_000) {
    const [file, clock] = [new HeldFile(), new FakeClock()];
    const errors: ScopeError[] = [];
    const sink = new NdjsonSink({
      name: 'history',
      file,
      what: 'the file',
      capacityBytes,
      clock,
      failed: error => errors.push(error),
    });
    return {file, errors, clock, sink};
  }

  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  const one = (n: number): EventBatch => fakeBatch(['fs.open', {n}]);
  const lineBytes = one(0).lines.length;

  interface Line {
    event: string;
    attributes: {n?: number};
    lost?: {events: number};
  }
  const linesOf = (file: HeldFile): Line[] =>
    file.written
      .join('')
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Line);
  /** What a reader gets and what it is told is missing: everything that there was. */
  const accounted = (file: HeldFile): number =>
    linesOf(file).reduce((sum, {event, lost}) => sum + (event === 'scope.lost' ? (lost?.events ?? 0) : 1), 0);

  it('writes everything in order, and closes after the last byte', async () => {
    const {file, sink} = setUp();
    const batches = Array.from({length: 20}, (_, n) => one(n));
    for (const batch of batches) sink.write(batch);
    await sink.close();
    expect(file.written.join('')).toBe(batches.map(({lines}) => lines.toString()).join(''));
    expect(sink.stats()).toMatchObject({written: 20, dropped: 0, queueDepth: 0});
    expect(sink.droppedOf(session)).toBe(0);
  });

  it('drops and counts what a slow file leaves no room for, and tells it where it is missing', async () => {
    const {file, sink} = setUp(lineBytes * 6);
    file.hold();
    for (let n = 0; n < 9; n += 1) sink.write(one(n));
    expect(sink.droppedOf(session)).toBe(3);
    expect(sink.stats().queueDepth).toBeLessThanOrEqual(lineBytes * 6);
    file.letGo();
    await settle();
    sink.write(one(9));
    await sink.close();
    expect(linesOf(file).map(({event, attributes, lost}) => lost?.events ?? attributes.n ?? event)).toEqual([
      ...[0, 1, 2, 3, 4, 5],
      3,
      9,
    ]);
    expect(linesOf(file)[6]).toMatchObject({event: 'scope.lost', attributes: {'scope.lost.where': 'history'}});
    expect(sink.stats()).toMatchObject({written: 7, dropped: 3});
  });

  it('tells a gap at its very end too', async () => {
    const {file, sink} = setUp(lineBytes * 2);
    file.hold();
    for (let n = 0; n < 5; n += 1) sink.write(one(n));
    const closed = sink.close();
    file.letGo();
    await closed;
    expect(linesOf(file).map(({event}) => event)).toEqual(['fs.open', 'fs.open', 'scope.lost']);
    expect(accounted(file)).toBe(5);
  });

  it.each([
    ['ENOSPC', 'DiskFull'],
    ['EDQUOT', 'DiskFull'],
    ['EACCES', 'HistoryNotWritable'],
    ['EROFS', 'HistoryNotWritable'],
  ])('%s becomes %s, told once; what has room waits until it can be written', async (code, reason) => {
    const {file, sink, errors, clock} = setUp(lineBytes * 3);
    file.failure = Object.assign(new Error(code), {code});
    for (let n = 0; n < 5; n += 1) sink.write(one(n));
    for (let again = 0; again < 3; again += 1) {
      await settle();
      await clock.advance(1000);
    }
    expect(errors.map(error => error.reason)).toEqual([reason]);
    file.failure = undefined;
    await settle();
    await clock.advance(1000);
    await settle();
    sink.write(one(5));
    await sink.close();
    expect(linesOf(file).map(({attributes, lost}) => lost?.events ?? attributes.n)).toEqual([0, 1, 2, 2, 5]);
    expect(sink.droppedOf(session)).toBe(2);
  });

  it('counts what it could not write by the end', async () => {
    const {file, sink} = setUp();
    file.failure = Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'});
    sink.write(one(0));
    sink.write(one(1));
    await settle();
    await sink.close();
    expect(sink.stats()).toMatchObject({written: 0, dropped: 2, queueDepth: 0});
    sink.write(one(2));
    expect(sink.droppedOf(session)).toBe(3);
  });

  it('does not wait for ever for a file that stands still', async () => {
    const {file, sink, clock} = setUp();
    file.hold();
    sink.write(one(0));
    sink.write(one(1));
    let closed = false;
    const closing = sink.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    await clock.advance(5000);
    await closing;
    expect(sink.stats()).toMatchObject({written: 0, dropped: 2, queueDepth: 0});
  });

  describe('asks to be waited for', () => {
    it('while much waits, until it does not', async () => {
      const {file, sink} = setUp(lineBytes * 12);
      file.hold();
      sink.write(one(0));
      sink.write(one(1));
      expect(sink.room()).toBeUndefined();
      sink.write(one(2));
      const room = sink.room();
      expect(room).toBeDefined();
      file.letGo();
      await room;
      expect(sink.stats()).toMatchObject({queueDepth: 0, dropped: 0});
      expect(sink.room()).toBeUndefined();
    });

    it('but not long where nothing moves', async () => {
      const {file, sink, clock} = setUp(lineBytes * 12);
      file.hold();
      for (let n = 0; n < 6; n += 1) sink.write(one(n));
      const room = sink.room();
      await clock.advance(2000);
      await room;
      expect(sink.room()).toBeUndefined();
      expect(sink.stats().queueDepth).toBe(lineBytes * 6);
    });

    it('and not where writing fails', async () => {
      const {file, sink} = setUp(lineBytes * 12);
      file.failure = Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'});
      for (let n = 0; n < 6; n += 1) sink.write(one(n));
      await sink.room();
      expect(sink.room()).toBeUndefined();
    });
  });
});

describe('RotatingFile', () => {
  it('keeps whole lines, the youngest parts, and no more than its bound', async () => {
    const path = join(folder, 'events.ndjson');
    const file = new RotatingFile({path, maxBytes: 30, maxFiles: 3});
    for (let n = 0; n < 10; n += 1) await file.append([Buffer.from(`{"n":${n},`), Buffer.from('"x":"yz"}\n')], 1);
    await file.close();
    expect(file.forgotten).toBe(7);
    expect(readdirSync(folder).sort()).toEqual(['events.1.ndjson', 'events.2.ndjson', 'events.ndjson']);
    const kept = ['events.2.ndjson', 'events.1.ndjson', 'events.ndjson'].flatMap(name =>
      readFileSync(join(folder, name), 'utf8').trim().split('\n'),
    );
    expect(kept.map(line => (JSON.parse(line) as {n: number}).n)).toEqual([7, 8, 9]);
  });

  it('is for its owner only, and follows no link', async () => {
    const path = join(folder, 'events.ndjson');
    const file = new RotatingFile({path, maxBytes: 100, maxFiles: 2});
    await file.append([Buffer.from('x\n')], 1);
    await file.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'link.ndjson'));
    const linked = new RotatingFile({path: join(folder, 'link.ndjson'), maxBytes: 100, maxFiles: 2});
    await expect(linked.append([Buffer.from('x\n')], 1)).rejects.toMatchObject({code: 'ELOOP'});
  });
});

describe('HistoryFolder', () => {
  it('holds the session’s last snapshot, for its owner only', () => {
    const made = HistoryFolder.create(join(folder, '.scope/history'), 'nginx-7-x');
    made.write({id: 'nginx-7-x', state: 'Scoped'});
    const path = join(made.path, 'session.json');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({id: 'nginx-7-x', state: 'Scoped'});
    expect([statSync(path).mode & 0o777, statSync(made.path).mode & 0o777]).toEqual([0o600, 0o700]);
  });

  it('that can not be made is HistoryNotWritable', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => HistoryFolder.create(join(folder, 'file/history'), 'a')).toThrow(
      expect.objectContaining({reason: 'HistoryNotWritable'}) as Error,
    );
  });

  it('in a place where nothing can be made is refused, and never hangs', () => {
    expect(() => HistoryFolder.create('/proc/nowhere/history', 'a')).toThrow(
      expect.objectContaining({reason: 'HistoryNotWritable'}) as Error,
    );
  });

  it('drops the oldest sessions past its bound, and never what is not its own', () => {
    const old = (n: number): string => join(folder, `old-${n}`);
    for (let n = 0; n < 101; n += 1) {
      mkdirSync(old(n));
      writeFileSync(join(old(n), 'session.json'), '{"endedAt":"2026-01-01T00:00:00Z"}');
      writeFileSync(join(old(n), 'events.ndjson'), '');
      utimesSync(join(old(n), 'session.json'), 1000 + n, 1000 + n);
    }
    writeFileSync(join(old(0), 'mine.txt'), '');
    mkdirSync(join(folder, 'unrelated'));
    HistoryFolder.create(folder, 'new');
    const left = readdirSync(folder);
    expect(left).toContain('unrelated');
    expect(left).toContain('new');
    expect(left).not.toContain('old-1');
    expect(readdirSync(old(0))).toEqual(['mine.txt']);
    expect(left.filter(name => name.startsWith('old-'))).toHaveLength(100);
  });
});
