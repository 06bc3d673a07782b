import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {holdsDecoder, sharedMemories} from './maps.parser';
import {ProcFs} from './procfs';

const program = '55e0c0000000-55e0c0001000 r-xp 00000000 fe:00 131 /usr/bin/server\n';
const memory = (inode: number): string =>
  `7f2c10000000-7f2c10840000 rw-s 00001000 00:01 ${inode}                        /memfd:scope-ring (deleted)\n`;
const decoder = '7f2c20000000-7f2c20100000 r-xp 00000000 fe:00 977   /opt/scope/dist/native/scope.node\n';

it('finds our memories by device and inode, each once', () => {
  expect(sharedMemories(`${program}${memory(42)}${memory(42)}${decoder}${memory(43)}`)).toEqual([
    '00:01 42',
    '00:01 43',
  ]);
  expect(sharedMemories(`${program}7f00-7f01 rw-s 0 00:01 9 /memfd:other (deleted)\n`)).toEqual([]);
  expect([holdsDecoder(`${program}${decoder}`), holdsDecoder(program + memory(1))]).toEqual([true, false]);
});

describe('the reader of a process', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'scope-proc-'));
  });
  afterEach(() => {
    rmSync(root, {recursive: true});
  });
  const has = (pid: number, maps: string): void => {
    mkdirSync(join(root, String(pid)));
    writeFileSync(join(root, String(pid), 'maps'), maps);
  };

  it('is the agent that maps its memory', () => {
    has(7, program + memory(42));
    has(8, program + memory(43));
    has(70, program + decoder + memory(43));
    has(71, program + decoder + memory(42));
    expect(new ProcFs(root).readerOf(7)).toBe(71);
  });

  it('is none: not its child, not an agent that reads others, nobody where nothing is mapped', () => {
    has(7, program + memory(42));
    has(8, program + memory(42));
    has(9, program);
    has(70, program + decoder + memory(43));
    expect([7, 9, 99].map(pid => new ProcFs(root).readerOf(pid))).toEqual([undefined, undefined, undefined]);
  });
});
