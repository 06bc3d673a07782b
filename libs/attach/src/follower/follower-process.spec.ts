import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {FollowerEvent} from './follower.port';
import {FollowerProcess} from './follower-process';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scope-follower-'));
});
afterEach(() => {
  rmSync(folder, {recursive: true});
});

function follower(script: string, timeoutMs = 10_000): FollowerProcess {
  const path = join(folder, 'scope-inject');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return new FollowerProcess({path, mostChildren: 9, timeoutMs});
}

const FOLLOWING = `echo '{"event":"following","pid":7,"threads":1}'`;

describe('FollowerProcess', () => {
  it.each([
    [65_536, '--ring-bytes 65536 --child-ring-bytes 65536'],
    [8 << 20, '--ring-bytes 8388608 --child-ring-bytes 1048576'],
  ])('is told rings of %d bytes; a child’s are never larger than its own', async (ringBytes, expected) => {
    follower(`echo '{"event":"no","ok":false,"reason":"NotScoped","message":"'"$*"'"}'; exit 1`);
    const it = new FollowerProcess({path: join(folder, 'scope-inject'), mostChildren: 9, ringBytes});
    const following = it.follow({pid: 7}, () => undefined);
    await expect(following).rejects.toMatchObject({message: `follow --pid 7 --most 9 ${expected}`});
  });

  it('hands its events on, and what is asked of it back; ends with its input', async () => {
    const events: FollowerEvent[] = [];
    const script = `${FOLLOWING}
      while read verb pid; do
        case $verb in
          go) echo '{"event":"exec","pid":'$pid'}' ;;
          release) echo '{"event":"released","pid":'$pid'}' ;;
        esac
      done
      echo '{"event":"over","ok":true,"pid":7}'`;
    const following = await follower(script).follow({pid: 7}, event => events.push(event));
    following.go(8);
    await following.release(9);
    await following.close();
    expect(events).toEqual([{event: 'exec', pid: 8}]);
    expect(await following.ended).toBeUndefined();
    await following.release(9);
  });

  it('that refuses rejects with its reason', async () => {
    const it = follower(`echo '{"ok":false,"reason":"NotScoped","message":"no"}'; exit 1`);
    await expect(it.follow({pid: 7}, () => undefined)).rejects.toMatchObject({reason: 'NotScoped', message: 'no'});
  });

  it('that begins to say nothing is killed', async () => {
    await expect(follower('exec sleep 60', 50).follow({pid: 7}, () => undefined)).rejects.toMatchObject({
      reason: 'Timeout',
    });
  });

  it('that dies says how', async () => {
    const following = await follower(`${FOLLOWING}; kill -KILL $$`).follow({pid: 7}, () => undefined);
    expect((await following.ended)?.message).toMatch(/process 7 are not followed any more.*SIGKILL/);
    await following.close();
  });

  it('that is over since everybody has ended is no trouble', async () => {
    const script = `${FOLLOWING}; echo '{"event":"over","ok":true,"pid":7}'`;
    const following = await follower(script).follow({pid: 7}, () => undefined);
    expect(await following.ended).toBeUndefined();
  });

  it('that talks nonsense is ended', async () => {
    const following = await follower(`${FOLLOWING}; echo what; exec sleep 60`).follow({pid: 7}, () => undefined);
    expect((await following.ended)?.message).toContain('"what"');
  });
});
