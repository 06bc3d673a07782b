import {appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {MarkLog} from './mark-log';
import {RotatingFile} from './rotating-file';

let folder: string;
let events: string;
let marks: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'marks-'));
  [events, marks] = [join(folder, 'events.ndjson'), join(folder, 'marks')];
});
afterEach(() => {
  rmSync(folder, {recursive: true});
});

const NOTHING = {events: 0, rateLimited: 0};
const recovered = () => {
  const {at: _at, ...kept} = MarkLog.recover(marks, events);
  return kept;
};
const line = (text: string): Buffer => Buffer.from(`${text}\n`);

async function two(): Promise<void> {
  const file = new RotatingFile({
    path: events,
    maxBytes: 1000,
    maxFiles: 2,
    marks: new MarkLog(marks, NOTHING, () => 7),
  });
  await file.append([line('one'), line('two')], 2, 'aa');
  await file.append([line('three')], 1, 'bb');
  await file.close();
}

describe('MarkLog', () => {
  it('knows the last append that was made', async () => {
    await two();
    expect(recovered()).toEqual({mark: 'bb', events: 3, rateLimited: 7});
    expect(readFileSync(events, 'utf8')).toBe('one\ntwo\nthree\n');
  });

  it.each([8, 9, 13])('takes back what is there of one that was cut short (%i bytes)', async bytes => {
    await two();
    writeFileSync(events, readFileSync(events).subarray(0, bytes));
    expect(recovered()).toEqual({mark: 'aa', events: 2, rateLimited: 7});
    expect(readFileSync(events, 'utf8')).toBe('one\ntwo\n');
  });

  it('takes another file for a sign that the one before was written', async () => {
    await two();
    renameSync(events, join(folder, 'events.1.ndjson'));
    expect(recovered().mark).toBe('bb');
    appendFileSync(events, 'x\n');
    expect(recovered().mark).toBe('bb');
    expect(readFileSync(events, 'utf8')).toBe('x\n');
  });

  it('goes on with what was kept before; lines of ours have no mark of their own', async () => {
    await two();
    const file = new RotatingFile({
      path: events,
      maxBytes: 1000,
      maxFiles: 2,
      marks: new MarkLog(marks, recovered(), () => 7),
    });
    expect(recovered().events).toBe(3);
    await file.append([line('four')], 1);
    await file.close();
    expect(recovered()).toEqual({mark: 'bb', events: 4, rateLimited: 7});
  });

  it('is told of lines that go elsewhere once they are written, also after its end, while its file is there', () => {
    const log = new MarkLog(marks, NOTHING, () => 0);
    log.note(2, 'cc');
    log.close();
    log.note(1, 'dd');
    expect(MarkLog.recover(marks)).toMatchObject({mark: 'dd', events: 3});
    rmSync(marks);
    log.note(1, 'ee');
    expect(MarkLog.recover(marks)).toEqual(NOTHING);
  });

  it('that makes no sense says that nothing was kept', () => {
    writeFileSync(marks, '{"kept":{"events":"many"}}');
    expect(recovered()).toEqual(NOTHING);
  });
});
