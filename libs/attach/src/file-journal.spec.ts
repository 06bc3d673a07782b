import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {FileJournal} from './file-journal';

const entry = {pid: 7, startTime: '70', enter: false, agentPid: 1, agentStartTime: '10'};

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'scope-journal-')), 'sessions');
});
afterEach(() => {
  rmSync(join(folder, '..'), {recursive: true});
});

it('keeps what is put until it is removed, for another one too', () => {
  const journal = new FileJournal(folder);
  journal.put(entry);
  expect(new FileJournal(folder).entries()).toEqual([entry]);
  journal.remove(7, '70');
  expect(journal.entries()).toEqual([]);
});

it('goes on when its empty folder was taken away by an agent that ended', () => {
  const journal = new FileJournal(folder);
  rmSync(folder, {recursive: true});
  expect(journal.entries()).toEqual([]);
  journal.put(entry);
  expect(journal.entries()).toEqual([entry]);
  expect(existsSync(folder)).toBe(true);
});
